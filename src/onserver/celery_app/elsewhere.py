"""An application that keeps its broker: its messages travel as before, and each has a record beside it.

    sent        the record is made first, in a queue that no executor serves: `@QUEUE`
    delivered   before its task runs, the process is taken in the name of this worker (`take`). One that has ended, or
                was aborted, is acknowledged and not run; one that another worker still holds goes back to its broker
    ended       the state and result of the task are settled in the record, where it ran

Order, delay and redelivery are the broker's: a process whose worker died is `lost`, and taken again if the broker
delivers its message again. That the record cannot be reached stops nobody: the task is sent and run as it would be
without us, after a second at most, and for a while nobody asks again. But a procedure that takes privileges waits for
its record: without one nobody has signed for it, and nobody's privileges are none.
"""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple

from celery import states
from celery.exceptions import Reject
from celery.utils.log import get_logger
from kombu.utils.json import dumps

from onserver.celery_app.desk import Desk
from onserver.celery_app.holding import holding_of
from onserver.celery_app.message import PRIORITY, Stored, due_of
from onserver.celery_app.permitting import permit
from onserver.errors import BadSignature, BrokerUnavailable, MemberFenced, NotSendable, SessionError
from onserver.process.attempts import say_attempt
from onserver.process.caller import Caller
from onserver.process.failure import error_of
from onserver.process.signing import Signer
from onserver.server import Server
from onserver.session.context import serving
from onserver.values import encode

logger = get_logger(__name__)

#: What stands before the name of another broker's queue.
PREFIX: Final = "@"
#: Who asks for a message that has come without a record, so that nobody has signed for it: one without privileges.
NOBODY: Final = Caller(user="", kind="unsigned").snapshot()
#: Seconds that one trip to Redis may take here, and that it is not asked again after it did not answer.
TRIP_SECONDS, AWAY_SECONDS = 1.0, 10.0
#: Headers that are kept for those who look at the process.
_KEPT: Final = ("argsrepr", "kwargsrepr", "root_id", "parent_id", "retries", "expires")


class Taken(NamedTuple):
    """What became of a delivered message: `taken`, `held`, `paused`, `ended`, or `away`; and the mark of its run."""

    how: str
    mark: Mapping[str, Any] | None = None


class _Patience:
    """Whether Redis is to be asked."""

    def __init__(self, _server: Server) -> None:
        self._until = 0.0

    @property
    def away(self) -> bool:
        return monotonic() < self._until

    def note(self, error: BrokerUnavailable) -> None:
        self._until = monotonic() + AWAY_SECONDS
        logger.warning("onserver: tasks have no records for %g s: %s", AWAY_SECONDS, error)


def put(desk: Desk, headers: Mapping[str, Any], queue: str, priority: object = None, *, sent: bool = False) -> None:
    """Make the record of a message that is about to be sent, or was `sent` without one.

    Raises:
        MaintenanceMode: ONS-4104, the server takes no new work now.
    """
    patience = desk.server.part(_Patience)
    if "task" not in headers or "id" not in headers or patience.away:
        return
    kept = {name: headers[name] for name in _KEPT if headers.get(name)}
    stored = Stored(
        procedure=str(headers["task"]),
        task_id=str(headers["id"]),
        body=b"",
        headers=dumps({"as": ["elsewhere", ""], **kept}).encode(),
        due_ms=due_of(headers.get("eta")),
        priority=priority if isinstance(priority, int) and 0 <= priority <= 9 else PRIORITY,
        retries=int(headers.get("retries") or 0),
        timeout_ms=0,
    )
    try:
        desk.put(PREFIX + queue, stored, flags="R", deadline=TRIP_SECONDS, sent=sent)
    except BrokerUnavailable as error:
        patience.note(error)


def take(desk: Desk, headers: Mapping[str, Any], names: Sequence[str], queue: str, token: str) -> Taken:
    """Take the process of a message that was delivered here, and is about to run.

    Args:
        desk: of the server.
        headers: of the message.
        names: of the tasks that it runs.
        queue: of its broker.
        token: of this delivery: the same message delivered twice is two.
    """
    patience = desk.server.part(_Patience)
    if patience.away:
        return Taken("away")
    try:
        answer = _asked(desk, str(headers["id"]), token)
        if answer[0] == b"unknown":  # sent by a program that is not attached
            with serving(None, remote=True, caller=NOBODY):
                put(desk, headers, queue, sent=True)
            answer = _asked(desk, str(headers["id"]), token)
    except BrokerUnavailable as error:
        patience.note(error)
        return Taken("away")
    except MemberFenced as fenced:  # the heart of this worker finds it too, and ends it
        logger.critical("%s", fenced)
        return Taken("held")
    how = answer[0].decode()
    if how != "taken":
        return Taken("away" if how == "unknown" else how)
    return _marked(desk, answer, headers, names)


def end(desk: Desk, mark: Mapping[str, Any], state: str, value: Any) -> None:
    """Settle a process whose task has ended here, in this state, with this value or exception."""
    settle, number = holding_of(mark, desk.store, desk.settings).settle, int(mark["number"])
    if state == states.SUCCESS:
        settle(number, "end", "done", _result(desk, value), "")
    elif state == states.FAILURE:
        settle(number, "end", "failed", error_of(value), "")
    elif state == states.RETRY:  # its next message was sent before this is said
        error = getattr(value, "exc", None) or value
        said = say_attempt(int(mark["attempt"]), error, None)
        settle(number, "retry", said, error_of(error), dumps({"status": state}))
        settle(number, "free", "", b"", "")
    elif state == states.REJECTED and getattr(value, "requeue", False):
        settle(number, "back", "", b"", "")
    elif state == states.REJECTED:
        settle(number, "end", "failed", error_of(value if isinstance(value, Reject) else Reject(value)), "")
    else:
        settle(number, "end", "done", b"", "")


def _asked(desk: Desk, identifier: str, token: str) -> Any:
    return desk.store.run("take", desk.holder, desk.key_of(identifier), token, deadline=TRIP_SECONDS)


def _marked(desk: Desk, answer: Any, headers: Mapping[str, Any], names: Sequence[str]) -> Taken:
    _, number, deliveries, name, root, procedure, signed, accepted, change = answer
    try:
        asked = desk.server.part(Signer).verify(signed, procedure.decode(), b"", int(accepted))
        if procedure.decode() != headers["task"]:  # the message has the id of another one
            raise BadSignature(str(headers["task"]), "it was signed for another task")
        verified = permit(desk.server, asked, names)
    except SessionError as error:  # somebody has written to the record, and not by `put`; or who asked for it may not
        mark = {"number": int(number), "holder": desk.holder}
        holding_of(mark, desk.store, desk.settings).settle(int(number), "end", "failed", error_of(error), "")
        return Taken("ended")
    mark = {
        "number": int(number),
        "holder": desk.holder,
        "delivery": int(deliveries) + 1,
        "attempt": int(headers.get("retries") or 0) + 1,
        "name": name.decode(),
        "root": int(root) if root else None,
        "caller": verified,
        "change": int(change),
        "elsewhere": True,
    }
    return Taken("taken", mark)


def _result(desk: Desk, value: Any) -> bytes:
    """The result as it can be kept; nothing where it is no value of ours, or too large: Celery's own backend has it."""
    try:
        payload = encode(value, "Result") if value is not None else b""
    except NotSendable:
        return b""
    return payload if len(payload) <= desk.settings.process.max_result_bytes else b""
