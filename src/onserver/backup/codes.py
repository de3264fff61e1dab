"""The numbers with which a backup ends: the specification's (7.15), and the few of ours beside them.

0 is well. A hook that refuses gives a number of its own, which is passed on as it is; it should keep out of those here,
or the shutdown hooks cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from onserver.errors import (
    ArchiveNotFound,
    ArchiveNotWritten,
    ArchiveSealed,
    ArchiveTooNew,
    BackupCorrupt,
    BackupFailed,
    ConfigError,
    CutNeverEnds,
    MissingExtra,
    OnServerError,
    ProcessAborted,
)
from onserver.interrupt import Interrupted


class Code:
    """How a backup ended."""

    DONE: Final = 0
    LOG_LOST: Final = 1274
    TOO_MANY_ATTEMPTS: Final = 1401
    NO_LOG: Final = 1403
    IN_USE_BLOCK: Final = 1404
    NEVER_QUIET: Final = 1405
    CANCELLED: Final = 1406
    BAD_DESTINATION: Final = 1407
    LOG_NOT_SAVED: Final = 1408
    NOT_SAVED: Final = 1409
    NO_ARCHIVE: Final = 1410
    NOT_VERIFIED: Final = 1411
    NO_LOG_ARCHIVE: Final = 1412
    LOG_NOT_VERIFIED: Final = 1413
    NO_SERVER: Final = 1414
    LOG_BUSY: Final = 1415
    FOREIGN_LOG: Final = 1416
    RESTORING: Final = 1417
    LOG_NOT_INTEGRATED: Final = 1420
    NOT_HERE: Final = 1421
    HOOK_FAILED: Final = 5301
    MISSED: Final = 5211


#: What each number means here. Those of the specification that cannot occur are explained in `docs/why.md`.
MEANINGS: Final[Mapping[int, str]] = {
    Code.DONE: "",
    Code.LOG_LOST: "the log of changes cannot be written: changes are refused until it can, and a backup was made",
    Code.TOO_MANY_ATTEMPTS: "so many attempts in a row failed that none is started by schedule for now",
    Code.NO_LOG: "the server works without a log of changes",
    Code.IN_USE_BLOCK: "who asks for it is in a `use` block, whose edits would not be in it",
    Code.NEVER_QUIET: "the keys changed faster than they could be copied",
    Code.CANCELLED: "it was cancelled by somebody",
    Code.BAD_DESTINATION: "the folder for archives cannot be used",
    Code.LOG_NOT_SAVED: "the log of changes could not be closed with the archive",
    Code.NOT_SAVED: "a source could not be read, or the archive not be written",
    Code.NO_ARCHIVE: "there is no such archive to verify",
    Code.NOT_VERIFIED: "the archive could not be verified",
    Code.NO_LOG_ARCHIVE: "there is no such log to verify",
    Code.LOG_NOT_VERIFIED: "the log could not be verified",
    Code.NO_SERVER: "there is no server to make a backup of",
    Code.LOG_BUSY: "the log cannot be saved while it is replayed",
    Code.FOREIGN_LOG: "the log is of another server",
    Code.RESTORING: "a restore is under way",
    Code.LOG_NOT_INTEGRATED: "the log cannot be replayed, something is locked",
    Code.NOT_HERE: "this cannot be done here",
    Code.HOOK_FAILED: "a start-up hook raised, or took too long, which refuses the backup",
    Code.MISSED: "no worker was up at its date",
}


def number_of(error: BaseException) -> int:
    """The number with which a backup ends that met this error."""
    if isinstance(error, BackupFailed):
        return error.number
    if isinstance(error, ArchiveNotWritten):
        return Code.BAD_DESTINATION if error.kind in ("denied", "missing") else Code.NOT_SAVED
    if isinstance(error, CutNeverEnds):
        return Code.NEVER_QUIET
    if isinstance(error, ArchiveNotFound):
        return Code.NO_ARCHIVE
    if isinstance(error, BackupCorrupt | ArchiveTooNew | ArchiveSealed):
        return Code.NOT_VERIFIED
    if isinstance(error, ConfigError) and not isinstance(error, MissingExtra):
        return Code.BAD_DESTINATION
    return Code.CANCELLED if isinstance(error, Interrupted | ProcessAborted) else Code.NOT_SAVED


def reason_of(error: BaseException) -> str:
    """What is said of it: a sentence of ours without its hint, else type and text."""
    if isinstance(error, BackupFailed):
        return f"{error.reason} ({error.path})" if error.path else error.reason
    if isinstance(error, Interrupted | ProcessAborted):
        return MEANINGS[Code.CANCELLED]
    if isinstance(error, MissingExtra):
        return str(error).rstrip(".")  # what brings it is all there is to know
    if isinstance(error, OnServerError):
        return error.message.rstrip(".")
    return f"{type(error).__name__}: {error}".rstrip(": ")
