"""`@procedure`: declares that a server can run a function."""

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Concatenate, Final, Literal, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from onserver.errors import BadDeclaration
from onserver.process.current import ThisProcess
from onserver.process.procedure import AsyncProcedure, Procedure, WhenCut
from onserver.process.rules import RULES, Limit, Missed, PauseWay, Retry, Rules
from onserver.registry import PROCEDURE, declare

P = ParamSpec("P")
R = TypeVar("R")

#: How the names of the framework's own procedures begin.
_OURS: Final = "onserver."


class Options(TypedDict, total=False):
    """The options of `@procedure`, each of which `procedure` describes."""

    name: str | None
    aliases: Sequence[str]
    rerun: bool
    when_cut: WhenCut
    batch: bool
    redact: bool
    queue: str
    priority: int
    requires: str | Sequence[str]
    timeout: float
    grace: float
    expires: float
    pause: PauseWay
    retry: Retry | None
    dead_letter: bool
    limit: Limit | None
    schedule: str
    timezone: str
    missed: Missed
    published: bool


_NAMES: Final = (*Options.__annotations__, "pass_process")


class Declaring(Protocol):
    """What `@procedure(…)` answers: the decorator itself."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncProcedure[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Procedure[P, R]: ...


class DeclaringWithProcess(Protocol):
    """What `@procedure(pass_process=True)` answers: the body's first argument is its process, and no caller's."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[ThisProcess, P], Coroutine[Any, Any, R]], /
    ) -> AsyncProcedure[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[ThisProcess, P], R], /) -> Procedure[P, R]: ...


@overload
def procedure(function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncProcedure[P, R]: ...
@overload
def procedure(function: Callable[P, R], /) -> Procedure[P, R]: ...
@overload
def procedure(*, pass_process: Literal[True], **options: Unpack[Options]) -> DeclaringWithProcess: ...
@overload
def procedure(*, pass_process: Literal[False] = False, **options: Unpack[Options]) -> Declaring: ...
def procedure(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Let a server run this function, in the one stored-procedure session.

    Args:
        function: the function, where the decorator has no arguments. An `async def` one runs in async executors, many
            at a time on one loop.
        options: these:
        name: its name; by default the module below `tasks` and the function's own, as in `shop.add`.
        aliases: earlier names, which waiting processes may still carry.
        rerun: whether it runs again when its worker died; False makes it at-most-once: the process ends `LOST`.
        when_cut: what happens to a run while Redis is silent: `"end"`, it is ended in time and runs again; `"finish"`,
            it runs on, and its result counts if nobody was given the process meanwhile.
        batch: claim and settle several at a time: faster, but one kill runs up to a batch of them again.
        pass_process: pass the process as the first argument of the body, which callers do not see.
        redact: show its arguments nowhere.
        queue: where its processes wait.
        priority: of its processes, 0 to 9; 9 goes first.
        requires: a privilege that whoever asks for it has to have, or several, all of which; looked at when it is
            started and again when it runs. What the server itself starts passes.
        timeout: seconds that one run may take; then it is interrupted, and `grace` seconds later killed. It ends
            `FAILED` with `ProcessTimeout`.
        grace: seconds, see `timeout`.
        expires: seconds after its start within which it must have begun, else it never does.
        pause: what a pause does to a run: `"stop"` stops its executor where it is, `"checkpoint"` waits for its next
            checkpoint, for code that must not be frozen with a transaction open.
        retry: which errors run it again, how often and when.
        dead_letter: with its retries used up it ends `DEAD`, to be looked at and replayed, and not `FAILED`.
        limit: how many at once, or how often, in the whole cluster.
        schedule: cron text; each of its times starts one process in the cluster.
        timezone: IANA name in which the schedule is read.
        missed: what becomes of times that passed while no worker was up: `"skip"`, `"once"` or `"all"`.
        published: let the web start it, by `POST /action/NAME`: the answer is 202 with its number.

    Raises:
        BadDeclaration: ONS-1009, something that cannot be kept: a generator, an unknown option or value.

    Example:
        >>> @procedure
        ... def add(x: int, y: int) -> int:
        ...     return x + y
        >>> add(1, 2)
        3

    4D: a method that is started by *Execute on server*.
    """
    return partial(_declared, options=options) if function is None else _declared(function, options)


def _declared(function: Callable[..., Any], options: Mapping[str, Any]) -> Procedure[..., Any]:
    require_declarable(function, options, _NAMES)
    rules = Rules(**{option: value for option, value in options.items() if option in RULES})
    rest = {option: value for option, value in options.items() if option not in RULES}
    made: Procedure[..., Any]
    if inspect.iscoroutinefunction(function):
        made = AsyncProcedure(function, rules=rules, **rest)
    else:
        made = Procedure(function, rules=rules, **rest)
    require_free_name(made)
    declare(PROCEDURE, made)
    return made


def require_free_name(made: Procedure[..., Any]) -> None:
    """Refuse a name, or an earlier one, that is kept for the framework's own procedures, to whoever is not of it.

    Raises:
        BadDeclaration: ONS-1009.
    """
    if made.function.__module__.startswith(_OURS):
        return
    for name in (made.name, *made.aliases):
        if name.startswith(_OURS):
            raise BadDeclaration(name, f"begins with `{_OURS}`, as the framework's own do", "Give it another name.")


def require_declarable(function: Callable[..., Any], options: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse what no server can run, and options that there are not.

    Args:
        function: what is decorated, which may be anything.
        options: those of its decorator.
        names: those that the decorator has.

    Raises:
        BadDeclaration: ONS-1009.
    """
    name = str(options.get("name") or getattr(function, "__qualname__", None) or repr(function))
    if not inspect.isfunction(function):
        raise BadDeclaration(name, "is no function", "Decorate a plain function of a module.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise BadDeclaration(name, "is a generator, which has no one result", "Return a list.")
    for option in options:
        if option not in names:
            raise BadDeclaration(name, f"has no option `{option}`", f"There are: {', '.join(names)}.")
