"""Task events of our executors, for Flower and `celery events`, where the application asks for them.

They are sent with `worker_send_task_events = True` only; `celery control enable_events` reaches the supervisor and says
so. An event that cannot be sent is dropped: it is about the work, and no part of it.
"""

from contextlib import suppress
from typing import Any

from celery import Celery

from onserver.errors import ReachError


class Events:
    """Sends events in the name of one worker node."""

    def __init__(self, app: Celery, node: str) -> None:
        self._app = app
        self._node = node
        self._dispatcher: Any = None

    @property
    def wanted(self) -> bool:
        """Whether the application asks for task events."""
        return bool(self._app.conf.worker_send_task_events)

    def send(self, kind: str, identifier: str, **fields: Any) -> None:
        """Send an event about a task."""
        if not self.wanted:
            return
        with suppress(ReachError):  # an event less, and the work goes on
            if self._dispatcher is None:
                connection = self._app.connection_for_write()
                self._dispatcher = self._app.events.Dispatcher(connection, hostname=self._node)
            self._dispatcher.send(kind, uuid=identifier, **fields)
