"""How the state of a process reads in Celery: the one table between the two, and Celery's meta of a task.

| record | Celery |
|---|---|
| queued, delayed, paused | PENDING; RETRY where its last run asked to be run again |
| running, waiting | STARTED, or the custom state that the task has set |
| done | SUCCESS |
| failed, lost, dead | FAILURE |
| aborted | REVOKED |
| no such id | PENDING |

What Celery wants to know besides is in the field `m`: JSON of the children, the group, a custom state.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from celery import states
from kombu.utils.json import loads

from onserver.celery_app.failures import exception_of, traceback_of
from onserver.process.inbox import End
from onserver.server import Server
from onserver.values import decode

FINAL: Final[Mapping[str, str]] = {
    "done": states.SUCCESS,
    "failed": states.FAILURE,
    "lost": states.FAILURE,
    "dead": states.FAILURE,
    "aborted": states.REVOKED,
}
_RUNNING: Final = frozenset({"running", "waiting"})
#: The same the other way round, for what a task stores.
STORED: Final[Mapping[str, str]] = {
    states.SUCCESS: "done",
    states.FAILURE: "failed",
    states.REVOKED: "aborted",
    states.RETRY: "queued",
}


class Row(NamedTuple):
    """How one task stands, as the script `celery_results` answers."""

    number: int
    state: str
    result: bytes
    error: bytes
    extras: bytes
    ended_ms: int

    @classmethod
    def read(cls, row: Iterable[Any]) -> "Row":
        """Read one row of the answer."""
        number, state, result, error, extras, ended_ms = row
        return cls(int(number), state.decode(), result, error, extras, int(ended_ms))

    @property
    def end(self) -> End | None:
        """Its end, or None while it goes on."""
        if self.state not in FINAL:
            return None
        return End(self.state, self.result if self.state == "done" else self.error)


def meta_of(server: Server, identifier: str, row: Row, modules: Iterable[str] = ()) -> dict[str, Any]:
    """Celery's meta of a task: status, result or exception, traceback, children and the rest."""
    extras: dict[str, Any] = loads(row.extras) if row.extras else {}
    custom = extras.pop("status", None)
    meta: dict[str, Any] = {"task_id": identifier, "traceback": None, "children": [], "date_done": None, **extras}
    meta["status"], meta["result"] = _status(row, custom), extras.get("result")
    if row.end is not None and not (custom and row.state == "done"):
        meta.update(ended(server, identifier, row.number, row.end, modules))
    elif row.error and meta["status"] == states.RETRY:
        end = End("failed", row.error)
        meta["result"], meta["traceback"] = exception_of(server, row.number, "", end, modules), traceback_of(end)
    if row.ended_ms:
        meta["date_done"] = datetime.fromtimestamp(row.ended_ms / 1000, UTC).isoformat()
    return meta


def ended(server: Server, identifier: str, number: int, end: End, modules: Iterable[str] = ()) -> dict[str, Any]:
    """What an end alone tells: status, result or exception, traceback."""
    if end.state == "gone":
        return {"task_id": identifier, "status": states.PENDING, "result": None, "traceback": None}
    if end.state == "done":
        result = decode(end.payload) if end.payload else None
        return {"task_id": identifier, "status": states.SUCCESS, "result": result, "traceback": None}
    error = exception_of(server, number, "", end, modules)
    status = FINAL[end.state]
    return {"task_id": identifier, "status": status, "result": error, "traceback": traceback_of(end) or None}


def _status(row: Row, custom: str | None) -> str:
    if row.error and row.state in {"queued", "delayed", "paused"}:
        return states.RETRY
    if custom == states.RETRY:
        custom = None
    if row.state in _RUNNING or (row.state == "done" and custom):
        return custom or states.STARTED
    return FINAL.get(row.state, states.PENDING)
