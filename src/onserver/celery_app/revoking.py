"""Celery's `revoke` is abort: an order in the record of the process, remembered while no worker is up.

Celery broadcasts it to whoever listens at that moment. On our transport the sender's own channel gives the order before
it broadcasts (`obey`), and so does, on another broker, the remote control of an attached application (`RecordControl`);
so `app.control.revoke`, `AsyncResult.revoke` and `celery control revoke` are all kept. A worker of ours answers with
what was done, and a pool of Celery's own ends what it runs by its own means as well. `terminate=True` kills the
executor where the code does not stop by itself.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from celery.app.control import Control
from kombu.utils.json import loads

from onserver.celery_app.desk import Desk
from onserver.errors import ProcessNotFound
from onserver.process.control import abort
from onserver.process.record import State

#: How the name of the exchange ends on which Kombu broadcasts remote control.
PIDBOX: Final = ".pidbox"
#: Seconds that running code gets to stop by itself before `terminate=True` kills its executor.
TERMINATE_SECONDS: Final = 1.0
_COMMANDS: Final = frozenset({"revoke", "terminate"})


def revoke(desk: Desk, identifiers: Any, *, terminate: bool = False, signal: Any = "") -> str:
    """Abort the processes of some tasks.

    Args:
        desk: of the server.
        identifiers: one task id or several; one that nobody has put is passed by.
        terminate: kill the executor of what does not stop by itself.
        signal: KILL kills at once.

    Returns:
        What was done, in words.
    """
    wanted: Iterable[str] = [identifiers] if isinstance(identifiers, str) else identifiers or ()
    force = None if not terminate else 0.0 if "KILL" in str(signal).upper() else TERMINATE_SECONDS
    return "; ".join(f"{identifier}: {_abort(desk, desk.number_of(identifier), force)}" for identifier in wanted)


def _abort(desk: Desk, number: int, force_after: float | None) -> str:
    if not number:
        return "no such task"
    try:
        answer = abort(desk.server, number, "revoked", force_after=force_after)
    except ProcessNotFound:
        return "no such task"
    return "aborted" if answer.state is State.ABORTED else answer.text


def obey(desk: Desk, message: Mapping[str, Any]) -> None:
    """Give the order that a message of remote control stands for, if it is one of these."""
    body: Any = message["body"]
    if message.get("content-type") == "application/json":
        told: Any = loads(body)
        _give(desk, told.get("method"), told.get("arguments") or {})


def _give(desk: Desk, command: Any, arguments: Mapping[str, Any]) -> None:
    if command in _COMMANDS:
        terminate = command == "terminate" or bool(arguments.get("terminate"))
        revoke(desk, arguments.get("task_id"), terminate=terminate, signal=arguments.get("signal") or "")


class RecordControl(Control):
    """Remote control of an application that keeps its broker, with the orders that belong in the records."""

    def broadcast(self, command: Any, arguments: Any = None, *more: Any, **options: Any) -> Any:
        """Give the order, and tell the workers."""
        desk: Desk = self.app.desk
        if desk.elsewhere:
            _give(desk, command, arguments or {})
        return super().broadcast(command, arguments, *more, **options)
