"""The hooks of a server's start and stop.

A hook is declared in a task file and runs as a process of the stored-procedure session, once per epoch in the cluster
(see `hook_turns`). In the original these are the database methods On Server Startup and On Server Shutdown
(specification 6.2, 6.3). The other hooks are in `occasions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from onserver.errors import BadDeclaration
from onserver.life.hook import SHUTDOWN, SHUTDOWN_DRAINED, STARTUP, HookOptions, decorated

P = ParamSpec("P")
R = TypeVar("R")

When = Literal["running", "drained"]


@overload
def on_server_startup(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def on_server_startup(**options: Unpack[HookOptions]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def on_server_startup(function: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Run a function once when the server starts, before any worker takes work.

    It runs as a process of the stored-procedure session, once per epoch in the whole cluster, in the order of
    declaration. If its runner dies it is run again (`process().deliveries` tells). If it raises, or runs for longer
    than its time limit, the server does not start: every waiting worker exits with status 1 and shows the traceback.

    Args:
        function: what runs, plain or `async def`; called without arguments.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `hook.timeout_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.
        by_hand: whether it bears to be run by hand, as a trial, from the admin page and by `onserver hooks run`.

    Raises:
        BadDeclaration: ONS-1009, an argument has no meaning; when the server starts, a hook is to run before itself.
        DuplicateName: when the project is loaded and two hooks have one name (ONS-1006).

    Example:
        >>> @on_server_startup
        ... def load() -> None:
        ...     print("loading")
        >>> load()
        loading

    4D: On Server Startup (specification 6.2).
    """
    return decorated(STARTUP, function, options)


@overload
def on_server_shutdown(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def on_server_shutdown(
    *, when: When = "running", **options: Unpack[HookOptions]
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def on_server_shutdown(function: Callable[P, R] | None = None, /, *, when: When = "running", **options: Any) -> Any:
    """Run a function once when the server stops.

    It runs when the whole server stops (`onserver stop`, or the last worker leaves), not when one of several workers
    does. One that raises is recorded and shown; the stop goes on.

    Args:
        function: what runs, plain or `async def`; called without arguments.
        when: `running`: while processes still run, so that it can tell loops to end; `drained`: after all have ended.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `hook.timeout_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.
        by_hand: whether it bears to be run by hand, as a trial, from the admin page and by `onserver hooks run`.

    Raises:
        BadDeclaration: ONS-1009, as for `on_server_startup`.

    Example:
        >>> @on_server_shutdown(when="drained")
        ... def report() -> None:
        ...     print("all done")
        >>> report()
        all done

    4D: On Server Shutdown (specification 6.3); there other processes go on while it runs, as with `when="running"`.
    """
    if when not in ("running", "drained"):
        called = options.get("name") or (function.__qualname__ if function is not None else "on_server_shutdown")
        raise BadDeclaration(called, f"has when={when!r}", "It is 'running' or 'drained'.")
    kind = SHUTDOWN if when == "running" else SHUTDOWN_DRAINED
    return decorated(kind, function, options)
