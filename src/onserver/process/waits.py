"""A process that waits says so in its record, and a wait that could never end is refused.

Locks, semaphores and waits for other processes are one graph (`waits`): a circle in it is found by the one who would
close it. So is a full house: what is waited for has not begun, and everybody who could take it waits as well, with no
stand-in left to be started.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from onserver.checkpoint import waiting_for_process
from onserver.errors import DeadlockDetected
from onserver.process.record import State
from onserver.server import Server
from onserver.session.context import Run
from onserver.session.facts import entry_of, who


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
    owner = run.owner
    how, *facts = [word.decode() for word in server.store.run("wait_process", owner, number)]
    if how == "deadlock":
        raise _circle(server, run, number, facts[1:])
    if how == "full":
        why = f"#{facts[0]} waits in queue `{facts[1]}`, and every executor there waits as well"
        raise DeadlockDetected(f"the end of #{number}", "", "", f"#{run.number}", why)
    if how == "ended":
        yield
        return
    try:
        with waiting_for_process():
            yield
    finally:
        server.store.run("wait_over", owner)


def _circle(server: Server, run: Run, number: int, chain: Sequence[str]) -> DeadlockDetected:
    pairs = list(zip(chain[::2], chain[1::2], strict=True))
    parts = [f"{who(server.store, owner)} waits for {entry_of(wanted) or 'the root'}" for owner, wanted in pairs]
    holder, awaited = (who(server.store, pairs[-1][0]), entry_of(pairs[-1][1])) if pairs else ("", "")
    return DeadlockDetected(f"the end of #{number}", holder, awaited, f"#{run.number}", " and ".join(parts))
