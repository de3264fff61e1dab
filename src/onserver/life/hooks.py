"""The hooks of a server's life, and their order.

A hook is declared in a task file and runs as a process of the stored-procedure session, once per epoch in the cluster.
`hooks:EPOCH` in Redis says of each whether it ended well (`ok N`), ended badly (`failed N`), or which process it is; so
any worker can go on where another one died. In the original these are the database methods On Server Startup and On
Server Shutdown (specification 6.2, 6.3).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, overload

from onserver.errors import BadDeclaration
from onserver.redis.store import Store
from onserver.registry import declare, name_below_tasks

P = ParamSpec("P")
R = TypeVar("R")

STARTUP = "on_server_startup"
SHUTDOWN = "on_server_shutdown"
#: The kind of a shutdown hook that runs after everything else has ended.
SHUTDOWN_DRAINED = "on_server_shutdown drained"

When = Literal["running", "drained"]


class Hook:
    """A declared hook; calling it runs the function in place, as a test does."""

    def __init__(self, kind: str, function: Callable[..., Any], name: str | None, timeout: float | None) -> None:
        if inspect.iscoroutinefunction(function):
            raise BadDeclaration(
                function.__qualname__, "is `async def`, which a hook cannot be", "Write it as a plain function."
            )
        if timeout is not None and not timeout > 0:
            raise BadDeclaration(function.__qualname__, f"has timeout={timeout!r}", "Give seconds above 0.")
        self.kind = kind
        self.function = function
        self.name = name or name_below_tasks(function)
        self.aliases: Sequence[str] = ()
        self.timeout = timeout

    @property
    def field(self) -> str:
        """Its field in `hooks:EPOCH`."""
        return f"{self.kind} {self.name}"

    def describe(self) -> Mapping[str, object]:
        """What other programs may know of it, ready for JSON."""
        return {"kind": self.kind, "timeout": self.timeout, "doc": inspect.getdoc(self.function) or ""}


def _decorated(kind: str, function: Callable[..., Any] | None, name: str | None, timeout: float | None) -> Any:
    """What a decorator answers: the function, or where it was called with options, what takes the function."""

    def decorate(declared: Callable[..., Any]) -> Callable[..., Any]:
        return _declare(kind, declared, name, timeout)

    return decorate if function is None else decorate(function)


def _declare(kind: str, function: Callable[P, R], name: str | None, timeout: float | None) -> Callable[P, R]:
    declare(kind, Hook(kind, function, name, timeout))
    return function


@overload
def on_server_startup(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def on_server_startup(
    *, name: str | None = None, timeout: float | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def on_server_startup(
    function: Callable[P, R] | None = None, /, *, name: str | None = None, timeout: float | None = None
) -> Any:
    """Run a function once when the server starts, before any worker takes work.

    It runs as a process of the stored-procedure session, once per epoch in the whole cluster, in the order of
    declaration. If its runner dies it is run again (`process().deliveries` tells). If it raises, or runs for longer
    than its time limit, the server does not start: every waiting worker exits with status 1 and shows the traceback.

    Args:
        function: what runs; called without arguments.
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `hook.timeout_seconds` by default.

    Raises:
        BadDeclaration: ONS-1009, it is a coroutine function, or the time limit is not above 0.
        DuplicateName: when the project is loaded and two hooks have one name (ONS-1006).

    Example:
        >>> @on_server_startup
        ... def load() -> None:
        ...     print("loading")
        >>> load()
        loading

    4D: On Server Startup (specification 6.2).
    """
    return _decorated(STARTUP, function, name, timeout)


@overload
def on_server_shutdown(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def on_server_shutdown(
    *, when: When = "running", name: str | None = None, timeout: float | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def on_server_shutdown(
    function: Callable[P, R] | None = None,
    /,
    *,
    when: When = "running",
    name: str | None = None,
    timeout: float | None = None,
) -> Any:
    """Run a function once when the server stops.

    It runs when the whole server stops (`onserver stop`, or the last worker leaves), not when one of several workers
    does. One that raises is recorded and shown; the stop goes on.

    Args:
        function: what runs; called without arguments.
        when: `running`: while processes still run, so that it can tell loops to end; `drained`: after all have ended.
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `hook.timeout_seconds` by default.

    Raises:
        BadDeclaration: ONS-1009, it is a coroutine function, or an argument has no meaning.

    Example:
        >>> @on_server_shutdown(when="drained")
        ... def report() -> None:
        ...     print("all done")
        >>> report()
        all done

    4D: On Server Shutdown (specification 6.3); there other processes go on while it runs, as with `when="running"`.
    """
    if when not in ("running", "drained"):
        called = name or (function.__qualname__ if function is not None else "on_server_shutdown")
        raise BadDeclaration(called, f"has when={when!r}", "It is 'running' or 'drained'.")
    kind = SHUTDOWN if when == "running" else SHUTDOWN_DRAINED
    return _decorated(kind, function, name, timeout)


class HookRun:
    """The hooks of one kind in one epoch, one after the other.

    `look()` reads how they stand and answers what is to be done now; the caller forks a child for a hook that nobody
    runs, and looks again when it has ended, at each beat, and at each order.
    """

    def __init__(self, store: Store, epoch: int, hooks: Sequence[Hook]) -> None:
        self._store = store
        self.epoch = epoch
        self.hooks = tuple(hooks)
        #: Hooks that ended badly, with the number of their process.
        self.failed: dict[Hook, int] = {}

    def look(self, *, stop_at_failure: bool) -> Hook | Literal["done", "busy", "failed"]:
        """What is to be done: a hook to run, nothing (`done`), wait for another's (`busy`), or give up (`failed`)."""
        if not self.hooks:
            return "done"
        stands = self._store.command("HMGET", self._store.key(f"hooks:{self.epoch}"), *[h.field for h in self.hooks])
        for hook, stand in zip(self.hooks, stands, strict=True):
            if stand is None:
                return hook
            word, _, number = stand.decode().rpartition(" ")
            if word == "failed":
                self.failed[hook] = int(number)
                if stop_at_failure:
                    return "failed"
            elif word != "ok":
                return "busy" if self._is_run(number) else hook
        return "done"

    def _is_run(self, number: str) -> bool:
        holder = self._store.command("HGET", self._store.key(f"p:{number}"), "o")
        return holder is not None and bool(self._store.command("SISMEMBER", self._store.key("live"), holder))
