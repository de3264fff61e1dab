"""A task as Celery's pools see it, with what concerns its process: each has a class of ours around its own `Request`.

The loss of a child that ran it counts as a delivery. Where the application keeps its broker, the process is taken here
before its task is given to the pool, and what ends the task in the pool's main process (revoked, out of time, its child
lost) is settled here.
"""

from functools import cache
from secrets import token_hex
from typing import Any, Final

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.utils.log import get_logger
from celery.worker.request import Request as CeleryRequest
from celery.worker.state import task_ready

from onserver.celery_app import elsewhere
from onserver.celery_app.desk import Desk
from onserver.celery_app.failures import stored_text
from onserver.celery_app.holding import holding_of, mark_of
from onserver.celery_app.message import MARK
from onserver.celery_app.permitting import around, takes_privileges
from onserver.celery_app.revoking import revoke
from onserver.errors import ReachError

logger = get_logger(__name__)

#: Seconds after which a message goes back to its broker, whose process another worker still holds, or is paused.
LATER_SECONDS: Final = 1.0


class Tending:
    """What is ours in a request; mixed into the class that the task asks for."""

    def revoked(self: Any) -> bool:
        """Whether the task is not to be run. Asked last before the pool gets it, so that its process is taken here."""
        desk: Desk | None = getattr(self.task.app, "desk", None)
        if super().revoked():  # type: ignore[misc]  # the class that this is mixed into has it
            if desk is not None and desk.elsewhere:
                revoke(desk, self.id)
            return True
        if desk is None or not desk.elsewhere:
            return False
        self.request_dict[MARK] = None  # nobody else is to say for whom it runs
        if not desk.holder:
            return False
        queue = str((self.delivery_info or {}).get("routing_key") or "")
        token = self.__dict__.setdefault("onserver_token", token_hex(8))
        names = around(self.task.name, self.args or (), self.kwargs or {})
        taken = elsewhere.take(desk, self.request_dict, names, queue, token)
        self.request_dict[MARK] = taken.mark
        unknown = taken.how == "away" and takes_privileges(desk.server, names)
        if taken.how in ("taken", "away") and not unknown:
            return False
        task_ready(self)
        if taken.how == "ended":
            logger.info("Task %s[%s] has ended already, and is not run again", self.name, self.id)
            self.acknowledge()
        else:
            desk.later(LATER_SECONDS, lambda: self.reject(requeue=True))
        return True

    def on_failure(self: Any, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Count a begun run whose child was lost, before Celery hands the message back."""
        mark, error = mark_of(self.request_dict), exc_info.exception
        if mark is not None and _is_loss(error):
            seat = getattr(self.message.channel, "seat", None)
            if seat is not None and int(mark["number"]) not in seat.cut:
                seat.lost.add(int(mark["number"]))
            self._settle("back", "", b"", "counted")
        elif isinstance(getattr(error, "exc", error), Terminated):
            self._settle("end", "aborted", stored_text("ProcessAborted", "terminated"), "")
        return super().on_failure(exc_info, send_failed_event, return_ok)  # type: ignore[misc]  # as above

    def on_timeout(self: Any, soft: bool, timeout: float) -> Any:
        """A hard time limit has ended the child: so has the process."""
        if not soft:
            self._settle("end", "failed", stored_text(TimeLimitExceeded.__name__, f"({timeout},)"), "")
        return super().on_timeout(soft, timeout)  # type: ignore[misc]  # as above

    def _settle(self: Any, kind: str, state: str, payload: bytes, extra: str) -> None:
        """Settle the process of a message of another broker; with our own, its acknowledgement does."""
        mark = mark_of(self.request_dict)
        if mark is None or not mark.get("elsewhere"):
            return
        desk: Desk = self.task.app.desk
        try:
            holding_of(mark, desk.store, desk.settings).settle(int(mark["number"]), kind, state, payload, extra)
        except ReachError as error:
            logger.warning("onserver: the end of #%s is not in its record: %s", mark["number"], error)


class Request(Tending, CeleryRequest):
    """Celery's, for the tasks of our application."""


@cache
def request_class(asked: type[Any]) -> type[Any]:
    """The class of the requests of a task that asks for `asked`."""
    if issubclass(asked, Tending):
        return asked
    return Request if asked is CeleryRequest else type(asked.__name__, (Tending, asked), {})


def _is_loss(error: Any) -> bool:
    """Whether the child is gone; where billiard reports its exit first, it is a SystemExit."""
    return isinstance(getattr(error, "exc", error), WorkerLostError | SystemExit | KeyboardInterrupt)
