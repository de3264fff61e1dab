"""What a hook is, of which kinds there are, and in which order those of one kind run.

The order is that of declaration: by the names of the task modules, and in one module from top to bottom. `before=` and
`after=` change it for what they name, and for nothing else: of all hooks that may be next, the one declared first is.
Hooks that want to be before each other stop the start of the server.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypedDict

from onserver.errors import BadDeclaration
from onserver.life.hook_arguments import Backup, BackupResult, Connection, HookArgument, SystemEvent
from onserver.life.web_arguments import MobileAction, MobileLogin, RestLogin, WebRequest
from onserver.process.side import BUILT_INS
from onserver.registry import declare, find_name, name_below_tasks
from onserver.server import Server

STARTUP: Final = "on_server_startup"
SHUTDOWN: Final = "on_server_shutdown"
#: The kind of a shutdown hook that runs after everything else has ended.
SHUTDOWN_DRAINED: Final = "on_server_shutdown drained"
BACKUP_STARTUP: Final = "on_backup_startup"
BACKUP_SHUTDOWN: Final = "on_backup_shutdown"
SYSTEM_EVENT: Final = "on_system_event"
OPEN_CONNECTION: Final = "on_server_open_connection"
CLOSE_CONNECTION: Final = "on_server_close_connection"
WEB_AUTHENTICATION: Final = "on_web_authentication"
WEB_CONNECTION: Final = "on_web_connection"
REST_AUTHENTICATION: Final = "on_rest_authentication"
MOBILE_APP_AUTHENTICATION: Final = "on_mobile_app_authentication"
MOBILE_APP_ACTION: Final = "on_mobile_app_action"
#: All of them that workers run, in the order in which people are shown them; those of the web run where that is served.
KINDS: Final = (
    STARTUP, SHUTDOWN, SHUTDOWN_DRAINED, BACKUP_STARTUP, BACKUP_SHUTDOWN, SYSTEM_EVENT, OPEN_CONNECTION,
    CLOSE_CONNECTION,
)  # fmt: skip

#: What the hooks of a kind are called with; those of the others with nothing.
ARGUMENTS: Final[Mapping[str, type[HookArgument]]] = {
    BACKUP_STARTUP: Backup,
    BACKUP_SHUTDOWN: BackupResult,
    SYSTEM_EVENT: SystemEvent,
    OPEN_CONNECTION: Connection,
    CLOSE_CONNECTION: Connection,
    WEB_AUTHENTICATION: WebRequest,
    WEB_CONNECTION: WebRequest,
    REST_AUTHENTICATION: RestLogin,
    MOBILE_APP_AUTHENTICATION: MobileLogin,
    MOBILE_APP_ACTION: MobileAction,
}
#: The kinds whose answer may refuse.
REFUSING: Final = frozenset({BACKUP_STARTUP, OPEN_CONNECTION})

#: Where a hook of a system event runs: once in the cluster, on the machine where it happened, on every worker.
RunOn: TypeAlias = Literal["once", "here", "every"]
#: Other hooks of the same kind: by name, or as the functions themselves.
Others: TypeAlias = str | Callable[..., Any] | Sequence[str | Callable[..., Any]]


class HookOptions(TypedDict, total=False):
    """The options that the decorators of all hooks have, each of which they describe."""

    name: str | None
    timeout: float | None
    before: Others
    after: Others
    by_hand: bool


class Hook:
    """A declared hook; calling it runs the function in place, as a test does.

    Args:
        kind: one of `KINDS`, or of the web's.
        function: what runs; plain, or `async def`.
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; None for the setting `hook.timeout_seconds`.
        before: hooks of this kind that run later.
        after: hooks of this kind that run earlier.
        run_on: where it runs, for a system event.
        by_hand: whether somebody may run it by hand, as a trial, from the admin page.
    """

    def __init__(
        self,
        kind: str,
        function: Callable[..., Any],
        name: str | None = None,
        timeout: float | None = None,
        *,
        before: Others = (),
        after: Others = (),
        run_on: RunOn = "here",
        by_hand: bool = False,
    ) -> None:
        self.kind = kind
        self.function = function
        self.name = name or name_below_tasks(function)
        self.aliases: Sequence[str] = ()
        self.timeout = timeout
        self.before, self.after = _listed(before), _listed(after)
        self.run_on: RunOn = run_on
        self.by_hand = by_hand
        self._check()

    def _check(self) -> None:
        if inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function):
            raise BadDeclaration(self.name, "is a generator, which never runs by itself", "Write a plain function.")
        if any(letter.isspace() for letter in self.name):
            raise BadDeclaration(self.name, "has a name with blanks", "Give it a name without.")
        if self.timeout is not None and not self.timeout > 0:
            raise BadDeclaration(self.name, f"has timeout={self.timeout!r}", "Give seconds above 0.")
        if self.run_on not in ("once", "here", "every"):
            raise BadDeclaration(self.name, f"has run_on={self.run_on!r}", "It is 'once', 'here' or 'every'.")
        if self.by_hand and self.kind not in KINDS:
            raise BadDeclaration(self.name, "has by_hand=True", "No worker runs a hook of the web.")

        arguments = [None] * (self.kind in ARGUMENTS)
        try:
            inspect.signature(self.function).bind(*arguments)
        except TypeError as error:
            wanted = f"one argument, a `{ARGUMENTS[self.kind].__name__}`" if arguments else "no arguments"
            raise BadDeclaration(self.name, f"cannot be called with {wanted}", f"As Python says: {error}.") from error

    @property
    def field(self) -> str:
        """Its field in `hooks:EPOCH`."""
        return f"{self.kind} {self.name}"

    @property
    def awaited(self) -> bool:
        """Whether its function is a coroutine."""
        return inspect.iscoroutinefunction(self.function)

    def seconds(self, server: Server) -> float:
        """How long it may run."""
        return server.settings.hook.timeout_seconds if self.timeout is None else self.timeout

    def describe(self) -> Mapping[str, object]:
        """What other programs may know of it, ready for JSON."""
        return {
            "kind": self.kind, "name": self.name, "timeout": self.timeout, "by_hand": self.by_hand,
            "run_on": self.run_on if self.kind == SYSTEM_EVENT else None, "doc": inspect.getdoc(self.function) or "",
        }  # fmt: skip


def decorated(
    kind: str, function: Callable[..., Any] | None, options: Mapping[str, Any], run_on: RunOn = "here"
) -> Any:
    """What a decorator answers: the function, declared; or, called with options, what declares and answers one.

    Raises:
        BadDeclaration: ONS-1009, as the decorators say.
        TypeError: one of the options is none of `HookOptions`.
    """
    for option in options:
        if option not in HookOptions.__annotations__:
            raise TypeError(f"{kind.partition(' ')[0]}() got an unexpected keyword argument '{option}'")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        declare(kind, Hook(kind, function, **options, run_on=run_on))
        return function

    return decorate if function is None else decorate(function)


def hooks_of(server: Server, kind: str) -> list[Hook]:
    """The hooks of a kind that this program has loaded, in the order in which they run.

    Raises:
        BadDeclaration: ONS-1009, a hook names another that there is not, or several want to be before each other.
    """
    return in_order([hook for hook in server.registry.all(kind) if isinstance(hook, Hook)])


def in_order(hooks: Sequence[Hook]) -> list[Hook]:
    """Put hooks of one kind, given in the order of declaration, into the order in which they run.

    Raises:
        BadDeclaration: ONS-1009, as in `hooks_of`.
    """
    earlier = _earlier(hooks)
    left, ordered = list(hooks), list[Hook]()
    while left:
        done = {hook.name for hook in ordered}
        following = next((hook for hook in left if earlier[hook.name] <= done), None)
        if following is None:
            circle = _circle(left[0].name, earlier)
            problem = f"is to run before itself: {' → '.join(circle)}"
            raise BadDeclaration(circle[0], problem, "Take one `before=` or `after=` of these away.")
        left.remove(following)
        ordered.append(following)
    return ordered


def side_name(hook: Hook) -> str:
    """The name under which a hook is run by itself, as a side run."""
    return f"{hook.kind.replace(' ', '-')}:{hook.name}"


def described_sides(server: Server) -> dict[str, str]:
    """What a worker of this code can run aside, as `Member.register` wants it; tells at the start what order is wrong.

    Raises:
        BadDeclaration: ONS-1009, as in `hooks_of`.
    """
    hooks = [hook for kind in KINDS for hook in hooks_of(server, kind)]
    said = {side_name(hook): f"!{json.dumps({'place': place, **hook.describe()})}" for place, hook in enumerate(hooks)}
    return dict.fromkeys(BUILT_INS, "") | said


def _earlier(hooks: Sequence[Hook]) -> dict[str, set[str]]:
    """For each hook by name, those that run before it."""
    earlier: dict[str, set[str]] = {hook.name: set() for hook in hooks}
    for hook in hooks:
        for other in hook.before:
            earlier[_found(hook, other, hooks)].add(hook.name)
        for other in hook.after:
            earlier[hook.name].add(_found(hook, other, hooks))
    return earlier


def _found(hook: Hook, other: str | Callable[..., Any], hooks: Sequence[Hook]) -> str:
    """The full name of another hook that one names."""
    if not isinstance(other, str):
        same = next((one.name for one in hooks if one.function is other), None)
        if same is not None:
            return same
        other = name_below_tasks(other)
    found, near = find_name(other, [one.name for one in hooks])
    if found is None:
        meant = f"Did you mean `{near[0]}`?" if near else f"There is no other `{hook.kind}` hook like it."
        raise BadDeclaration(hook.name, f"names the `{hook.kind}` hook `{other}`, which there is not", meant)
    return found


def _circle(name: str, earlier: Mapping[str, set[str]]) -> list[str]:
    """From a hook that cannot run back along those that it waits for, until one comes again; in the order of running.

    Every hook that is left waits for one that is left, so this finds a circle; it is cut to that.
    """
    path: list[str] = []
    left = _stuck(earlier)
    at = name
    while at not in path:
        path.append(at)
        at = min(earlier[at] & left)
    return [at, *reversed(path[path.index(at) :])]


def _stuck(earlier: Mapping[str, set[str]]) -> set[str]:
    """The hooks that can never run."""
    left = set(earlier)
    while True:
        free = {name for name in left if not earlier[name] & left}
        if not free:
            return left
        left -= free


def _listed(others: Others) -> tuple[str | Callable[..., Any], ...]:
    return (others,) if isinstance(others, str) or callable(others) else tuple(others)
