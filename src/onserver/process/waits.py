"""A process that waits says so in its record, and a wait that could never end is refused.

Locks, semaphores and waits for other processes are one graph (`waits`): a circle in it is found by the one who would
close it. So is a full house: what is waited for has not begun, and everybody who could take it waits as well, with no
stand-in left to be started.

| wait | is lost when |
|---|---|
| for the end of one process, or its progress | that process waits for the waiter |
| `wait_all` | one of them does |
| `as_completed` | all do that have not ended |
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any, Final, NamedTuple, TypeVar

from onserver.checkpoint import acheckpoint, waiting_for_process
from onserver.errors import DeadlockDetected
from onserver.process.inbox import UNSAID_SECONDS, Awaited
from onserver.process.limits import readable
from onserver.process.pump import Pump
from onserver.process.record import State
from onserver.server import Server
from onserver.session.context import Run, current_run
from onserver.session.facts import entry_of, listed, who
from onserver.session.steps import HEED, Step, Steps, adrive

#: Of so many processes that a run waits for at once each is an edge of the graph.
_MOST: Final = 1000

T = TypeVar("T")


@contextmanager
def shown_as_waiting(server: Server, run: Run, what: str) -> Generator[None]:
    """While the block lasts, the process of `run` is `WAITING` for `what`.

    Raises:
        MemberFenced: ONS-2401, its holder was declared dead.
    """
    say(server, run, State.WAITING, what)
    try:
        yield
    finally:
        say(server, run, State.RUNNING, "")


def say(server: Server, run: Run, state: State, what: str) -> None:
    """Say in the record of the process of `run` what it does.

    Raises:
        MemberFenced: ONS-2401, its holder was declared dead.
    """
    process = server.settings.process
    limits = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
    server.store.run("step", run.holder, 0, 0, *limits, "", 0, run.number, "wait", state, what, "")


class Wanted(NamedTuple):
    """For which processes a run waits.

    Attributes:
        what: as the graph has it: `p:5`, `all:5 6`, `any:5 6`.
        text: the same for people, as it stands in the record of the run.
    """

    what: str
    text: str

    @classmethod
    def one(cls, number: int) -> "Wanted":
        """The end of one process, or what it reports."""
        return cls(f"p:{number}", f"#{number}")

    @classmethod
    def every(cls, numbers: Sequence[int]) -> "Wanted":
        """The ends of all: one that can never end is enough, so of very many some are told."""
        return cls(f"all:{_words(numbers[:_MOST])}", listed(numbers))

    @classmethod
    def first(cls, numbers: Sequence[int]) -> "Wanted":
        """The first end: of very many that could come nobody looks at each."""
        return cls(f"any:{_words(numbers)}" if len(numbers) <= _MOST else "many", f"the first of {listed(numbers)}")


@contextmanager
def waiting_for(server: Server, run: Run, wanted: Wanted) -> Generator[None]:
    """While the block lasts, the process of `run` is `WAITING` for others.

    Raises:
        DeadlockDetected: ONS-2301, what it waits for would never come.
        MemberFenced: ONS-2401, its holder was declared dead.
    """
    if not _begins(server, run, wanted):
        yield
        return
    try:
        with waiting_for_process():
            yield
    finally:
        server.store.run("wait_over", run.owner)


@asynccontextmanager
async def awaiting(server: Server, run: Run, wanted: Wanted) -> AsyncGenerator[None]:
    """`waiting_for` without blocking the loop. Of several waits of a run at once the first is said."""
    said = server.part(_Said).owners
    if run.owner in said:
        yield
        return
    said.add(run.owner)
    try:
        if not await adrive(_step(lambda: _begins(server, run, wanted))):
            yield
            return
        try:
            with waiting_for_process():
                yield
        finally:
            await adrive(_step(lambda: server.store.run("wait_over", run.owner)))
    finally:
        said.discard(run.owner)


async def end_of(server: Server, process: Awaited, number: int, *, say_so: bool = True) -> None:
    """Return when a process has ended, without blocking the loop. In a run this is `awaiting`, from a moment on.

    Args:
        server: whose process it is.
        process: its handle.
        number: its number.
        say_so: False where the caller says what it waits for.

    Raises:
        DeadlockDetected: ONS-2301, that would never come.
        BrokerUnavailable: ONS-1201, Redis could not be reached for some time.
        MemberFenced: ONS-2401, the holder of the run that waits was declared dead.
    """
    await acheckpoint()
    run, pump = current_run(), server.part(Pump)
    if run is None:
        await pump.end(process)
        return
    if say_so:
        with suppress(TimeoutError):
            async with asyncio.timeout(UNSAID_SECONDS):
                await pump.end(process)
    if process.end is None:
        said = awaiting(server, run, Wanted.one(number)) if say_so else nullcontext()
        async with said:
            await adrive(_ends(server, process))


def said_while(server: Server, run: Run, wanted: Wanted, steps: Steps[T]) -> Steps[T]:
    """`waiting_for` while these steps are held, blocking or in a loop."""
    said = server.part(_Said).owners
    if run.owner in said:
        return (yield from steps)
    said.add(run.owner)
    try:
        if not (yield Step(lambda: _begins(server, run, wanted))):
            return (yield from steps)
        try:
            with waiting_for_process():
                answer = yield from steps
        except GeneratorExit:
            raise
        except BaseException:
            yield Step(lambda: server.store.run("wait_over", run.owner))
            raise
        yield Step(lambda: server.store.run("wait_over", run.owner))
        return answer
    finally:
        said.discard(run.owner)


def _ends(server: Server, process: Awaited) -> Steps[None]:
    """The wait itself, which heeds what is asked of the run that waits."""
    end = Step(_nobody, acall=lambda: server.part(Pump).end_or_call(process))
    while process.end is None:
        yield HEED
        yield end


def _step(call: Callable[[], Any]) -> Steps[Any]:
    return (yield Step(call))


def _nobody() -> None:
    """These steps are held in a loop only."""
    raise AssertionError


def _words(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


class _Said:
    """The runs of this program whose wait is said. Made by `server.part(_Said)`."""

    def __init__(self, _server: Server) -> None:
        self.owners: set[str] = set()


def _begins(server: Server, run: Run, wanted: Wanted) -> bool:
    """Say that a run waits for processes; False when what it waits for has come meanwhile."""
    how, *facts = [word.decode() for word in server.store.run("wait_process", run.owner, *wanted)]
    if how == "deadlock":
        raise _circle(server, run, wanted, facts[1:])
    if how == "limited":
        why = f"#{facts[0]} needs a slot of the limit of {readable(facts[1])}, and whoever has one waits as well"
        raise DeadlockDetected(entry_of(wanted.what), "", "", f"#{run.number}", why)
    if how == "full":
        why = f"#{facts[0]} waits in queue `{facts[1]}`, and every executor there waits as well"
        raise DeadlockDetected(entry_of(wanted.what), "", "", f"#{run.number}", why)
    return bool(how != "ended")


def _circle(server: Server, run: Run, wanted: Wanted, chain: Sequence[str]) -> DeadlockDetected:
    pairs = list(zip(chain[::2], chain[1::2], strict=True))
    parts = [f"{who(server.store, owner)} waits for {entry_of(name) or 'the root'}" for owner, name in pairs]
    holder, awaited = (who(server.store, pairs[-1][0]), entry_of(pairs[-1][1])) if pairs else ("", "")
    return DeadlockDetected(entry_of(wanted.what), holder, awaited, f"#{run.number}", " and ".join(parts))
