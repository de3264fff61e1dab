"""What goes wrong when a server's keys are copied for a backup, put back from one, or logged between two."""

from __future__ import annotations

from onserver.errors.life import BackupError


class CutLost(BackupError):
    """The copy of a server's keys was no longer whole, and was given up: `reason` ends the sentence."""

    code = 5221
    reason: str

    @property
    def message(self) -> str:
        return f"The copy of the server's keys was given up: {self.reason}."

    @property
    def hint(self) -> str:
        return "Nothing was written. Make the backup again."


class CutNeverEnds(BackupError):
    """So much is written all the time that copying never catches up; code 1405 of the original."""

    code = 5222
    passes: int
    keys: int
    bytes: int

    @property
    def message(self) -> str:
        return (
            f"After {self.passes} passes over the server's keys, {self.keys:,} of them ({self.bytes:,} bytes) "
            "had changed again: they are written faster than they are copied."
        )

    @property
    def hint(self) -> str:
        return "Make the backup when less is written, or under `onserver maintenance on`."
