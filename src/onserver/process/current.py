"""`process()`: the run that asks, from inside."""

from typing import Any

from onserver.checkpoint import checkpoint
from onserver.errors import ProcessNotFound
from onserver.process.handle import Process
from onserver.server import Server
from onserver.session.context import Run, current_run


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

    def checkpoint(self) -> None:
        """Heed what was asked of this process, if anything was: stop for good, or wait until its pause is over.

        Every call of storage, and every wait, is one already; this is for long stretches without them.
        """
        checkpoint()

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
