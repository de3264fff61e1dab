"""A process that waits for another one says so in its record."""

from collections.abc import Generator
from contextlib import contextmanager

from onserver.process.record import State
from onserver.server import Server
from onserver.session.context import Run


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
