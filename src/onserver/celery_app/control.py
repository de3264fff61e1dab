"""Remote control for a whole worker: the supervisor answers `celery inspect` and `celery control`, busy or not.

A thread listens on Kombu's mailbox. It works only under the `gate` that the supervisor holds while it forks, so that no
child begins in the middle of its work; waiting for messages it holds nothing.
"""

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

from celery.utils.log import get_logger
from kombu.utils.encoding import safe_str

from onserver import __version__
from onserver.celery_app.app import make_app
from onserver.errors import BrokerUnavailable
from onserver.server import Server

logger = get_logger(__name__)


class Control:
    """Answers in the name of one worker.

    Args:
        server: whose mailbox.
        node: the worker's name.
        gate: held while this thread works.
    """

    def __init__(self, server: Server, node: str, gate: AbstractContextManager[object]) -> None:
        self._app = make_app(server)
        self._server = server
        self._node = node if "@" in node else f"{node}@{os.uname().nodename}"
        self._gate = gate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="onserver-control", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Listen no longer."""
        self._stop.set()
        self._thread.join(2.0)

    def _listen(self) -> None:
        handlers: dict[str, Callable[..., Any]] = {
            "ping": lambda _state, **_: {"ok": "pong"},
            "registered": self._registered,
            "active": self._active,
            "stats": self._stats,
            "active_queues": self._queues,
            "conf": lambda _state, **_: {"name": self._server.name, "version": __version__},
            "report": lambda _state, **_: {"ok": f"onserver {__version__}"},
            "shutdown": self._shutdown,
            "enable_events": lambda _state, **_: {"ok": "task events are not sent by this worker"},
            "disable_events": lambda _state, **_: {"ok": "task events are not sent by this worker"},
        }
        while not self._stop.is_set():
            try:
                self._converse(handlers)
            except (BrokerUnavailable, OSError) as error:
                logger.warning("remote control is away: %s", error)
                self._stop.wait(1.0)

    def _converse(self, handlers: dict[str, Callable[..., Any]]) -> None:
        with self._gate:
            connection = self._app.connection_for_read()
            node = self._app.control.mailbox.Node(safe_str(self._node), handlers=handlers, state=None)
            node.channel = connection.channel()
            node.listen(callback=lambda body, message: self._handle(node, body, message))
        try:
            while not self._stop.is_set():
                with suppress(TimeoutError):  # nothing arrived: look whether to go on
                    connection.drain_events(timeout=0.5)
        finally:
            with self._gate:
                connection.close()

    def _handle(self, node: Any, body: Any, message: Any) -> None:
        with self._gate:
            try:
                node.handle_message(body, message)
            except KeyError as error:
                logger.warning("no such control command: %s", error)

    def _registered(self, _state: Any, **_: Any) -> list[str]:
        return sorted({*self._server.registry.names(), *self._app.tasks})

    def _holders(self) -> list[str]:
        store, found = self._server.store, []
        for member in store.command("ZRANGE", store.key("members"), 0, -1):
            node = store.command("HGET", store.key(f"member:{member.decode()}"), "node")
            if node and node.decode() in {self._node, self._node.partition("@")[0]}:
                found += [holder.decode() for holder in store.command("SMEMBERS", store.key(f"m:{member.decode()}"))]
        return found

    def _active(self, _state: Any, **_: Any) -> list[dict[str, Any]]:
        store, found = self._server.store, []
        for holder in self._holders():
            for number in store.command("LRANGE", store.key(f"held:{holder}"), 0, -1):
                name = store.command("HGET", store.key(f"p:{number.decode()}"), "t")
                found.append({"id": self._app.desk.task_id_of(int(number)), "name": (name or b"").decode()})
        return found

    def _stats(self, _state: Any, **_: Any) -> dict[str, Any]:
        return {"pid": os.getpid(), "pool": {"implementation": "onserver", "executors": len(self._holders())}}

    def _queues(self, _state: Any, **_: Any) -> list[dict[str, str]]:
        store = self._server.store
        served = {
            q.decode()
            for h in self._holders()
            for q in (store.command("HGET", store.key(f"h:{h}"), "queues") or b"").split()
        }
        return [{"name": queue} for queue in sorted(served)]

    def _shutdown(self, _state: Any, **_: Any) -> dict[str, str]:
        os.kill(os.getpid(), 15)
        return {"ok": "shutting down"}
