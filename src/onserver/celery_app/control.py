"""Remote control for a whole worker: the supervisor answers `celery inspect` and `celery control`, busy or not.

A thread listens on Kombu's mailbox. It works only under the `gate` that the supervisor holds while it forks, so that no
child begins in the middle of its work; waiting for messages it holds nothing.

`inspection` answers what is asked. What is ordered is done here, or answered with the way in which this worker has it
done: an order of Celery's that is for one worker and forgotten with it (a rate, a queue, a bigger pool) is here a fact
of the declaration, of the command line, or of the records. No order is met by silence.
"""

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from signal import SIGTERM
from typing import Any, Final

from celery.utils.log import get_logger
from kombu.utils.encoding import safe_str

from onserver.celery_app.app import make_app
from onserver.celery_app.events import Board, Pulse, TaskEvents
from onserver.celery_app.inspection import Inspection
from onserver.celery_app.revoking import revoke
from onserver.errors import BrokerUnavailable
from onserver.life.witness import witnesses
from onserver.server import Server

logger = get_logger(__name__)

#: What this worker has done in another way, and in which.
OTHERWISE: Final = {
    "revoke_by_stamped_headers": "a process is aborted by its number: `onserver abort NUMBER`",
    "rate_limit": "a rate holds for the whole cluster and is declared: `@procedure(limit=…)`",
    "time_limit": "a time limit is declared, `@procedure(timeout=…)`, or given with one start",
    "pool_grow": "`onserver scale NODE EXECUTORS` gives this worker more executors",
    "pool_shrink": "`onserver scale NODE EXECUTORS` takes executors away; what they run may finish",
    "autoscale": "executors are as many as `onserver worker -c` or `onserver scale` says",
    "pool_restart": "`onserver reload` takes new code, and nothing is interrupted",
    "add_consumer": "queues are given to a worker when it starts: start another with `onserver worker -Q NAME`",
    "cancel_consumer": "queues are given to a worker when it starts, with `onserver worker -Q`",
    "election": "there is a leader among the workers already; `onserver ps --members` names the members",
    "objgraph": "this worker draws no graphs of its objects",
}


class Control:
    """Answers in the name of one worker.

    Args:
        server: whose mailbox.
        node: the worker's name.
        gate: held while this thread works.
        seats: the supervisor's children now: holder, pid, number that runs (0 for none).
    """

    def __init__(
        self,
        server: Server,
        node: str,
        gate: AbstractContextManager[object],
        seats: Callable[[], Iterable[tuple[str, int, int]]],
    ) -> None:
        app: Any = make_app(server)
        self._app = app
        self._node = node if "@" in node else f"{node}@{os.uname().nodename}"
        self._gate = gate
        self._board = Board()
        self._board.switch(bool(app.conf.worker_send_task_events))
        self._pulse = Pulse(app, self._node, self._board, lambda: sum(1 for seat in seats() if seat[2]))
        self._inspection = Inspection(app, app.desk, self._node, self._board, seats)
        witnesses.append(TaskEvents(app, app.desk, self._node, self._board))
        lost: list[type[Exception]] = [BrokerUnavailable, OSError, *app.connection_for_read().connection_errors]
        self._errors = tuple(lost)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="onserver-control", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Listen no longer."""
        self._stop.set()
        self._thread.join(2.0)

    # -- the mailbox

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                self._converse()
            except self._errors as error:
                logger.warning("remote control is away: %s", error)
                self._stop.wait(1.0)
        self._pulse.close()

    def _converse(self) -> None:
        with self._gate:
            connection = self._app.connection_for_read()
            node = self._app.control.mailbox.Node(safe_str(self._node), handlers=self._handlers(), state=None)
            node.channel = connection.channel()
            node.listen(callback=lambda body, message: self._handle(node, body, message))
        try:
            while not self._stop.is_set():
                with self._gate:
                    self._pulse.turn()
                with suppress(TimeoutError):  # nothing arrived: look whether to go on
                    connection.drain_events(timeout=0.5)
        finally:
            with self._gate:
                connection.close()

    def _handle(self, node: Any, body: Any, message: Any) -> None:
        with self._gate:
            node.handle_message(body, message)

    def _handlers(self) -> "Handlers":
        ours: dict[str, Callable[..., Any]] = {
            "shutdown": self._shutdown,
            "enable_events": self._enable_events,
            "disable_events": self._disable_events,
            "heartbeat": self._heartbeat,
            "revoke": self._revoke,
            "terminate": self._terminate,
        }
        return Handlers(self._inspection.answers() | ours)

    # -- orders

    def _shutdown(self, _state: Any, **_: Any) -> dict[str, str]:
        os.kill(os.getpid(), SIGTERM)
        return {"ok": "shutting down: what runs may finish"}

    def _revoke(
        self, _state: Any, task_id: Any = (), terminate: bool = False, signal: str | None = None, **_: Any
    ) -> dict[str, str]:
        return {"ok": revoke(self._app.desk, task_id, terminate=terminate, signal=signal or "")}

    def _terminate(self, state: Any, signal: str = "", task_id: Any = (), **_: Any) -> dict[str, str]:
        return self._revoke(state, task_id, terminate=True, signal=signal)

    def _enable_events(self, _state: Any, **_: Any) -> dict[str, str]:
        changed = self._board.switch(True)
        self._pulse.turn()
        return {"ok": "task events enabled" if changed else "task events already enabled"}

    def _disable_events(self, _state: Any, **_: Any) -> dict[str, str]:
        changed = self._board.switch(False)
        self._pulse.turn()
        return {"ok": "task events disabled" if changed else "task events already disabled"}

    def _heartbeat(self, _state: Any, **_: Any) -> dict[str, str]:
        if not self._board.on:
            return {"error": "events are off: `celery control enable_events`"}
        self._pulse.send("worker-heartbeat")
        return {"ok": "sent"}


class Handlers(dict[str, Callable[..., Any]]):
    """What answers each command; what no handler answers is answered in words."""

    def __missing__(self, command: str) -> Callable[..., Any]:
        way = OTHERWISE.get(command, "this worker does not know that command")
        return lambda _state, **_: {"error": f"{command}: {way}"}
