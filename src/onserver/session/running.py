"""What this program is running just now, and in whose name it locks.

The run is kept in a context variable, so coroutines, and threads that are started with the context, see their own. A
thread that a task starts by plain `threading.Thread` has an empty context; it belongs to the run of the main thread,
when there is exactly one: executors, and Celery's prefork and solo pools, run in their main thread and one at a time.
A program that runs procedures in other threads (Celery's threads pool, a test with a worker thread), or several at a
time on one loop, gets no such guess, since a wrong one would lend a lock to a stranger. Nor does a thread that serves a
request of the web: what runs in the main thread meanwhile is none of its business.
"""

import asyncio
import itertools
import threading
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary, ref

from msgspec import Struct


class Running(Struct, frozen=True, kw_only=True):
    """One delivery of one process, as locks need to know it."""

    #: Number of the process.
    number: int
    #: Which delivery this is: 1 for the first.
    delivery: int
    #: The executor's life that runs it, "member.incarnation".
    holder: str

    @property
    def owner(self) -> str:
        """The name under which this run locks: "member.incarnation/number.delivery"."""
        return f"{self.holder}/{self.number}.{self.delivery}"


RunT = TypeVar("RunT", bound="Running")


class Announcer(Protocol):
    """Something that may have words of a run that are not in Redis yet: told before the end of the run is said."""

    def ending(self, run: Running) -> None:
        """Write what the run has said. Must not raise: its end has to be said in any case."""


class Keeper(Protocol):
    """Something that may still hold what a run took: told when the run is left."""

    def left(self, run: Running) -> None:
        """Give up what the run holds. Must not raise: an error here would hide how the run ended."""


_announcers: "tuple[ref[Announcer], ...]" = ()
_keepers: "tuple[ref[Keeper], ...]" = ()


def tell_before_end(announcer: Announcer) -> None:
    """Have the announcer told before the end of every run in this program, for as long as it lives."""
    global _announcers  # replaced whole, so that whoever goes through it is not disturbed
    _announcers = (*(known for known in _announcers if known() is not None), ref(announcer))


def ending(run: Running) -> None:
    """Let what a run has said be written: its end is said next. May be called more than once."""
    for known in _announcers:
        announcer = known()
        if announcer is not None:
            announcer.ending(run)


def tell_when_left(keeper: Keeper) -> None:
    """Have the keeper told of every run that is left in this program, for as long as the keeper lives."""
    global _keepers  # replaced whole, so that whoever goes through it is not disturbed
    _keepers = (*(known for known in _keepers if known() is not None), ref(keeper))


_running: ContextVar[Running | None] = ContextVar("onserver_running", default=None)
#: What is being served in this context: see `context`.
served_here: Final[ContextVar[object | None]] = ContextVar("onserver_served", default=None)
_in_main_thread: list[Running] = []


class entered(Generic[RunT]):  # noqa: N801  # used as a `with` statement's word
    """Make `run` what is running in this context, until the block ends.

    Args:
        run: what runs.
        alone: False where the main thread runs others as well meanwhile.
    """

    __slots__ = ("_alone", "_main", "_run", "_token")

    def __init__(self, run: RunT, *, alone: bool = True) -> None:
        self._run, self._alone = run, alone

    def __enter__(self) -> RunT:
        self._main = self._alone and threading.current_thread() is threading.main_thread()
        self._token = _running.set(self._run)
        if self._main:
            _in_main_thread.append(self._run)
        return self._run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._main:
            _in_main_thread.remove(self._run)
        _running.reset(self._token)
        ending(self._run)
        for known in _keepers:
            keeper = known()
            if keeper is not None:
                keeper.left(self._run)


def running() -> Running | None:
    """Answer what runs in this context; in a stray thread, the only run of the main thread, if there is one."""
    found = _running.get()
    if found is not None or served_here.get() is not None or len(_in_main_thread) != 1:
        return found
    return None if threading.current_thread() is threading.main_thread() else _in_main_thread[0]


def running_here() -> Running | None:
    """Answer what runs in this very context, without the guess for a stray thread."""
    return _running.get()


_serials = itertools.count(1)
_of_thread = threading.local()
_of_task: WeakKeyDictionary[asyncio.Task[object], int] = WeakKeyDictionary()


def strand() -> str:
    """Name who locks outside of runs: this task ("aSERIAL"), or this thread ("tSERIAL") where no loop is running.

    No name is used twice in a program.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop is running in this thread
        task = None
    if task is not None:
        return f"a{_of_task.get(task) or _of_task.setdefault(task, next(_serials))}"
    serial: int | None = getattr(_of_thread, "serial", None)
    if serial is None:
        serial = _of_thread.serial = next(_serials)
    return f"t{serial}"
