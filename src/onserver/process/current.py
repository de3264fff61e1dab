"""`process()`: the run that asks, from inside."""

from datetime import UTC, datetime
from typing import Any

from onserver.checkpoint import acheckpoint, checkpoint
from onserver.errors import ProcessNotFound
from onserver.process.handle import Process
from onserver.process.progress import Reporter
from onserver.process.sleeping import sleeping
from onserver.server import Server
from onserver.session.context import Run, current_run
from onserver.session.steps import adrive, drive, refuse_in_loop


class ThisProcess(Process[Any]):
    """The process that is running here: a handle that knows its run."""

    __slots__ = ("_run",)

    def __init__(self, server: Server, run: Run) -> None:
        super().__init__(server, run.number, name=run.name, procedure=run.procedure)
        self._run = run

    @property
    def deliveries(self) -> int:
        """Which run of this process this is: 1 for the first; more when a worker died while it ran."""
        return self._run.delivery

    @property
    def attempt(self) -> int:
        """Which attempt this is: 1 for the first; more when earlier ones raised, and `retry=` lets it run again."""
        return self._run.attempt

    @property
    def scheduled(self) -> datetime | None:
        """The time of its schedule for which this process is, in UTC; None where it was not started for one.

        It runs later than that: by a moment, or by as long as no worker was up. One round trip.
        """
        ms = self.record().scheduled_ms
        return datetime.fromtimestamp(ms / 1000, UTC) if ms else None

    def checkpoint(self) -> None:
        """Heed what was asked of this process, if anything was: stop for good, or wait until its pause is over.

        Every call of storage, and every wait, is one already; this is for long stretches without them. In an async
        executor it does not wait: a pause is heeded at the next `await`.
        """
        checkpoint()

    async def acheckpoint(self) -> None:
        """`checkpoint` in a running loop: while a pause lasts, this waits and others go on."""
        await acheckpoint()

    def report(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far this process is: for `ps`, `onserver call --progress`, `Process.progress()` and its record.

        May be called for each item of a long loop: what is said is written five times a second at most, and the last
        report always. It waits for nothing, and is a checkpoint.

        Args:
            done: how much is done, in any unit.
            total: of how much, in the same unit; None where that is not known.
            note: a few words for people, at most 200 characters.

        Raises:
            BadArguments: ONS-1105, these are no numbers.
            MemberFenced: ONS-2401, the process was given to another worker meanwhile.

        4D: none; a process writes to a variable that others poll.
        """
        checkpoint()
        self._server.part(Reporter).report(self._run, done, total, note)

    def sleep(self, seconds: float) -> bool:
        """Sleep, and heed meanwhile what is asked of this process. True when somebody woke it before the time was over.

        Args:
            seconds: fractions are allowed, and `math.inf`; less than 0.05 cannot be cut short.

        Raises:
            SyncInAsyncError: ONS-2302, in a running event loop; `await process().asleep(…)` there.

        Example:
            >>> @procedure
            ... def nap() -> bool:
            ...     return process().sleep(600)
            >>> napping = execute_on_server(nap)
            >>> while not napping.wake():  # not asleep yet
            ...     pass
            >>> napping.result(timeout=10)
            True

        4D: `DELAY PROCESS` of the current process, which counts in ticks of 1/60 s. `Process.wake` and `Process.delay`
        end or change it.
        """
        refuse_in_loop("process().sleep(…)", "await process().asleep(…)")
        return drive(sleeping(self._server, self._run, seconds))

    async def asleep(self, seconds: float) -> bool:
        """`sleep` without blocking the loop."""
        return await adrive(sleeping(self._server, self._run, seconds))

    @property
    def procedure(self) -> str:
        """Full name of the procedure."""
        return self._run.procedure


def process() -> ThisProcess:
    """Answer the process that is running here.

    Raises:
        ProcessNotFound: ONS-2001, no process is running here.

    Example:
        >>> @procedure
        ... def import_feed() -> int:
        ...     return process().deliveries  # more than 1: an earlier run was cut off

    4D: `Current process`.
    """
    run = current_run()
    if run is None:
        raise ProcessNotFound
    return ThisProcess(Server.current(), run)
