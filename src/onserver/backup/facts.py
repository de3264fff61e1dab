"""What is known of backups and restores, for programs: `backup_info()` and `restore_info()`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from onserver.backup.codes import MEANINGS, Code
from onserver.backup.history import Operation
from onserver.backup.state import State
from onserver.server import Server


@dataclass(frozen=True, kw_only=True)
class BackupInfo:
    """How the last backup ended, and when the next one is due.

    Attributes:
        last: when the last one began; None where there was none.
        code: how it ended, 0 is well; a hook's own number where one refused it.
        reason: the same in words.
        seconds: how long it took.
        number: of its archive, 0 where it got none.
        path: of its archive, None where there is none.
        good: when the last one that ended well began; None where none did.
        next: when the next one by schedule is due, tries after a failure among them; None where none is.
        attempts: how many by schedule have failed in a row.
        suspended: none is started by schedule any more (1401), until a restart or a backup by hand that ends well.
        process: number of the one that is being made now; None where none is, 0 where no worker makes it.
    """

    last: datetime | None = None
    code: int = 0
    reason: str = ""
    seconds: float = 0.0
    number: int = 0
    path: str | None = None
    good: datetime | None = None
    next: datetime | None = None
    attempts: int = 0
    suspended: bool = False
    process: int | None = None


@dataclass(frozen=True, kw_only=True)
class RestoreInfo:
    """How the last restore ended.

    Attributes:
        last: when it began; None where there was none.
        code: how it ended, 0 is well.
        reason: the same in words.
        path: of the archive.
    """

    last: datetime | None = None
    code: int = 0
    reason: str = ""
    path: str | None = None


def backup_info() -> BackupInfo:
    """How the last backup of the current server ended, and when the next one is due.

    Raises:
        NotConnected: ONS-1005, this program has no server.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.

    Example:
        >>> from onserver import backup_info
        >>> backup_info().last is None  # no backup yet
        True

    4D: `BACKUP INFO`. Selector 0 is `last`, 2 is `code` and `reason`, 4 is `next`, 5 is `seconds` and `last`.
    """
    state = State(Server.current().store)
    last, good, going = state.last(), state.last("good"), state.going()
    _, standing = state.standing()
    coming = 0 if standing.suspended else min(filter(None, (standing.retry_ms, standing.next_ms)), default=0)
    reason = last.reason if last else ""
    if standing.suspended:
        reason = f"{reason}; {Code.TOO_MANY_ATTEMPTS}: {MEANINGS[Code.TOO_MANY_ATTEMPTS]}".lstrip("; ")
    return BackupInfo(
        last=_moment(last),
        code=last.code if last else 0,
        reason=reason,
        seconds=last.seconds if last else 0.0,
        number=last.number if last else 0,
        path=(last.path or None) if last else None,
        good=_moment(good),
        next=datetime.fromtimestamp(coming / 1000, UTC) if coming else None,
        attempts=standing.attempts,
        suspended=bool(standing.suspended),
        process=going.process if going else None,
    )


def restore_info() -> RestoreInfo:
    """How the last restore of the current server ended.

    Raises:
        NotConnected: ONS-1005, this program has no server.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.

    Example:
        >>> from onserver import restore_info
        >>> restore_info().last is None  # no restore yet
        True

    4D: `RESTORE INFO`, which leaves restores by hand out; here there are no others, and they are told.
    """
    last = State(Server.current().store).last("restored")
    if last is None:
        return RestoreInfo()
    return RestoreInfo(last=_moment(last), code=last.code, reason=last.reason, path=last.path or None)


def _moment(operation: Operation | None) -> datetime | None:
    return datetime.fromisoformat(operation.started) if operation else None
