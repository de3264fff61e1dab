"""A task as Celery's pools see it: the loss of a child that ran it counts as a delivery."""

from typing import Any

from billiard.exceptions import WorkerLostError
from celery.worker.request import Request as CeleryRequest

from onserver.celery_app.holding import mark_of


class Request(CeleryRequest):
    """Celery's, for the tasks of our application."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Count a begun run whose child was lost, before Celery hands the message back."""
        mark = mark_of(self.request_dict)
        seat = getattr(self.message.channel, "seat", None)
        if mark is not None and seat is not None and _is_loss(exc_info.exception):
            seat.lost.add(int(mark["number"]))
        return super().on_failure(exc_info, send_failed_event, return_ok)


def _is_loss(error: Any) -> bool:
    """Whether the child is gone; where billiard reports its exit first, it is a SystemExit."""
    return isinstance(getattr(error, "exc", error), WorkerLostError | SystemExit | KeyboardInterrupt)
