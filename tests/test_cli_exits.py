"""The exit status of every error: a contract with scripts."""

import pytest

from onserver import errors
from onserver.cli import exits


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ProjectNotFound(), 2),
        (errors.UnknownSetting("process.delivries"), 2),
        (errors.UnsafeRedis("redis://x", "allkeys-lru"), 2),
        (errors.BrokerUnavailable("redis://x"), 6),
        (errors.NoRedis(), 6),
        (errors.ProcedureNotFound("ad"), 4),
        (errors.BadArguments("add", "misses `y`", "add(x, y)"), 2),
        (errors.NotSendable("argument x", "set"), 2),
        (errors.ProcessNotFound(7), 4),
        (errors.AlreadyRunning("totals", 7), 8),
        (errors.ProcedureFailed(7, "add", "ValueError"), 1),
        (errors.ProcessTimeout(7, 1.0), 5),
        (errors.VariableTimeout(7, "ready", 1.0), 5),
        (errors.SignalGone, 4),
        (errors.RolesFileError("it is no object"), 2),
        (errors.RoleNotFound("clark"), 4),
        (errors.ProcessAborted(7), 1),
        (errors.ProcessLost(7), 1),
        (errors.ProcessDead(7, 3), 1),
        (errors.LockTimeout("rates", 5.0), 5),
        (errors.HookFailed, 1),
        (errors.PrivilegeDenied, 3),
        (errors.BadSignature, 3),
        (errors.BackupVetoed, 3),
        (errors.BackupCorrupt, 9),
        (errors.VersionConflict, 8),
        (errors.LockLost, 8),
        (RuntimeError("a defect"), 1),
    ],
)
def test_an_error_has_its_status(error: BaseException | type[BaseException], status: int) -> None:
    instance = error.__new__(error) if isinstance(error, type) else error
    assert exits.status_of(instance) == status


def test_an_exception_of_the_remote_code_is_status_1_whichever_class_it_has() -> None:
    remote = TimeoutError("rates.example")
    remote.__cause__ = errors.ProcedureFailed(7, "load", "TimeoutError")
    assert exits.status_of(remote) == 1


def test_every_error_has_a_status() -> None:
    families = [errors.OnServerError]
    for family in families:
        families.extend(family.__subclasses__())
    plain = {errors.OnServerError}
    assert {family for family in families if exits.status_of(family.__new__(family)) == exits.FAILED} - plain == {
        errors.ProcessError, errors.ProcedureFailed, errors.ProcessAborted, errors.ProcessLost, errors.ProcessDead,
        errors.SyncInAsyncError, errors.HookFailed, errors.ProcessNotStarted,
    }  # fmt: skip
