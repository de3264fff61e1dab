"""From an error to the exit status: the one table of them. The statuses are a contract, from the first release on.

0 done                                         5 timed out: result, lock, drain
1 the remote code failed: procedure or hook    6 cannot reach Redis
2 usage or configuration                       7 no worker for a `call` that waits
3 refused: privilege, maintenance, veto        8 conflict: unique name running, version changed, lock held
4 not found: procedure, process, key           9 integrity: checksum, schema
10 findings of `doctor`, `compat`, `roles`     130 interrupted
"""

from typing import Final

from onserver import errors

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
NOT_FOUND: Final = 4
TIMED_OUT: Final = 5
UNREACHABLE: Final = 6
NO_WORKER: Final = 7
CONFLICT: Final = 8
INTEGRITY: Final = 9
FINDINGS: Final = 10
INTERRUPTED: Final = 130

#: The first class that fits decides: what is special stands before what it is a kind of.
_STATUS: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (errors.ProcedureNotFound, NOT_FOUND),
    (errors.ProcessNotFound, NOT_FOUND),
    (errors.CallNotFound, NOT_FOUND),
    (errors.ScheduleNotFound, NOT_FOUND),
    (errors.HookNotFound, NOT_FOUND),
    (errors.RoleNotFound, NOT_FOUND),
    (errors.UserNotFound, NOT_FOUND),
    (errors.UserExists, CONFLICT),
    (errors.KeyNotFound, NOT_FOUND),
    (errors.TokenNotFound, NOT_FOUND),
    (errors.KeyInUse, CONFLICT),
    (errors.AlreadyRunning, CONFLICT),
    (errors.DeadlockDetected, CONFLICT),
    (errors.ProcessTimeout, TIMED_OUT),
    (errors.VariableTimeout, TIMED_OUT),
    (errors.SignalGone, NOT_FOUND),
    (errors.ProcessError, FAILED),
    (errors.HookFailed, FAILED),
    (errors.LockTimeout, TIMED_OUT),
    (errors.LockLost, CONFLICT),
    (errors.VersionConflict, CONFLICT),
    (errors.StorageError, USAGE),
    (errors.BackupCorrupt, INTEGRITY),
    (errors.ArchiveTooNew, INTEGRITY),
    (errors.ArchiveNotFound, NOT_FOUND),
    (errors.CutNeverEnds, TIMED_OUT),
    (errors.BackupError, REFUSED),
    (errors.SessionNotFound, NOT_FOUND),
    (errors.SessionError, REFUSED),
    (errors.ActionNotFound, NOT_FOUND),
    (errors.BadField, USAGE),
    (errors.SteeringError, REFUSED),
    (errors.ReachError, UNREACHABLE),
    (errors.CallError, USAGE),
    (errors.ConfigError, USAGE),
)


def status_of(error: BaseException) -> int:
    """Return the exit status for an error.

    An error of another family, from the remote code or from a defect of ours, is 1: something ran and failed.
    """
    if isinstance(error.__cause__, errors.ProcedureFailed):
        return FAILED  # the remote code's own exception, whichever class it has
    return next((status for family, status in _STATUS if isinstance(error, family)), FAILED)
