"""What goes wrong with a backup as a whole; what goes wrong with an archive is told in `life`."""

from __future__ import annotations

from onserver.errors.life import BackupError


class BackupFailed(BackupError):
    """A backup was not made; `number` is one of the specification's codes, `path` the archive or source at fault."""

    code = 5209
    number: int
    reason: str
    path: str = ""

    @property
    def message(self) -> str:
        where = f" (`{self.path}`)" if self.path else ""
        return f"The backup failed with {self.number}: {self.reason}{where}."

    @property
    def hint(self) -> str:
        return "The archives before it are untouched. `onserver backup info` tells when the next one is due."


class BackupRunning(BackupError):
    """A backup is being made: one runs at a time; `process` is its number, 0 where a program outside makes it."""

    code = 5210
    process: int
    seconds: float

    @property
    def message(self) -> str:
        who = f"#{self.process}" if self.process else "a program outside of workers"
        return f"A backup is being made already, by {who} for {self.seconds:.0f} s."

    @property
    def hint(self) -> str:
        return f"`onserver ps {self.process}` shows how far it is." if self.process else ""
