"""What goes wrong with hooks and backups."""

from __future__ import annotations

from collections.abc import Sequence

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
    """An archive is damaged; `member` is the part of it at which this showed, empty where it is none."""

    code = 5202
    path: str
    problem: str
    member: str = ""

    @property
    def message(self) -> str:
        where = f" at `{self.member}`" if self.member else ""
        return f"Archive `{self.path}` is damaged{where}: {self.problem}."

    @property
    def hint(self) -> str:
        return "Take another one: `onserver backup verify --all` tells which are whole."


class RestoreRefused(BackupError):
    """An archive must not be restored here and now."""

    code = 5203
    path: str
    problem: str

    @property
    def message(self) -> str:
        return f"`{self.path}` was not restored: {self.problem}."


class ArchiveTooNew(BackupError):
    """An archive has a newer form (`format`) than the newest that this release reads (`ours`)."""

    code = 5204
    path: str
    format: int
    ours: int

    @property
    def message(self) -> str:
        return f"Archive `{self.path}` has form {self.format}; this release reads forms up to {self.ours}."

    @property
    def hint(self) -> str:
        return "Use the release of onserver that wrote it, or a newer one."


class ArchiveNotWritten(BackupError):
    """An archive did not get to its place; `kind` is one of full, denied, exists, missing, failed."""

    code = 5205
    path: str
    problem: str
    kind: str = "failed"

    @property
    def message(self) -> str:
        return f"Archive `{self.path}` was not written: {self.problem}. What was begun has been removed."

    @property
    def hint(self) -> str:
        return {
            "full": "Make room there, or set `backup.folder` to a place that has some.",
            "denied": "Let this user write there, or set `backup.folder` to a folder that it may write.",
            "exists": "Nothing is ever overwritten: move that file away if it is in the way.",
            "missing": "Make or mount it, or set `backup.folder` to one that is there.",
        }.get(self.kind, "Earlier archives are as they were.")


class ArchiveSealed(BackupError):
    """An archive is encrypted, or is to be, and what was given for it does not do; `problem` ends the sentence."""

    code = 5206
    path: str
    problem: str

    @property
    def message(self) -> str:
        return f"Archive `{self.path}` is sealed, but {self.problem}."

    @property
    def hint(self) -> str:
        return "The key file of one of its recipients opens it; `age-keygen` makes one and tells its recipient."


class SourceFailed(BackupError):
    """A part of a backup could not be saved or restored; `source` is the folder, file or database."""

    code = 5207
    source: str
    problem: str

    @property
    def message(self) -> str:
        return f"`{self.source}`: {self.problem}."


class ArchiveNotFound(BackupError, LookupError):
    """There is no such archive."""

    code = 5208
    path: str

    @property
    def message(self) -> str:
        return f"There is no archive `{self.path}`."

    @property
    def hint(self) -> str:
        return "See all: `onserver backup ls`."


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
        return f"`{self.event}` hook `{self.hook}` raised {self.error}{stop} {self.outcome}".rstrip()


class HookNotFound(OnServerError, LookupError):
    """There is no hook of this name; `near` holds names that resemble it, or the kinds that have one, best first."""

    code = 5302
    name: str
    near: Sequence[str] = ()

    @property
    def message(self) -> str:
        return f"There is no one hook `{self.name}`."

    @property
    def hint(self) -> str:
        near = f"Did you mean {' or '.join(f'`{name}`' for name in self.near)}? " if self.near else ""
        return f"{near}See all: `onserver hooks ls`."
