"""A process that waits says so in its record, and a wait that could never end is refused.

Locks, semaphores and waits for other processes are one graph (`waits`): a circle in it is found by the one who would
close it. So is a full house: what is waited for has not begun, and everybody who could take it waits as well, with no
stand-in left to be started.
"""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from onserver.checkpoint import acheckpoint, waiting_for_process
from onserver.errors import DeadlockDetected
from onserver.process.inbox import Awaited
from onserver.process.limits import readable
from onserver.process.pump import Pump
from onserver.process.record import State
from onserver.server import Server
from onserver.session.context import Run, current_run
from onserver.session.facts import entry_of, who
from onserver.session.steps import HEED, Step, Steps, adrive

#: How long a process waits for another before it says so: shorter waits are not worth two round trips.
UNSAID_SECONDS: Final = 0.05


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


@contextmanager
def waiting_for(server: Server, run: Run, number: int) -> Generator[None]:
    """While the block lasts, the process of `run` is `WAITING` for the end of another.

    Raises:
        DeadlockDetected: ONS-2301, that would never come.
        MemberFenced: ONS-2401, its holder was declared dead.
    """
    if not _begins(server, run, number):
        yield
        return
    try:
        with waiting_for_process():
            yield
    finally:
        server.store.run("wait_over", run.owner)


async def end_of(server: Server, process: Awaited, number: int) -> None:
    """Return when a process has ended, without blocking the loop. In a run this is `waiting_for`, from a moment on.

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
    with suppress(TimeoutError):
        async with asyncio.timeout(UNSAID_SECONDS):
            await pump.end(process)
    if process.end is None:
        await adrive(_said(server, run, process, number))


def _ends(server: Server, process: Awaited) -> Steps[None]:
    """The wait itself, which heeds what is asked of the run that waits."""
    end = Step(_nobody, acall=lambda: server.part(Pump).end_or_call(process))
    while process.end is None:
        yield HEED
        yield end


def _said(server: Server, run: Run, process: Awaited, number: int) -> Steps[None]:
    """`waiting_for` as steps. Of several waits of a run at once the first is said."""
    said = server.part(_Said).owners
    if run.owner in said:
        yield from _ends(server, process)
        return
    said.add(run.owner)
    try:
        if not (yield Step(lambda: _begins(server, run, number))):
            yield from _ends(server, process)
            return
        try:
            with waiting_for_process():
                yield from _ends(server, process)
        except GeneratorExit:
            raise
        except BaseException:
            yield Step(lambda: server.store.run("wait_over", run.owner))
            raise
        yield Step(lambda: server.store.run("wait_over", run.owner))
    finally:
        said.discard(run.owner)


def _nobody() -> None:
    """These steps are held in a loop only."""
    raise AssertionError


class _Said:
    """The runs on this loop whose wait is said. Made by `server.part(_Said)`."""

    def __init__(self, _server: Server) -> None:
        self.owners: set[str] = set()


def _begins(server: Server, run: Run, number: int) -> bool:
    """Say that a run waits for a process; False when that has ended meanwhile."""
    how, *facts = [word.decode() for word in server.store.run("wait_process", run.owner, number)]
    if how == "deadlock":
        raise _circle(server, run, number, facts[1:])
    if how == "limited":
        why = f"#{facts[0]} needs a slot of the limit of {readable(facts[1])}, and whoever has one waits as well"
        raise DeadlockDetected(f"the end of #{number}", "", "", f"#{run.number}", why)
    if how == "full":
        why = f"#{facts[0]} waits in queue `{facts[1]}`, and every executor there waits as well"
        raise DeadlockDetected(f"the end of #{number}", "", "", f"#{run.number}", why)
    return bool(how != "ended")


def _circle(server: Server, run: Run, number: int, chain: Sequence[str]) -> DeadlockDetected:
    pairs = list(zip(chain[::2], chain[1::2], strict=True))
    parts = [f"{who(server.store, owner)} waits for {entry_of(wanted) or 'the root'}" for owner, wanted in pairs]
    holder, awaited = (who(server.store, pairs[-1][0]), entry_of(pairs[-1][1])) if pairs else ("", "")
    return DeadlockDetected(f"the end of #{number}", holder, awaited, f"#{run.number}", " and ".join(parts))
