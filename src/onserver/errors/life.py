"""What goes wrong with hooks and backups."""

from __future__ import annotations

from onserver.errors.facts import OnServerError


class BackupError(OnServerError):
    """A backup was not made or not restored."""

    code = 5200


class BackupVetoed(BackupError):
    """A hook refused the backup with a code."""

    code = 5201
    hook: str
    answer: int
    reason: str = ""

    @property
    def message(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"Hook `{self.hook}` refused the backup with {self.answer}{why}."


class BackupCorrupt(BackupError):
    """An archive is damaged."""

    code = 5202
    path: str
    problem: str

    @property
    def message(self) -> str:
        return f"Archive `{self.path}` is damaged: {self.problem}."


class RestoreRefused(BackupError):
    """An archive must not be restored here and now."""

    code = 5203
    path: str
    problem: str

    @property
    def message(self) -> str:
        return f"`{self.path}` was not restored: {self.problem}."


class HookFailed(OnServerError):
    """A hook raised; `event` is its kind, `outcome` what this stopped."""

    code = 5301
    event: str
    hook: str
    error: str
    outcome: str = "The server did not start."
    remote_traceback: str = ""

    @property
    def message(self) -> str:
        stop = "" if self.error.endswith((".", "!", "?")) else "."
        return f"`{self.event}` hook `{self.hook}` raised {self.error}{stop} {self.outcome}"
