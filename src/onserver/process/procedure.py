"""A procedure: a function that a server can run; and `Start`, one way of starting it.

A procedure is still its function: called, it runs in place. Started, it becomes a process. What is said of the
procedure belongs to its declaration, what is said of one start to `options`, and neither is ever mixed with the
function's own arguments.

It is a Celery task as well, without this module knowing Celery: `.s`, `.delay` and the like ask the Celery part of
onserver, loaded when first used, for the task of this procedure.
"""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast

from onserver.errors import BadDeclaration
from onserver.lazy import load
from onserver.process.after_commit import check as check_commit
from onserver.process.current import process
from onserver.process.handle import Process
from onserver.process.limits import KeyOf, describe_limit, key_of
from onserver.process.put import Delay, Order, describe
from onserver.process.rules import LONGEST_SECONDS, Rules
from onserver.process.shape import Shape
from onserver.process.side import PREFIX
from onserver.process.start import start, start_async
from onserver.registry import name_below_tasks
from onserver.session.roles_resources import Resource

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

WhenCut = Literal["end", "finish"]


class Procedure(Generic[P, R_co]):
    """A function that a server can run. Made by `@procedure`; calling it runs the function in place.

    Example:
        >>> add(1, 2)
        3
        >>> add.start(1, 2).result(timeout=10)
        3
    """

    #: What it is to `roles.json`; None for the method of its name.
    resource: Resource | None = None

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        aliases: Sequence[str] = (),
        rerun: bool = True,
        when_cut: WhenCut = "end",
        batch: bool = False,
        pass_process: bool = False,
        redact: bool = False,
        queue: str = "default",
        priority: int = 5,
        requires: str | Sequence[str] = (),
        published: bool = False,
        rules: Rules | None = None,
    ) -> None:
        self.name = name or name_below_tasks(function)
        self.aliases: Sequence[str] = tuple(aliases)
        self.function = function
        self.pass_process = pass_process
        self.published = published
        self.rules = rules or Rules()
        ways = "L" * self.rules.dead_letter + "P" * (self.rules.pause == "checkpoint")
        self._flags = "R" * (not rerun) + "F" * (when_cut == "finish") + "B" * batch + "D" * redact + ways
        self.queue, self.priority = queue, priority
        self.requires: tuple[str, ...] = (requires,) if isinstance(requires, str) else tuple(requires)
        _check(self, when_cut)
        self.rules.check(self.name)
        if self.rules.limit and self.rules.limit.key is not None:
            _ = self.limit_key  # what it cannot keep is refused here
        if self.rules.schedule:  # what reads cron texts takes longer to import than all this
            load("onserver.process.timing:check")(self.name, self.rules.schedule, self.rules.timezone)
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now, in the caller's own process."""
        given = (process(), *args) if self.pass_process else args
        result: R_co = self.function(*given, **kwargs)
        return result

    @functools.cached_property
    def shape(self) -> Shape:
        """What may be passed."""
        return Shape.of(self.function, skip=1 if self.pass_process else 0)

    @functools.cached_property
    def limit_key(self) -> KeyOf | None:
        """How the key of its limit is found; None where its limit has no keys, or there is none."""
        limit = self.rules.limit
        return key_of(self.name, self.function, limit, skip=1 if self.pass_process else 0) if limit else None

    @functools.cached_property
    def order(self) -> Order:
        """What a start without options puts."""
        return Order(
            procedure=self.name,
            shape=self.shape,
            flags=self._flags,
            queue=self.queue,
            priority=self.priority,
            timeout=self.rules.timeout,
            grace=self.rules.grace,
            expires=self.rules.expires,
            limit_key=self.limit_key,
            requires=self.requires,
            resource=self.resource,
        )

    def start(self, *args: P.args, **kwargs: P.kwargs) -> Process[R_co]:
        """Start a process; the same as `execute_on_server(procedure, …)`, which see."""
        return start(self.order, args, kwargs)

    async def astart(self, *args: P.args, **kwargs: P.kwargs) -> Process[R_co]:
        """Start a process without blocking the loop."""
        return await start_async(self.order, args, kwargs)

    def options(
        self,
        *,
        name: str = "",
        unique: bool | Literal["error"] = False,
        key: str = "",
        key_window: float = 86_400.0,
        queue: str | None = None,
        priority: int | None = None,
        delay: Delay = 0.0,
        timeout: float | None = None,
        expires: float | None = None,
        after_commit: Any = None,
    ) -> "Start[P, R_co]":
        """Say how one start is to be made; the answer is called or passed to `execute_on_server`.

        Args:
            name: the name of the process; several may have the same one. May not begin with `$`.
            unique: with a name: while a process of that name is alive, answer it and start none; `"error"` raises
                `AlreadyRunning` instead.
            key: a key of your own: for `key_window` seconds the same key gives back the same process, ended or not; for
                other arguments it is refused.
            key_window: seconds.
            queue: another queue than the procedure's.
            priority: 0 to 9, 9 goes first; the procedure's by default.
            delay: seconds, a timedelta, or an aware datetime before which it does not run. It waits in Redis.
            timeout: seconds that one run may take, 0 for no limit; the procedure's by default.
            expires: seconds from now within which it must have begun, else it never does; 0 for no limit. Its `delay`
                counts too. The procedure's by default.
            after_commit: a session of SQLAlchemy, or the name of a database of Django's (`"default"`): the process is
                put once the present transaction there has committed, never after a rollback, and its handle has no
                number until then. A crash between commit and put loses the start: give it a `key` and ask again.

        Raises:
            BadDeclaration: ONS-1009, an option cannot be kept.

        Example:
            >>> @procedure
            ... def total(a: int, b: int) -> int:
            ...     return a + b
            >>> total.options(name="totals", unique=True, delay=60)
            <Start of ...total name='totals' unique=True delay=60>
        """
        order = replace(
            self.order,
            name=name,
            unique=unique,
            key=key,
            key_window=key_window,
            queue=self.queue if queue is None else queue,
            priority=self.priority if priority is None else priority,
            delay=delay,
            timeout=self.rules.timeout if timeout is None else timeout,
            expires=self.rules.expires if expires is None else expires,
            after_commit=after_commit,
        )
        _check_order(order)
        return Start(self, order)

    def describe(self) -> Mapping[str, object]:
        """Answer what other programs may know of it, ready for JSON."""
        described = describe(self.order, inspect.getdoc(self.function) or "") | describe_limit(self.rules.limit)
        return described | ({"published": True} if self.published else {})

    # -- as a Celery task

    @property
    def task(self) -> Any:
        """The Celery task of this procedure."""
        return load("onserver.celery_app.app:task_of")(self)

    def s(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Answer Celery's signature of a call, for its canvas: `group(add.s(i, i) for i in range(3))`."""
        return self.task.s(*args, **kwargs)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Answer an immutable signature: one that takes no result of the step before it."""
        return self.task.si(*args, **kwargs)

    def signature(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Answer Celery's signature with options."""
        return self.task.signature(args, kwargs, **options)

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Start a process as Celery does; the answer is Celery's `AsyncResult`."""
        return self.task.delay(*args, **kwargs)

    def apply_async(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Start a process as Celery does, with its options; the answer is Celery's `AsyncResult`."""
        return self.task.apply_async(args, kwargs, **options)

    def __repr__(self) -> str:
        return f"<Procedure {self.name}>"


class AsyncProcedure(Procedure[P, R_co]):
    """A procedure whose function is `async def`: it runs in async executors. Calling it answers the coroutine."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:  # type: ignore[override]
        """Answer the coroutine of the function, to be awaited here and now, in the caller's own process."""
        return cast("Coroutine[Any, Any, R_co]", super().__call__(*args, **kwargs))


@dataclass(frozen=True, repr=False)
class Start(Generic[P, R_co]):
    """A procedure with the options of one start. Made by `Procedure.options`; calling it starts a process.

    Example:
        >>> urgent = add.options(name="sum", priority=9)
        >>> urgent(1, 2).result(timeout=10)
        3
    """

    procedure: Procedure[P, R_co]
    order: Order

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Process[R_co]:
        """Start a process with these options."""
        return start(self.order, args, kwargs)

    def start(self, *args: P.args, **kwargs: P.kwargs) -> Process[R_co]:
        """Start a process with these options."""
        return start(self.order, args, kwargs)

    async def astart(self, *args: P.args, **kwargs: P.kwargs) -> Process[R_co]:
        """Start a process with these options without blocking the loop."""
        return await start_async(self.order, args, kwargs)

    def __repr__(self) -> str:
        usual = self.procedure.order
        names = ("name", "unique", "key", "key_window", "queue", "priority", "delay", "timeout", "expires")
        said = [(name, getattr(self.order, name)) for name in (*names, "after_commit")]
        shown = [f" {name}={value!r}" for name, value in said if value != getattr(usual, name)]
        return f"<Start of {self.procedure.name}{''.join(shown)}>"


def _check(made: Procedure[..., Any], when_cut: str) -> None:
    if when_cut not in {"end", "finish"}:
        raise BadDeclaration(made.name, f"has when_cut={when_cut!r}", "It is `end` or `finish`.")
    _check_words(made.name, made.queue, made.priority)
    for name in (made.name, *made.aliases):
        if not name or any(letter.isspace() for letter in name):
            raise BadDeclaration(made.name, f"cannot be named {name!r}", "A name has letters and no blanks.")
    for privilege in cast("tuple[object, ...]", made.requires):
        if not isinstance(privilege, str) or not privilege.strip():
            raise BadDeclaration(made.name, f"requires {privilege!r}", "Give names of privileges of `roles.json`.")


def _check_order(order: Order) -> None:
    _check_words(order.procedure, order.queue, order.priority)
    if order.unique and not order.name:
        raise BadDeclaration(order.procedure, "was started with `unique` and no `name`", "Say which name is unique.")
    if order.unique not in (True, False, "error"):
        raise BadDeclaration(order.procedure, f"has unique={order.unique!r}", 'It is True, False or "error".')
    if order.name.startswith("$"):
        problem = f"cannot be started as `{order.name}`: `$` names a local process"
        raise BadDeclaration(order.procedure, problem, "To run it in this program, call it.")
    for option, seconds in (("timeout", order.timeout), ("expires", order.expires)):
        if not 0 <= seconds <= LONGEST_SECONDS:
            raise BadDeclaration(order.procedure, f"has {option}={seconds!r}", "Give seconds, 0 for no limit.")
    check_commit(order.procedure, order.after_commit)
    if not order.key_window >= 1:
        raise BadDeclaration(order.procedure, f"has key_window={order.key_window!r}", "Give seconds, 1 or more.")


def _check_words(name: str, queue: str, priority: int) -> None:
    if not queue or any(letter.isspace() for letter in queue):
        raise BadDeclaration(name, f"cannot wait in queue {queue!r}", "A queue's name has letters and no blanks.")
    if queue.startswith(PREFIX):
        raise BadDeclaration(name, f"cannot wait in queue {queue!r}", f"`{PREFIX}` is for the framework's own queues.")
    if type(cast("object", priority)) is not int or not 0 <= priority <= 9:
        raise BadDeclaration(name, f"has priority {priority!r}", "It is 0 to 9; 9 goes first.")
