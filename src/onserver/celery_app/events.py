"""Events for Flower and `celery events`: of a worker, and of the processes that its executors run.

They are off until somebody asks for them (`celery control enable_events`, Flower, `worker_send_task_events` in the
application's configuration), and then on for this worker until `disable_events`:

    supervisor  worker-online, worker-heartbeat every 2 s, worker-offline, from the thread of remote control: `Pulse`
    executor    task-received and -started, then -succeeded, -failed, -retried, -revoked or -rejected: `TaskEvents`

The switch is a page of memory that the executors share, made before they are forked. While it is off a process costs a
look at one byte of it, and nothing is sent. An event that cannot be sent is dropped: it is about the work, and no part
of it.
"""

import mmap
import struct
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from celery import Celery
from celery.utils.saferepr import saferepr
from celery.utils.sysinfo import load_average
from celery.worker.state import SOFTWARE_INFO
from kombu.utils.json import loads

from onserver.celery_app.desk import Desk
from onserver.celery_app.showing import MOST, shown
from onserver.errors import ReachError
from onserver.process.claim import Claim
from onserver.values import decode

_COUNT: Final = struct.Struct("=Q")
_SLOTS: Final = 2047
#: Seconds between two heartbeats, as in Celery.
HEARTBEAT_SECONDS: Final = 2.0
_FAILED: Final = frozenset({"failed", "lost", "dead"})
_AGAIN: Final = frozenset({"queued", "delayed"})


class Board:
    """The page that a worker's programs share: the switch at 0, then how many processes each executor has begun.

    An executor counts in the slot of its incarnation, so that no two that live write in one place.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _COUNT.size * (_SLOTS + 1))

    @property
    def on(self) -> bool:
        """Whether events are wanted."""
        return self._memory[0] != 0

    def switch(self, on: bool) -> bool:
        """Turn events on or off. Returns whether that changed anything."""
        changed = self.on != on
        self._memory[0] = int(on)
        return changed

    def count(self, holder: str) -> None:
        """Count a process that begins in the name of this holder."""
        place = _COUNT.size * (1 + int(holder.rpartition(".")[2]) % _SLOTS)
        _COUNT.pack_into(self._memory, place, int(_COUNT.unpack_from(self._memory, place)[0]) + 1)

    @property
    def begun(self) -> int:
        """How many processes this worker has begun."""
        return sum(number for (number,) in _COUNT.iter_unpack(self._memory[_COUNT.size :]))


class Sender:
    """Sends events in the name of one worker, over a connection of its own that is made when it is first needed."""

    def __init__(self, app: Celery, node: str) -> None:
        self._app = app
        self._node = node
        self._dispatcher: Any = None
        lost = app.connection_for_write()
        self._errors: tuple[type[Exception], ...] = (ReachError, OSError, *lost.connection_errors, *lost.channel_errors)

    def send(self, kind: str, **fields: Any) -> None:
        """Send an event, if the broker can be reached."""
        with suppress(*self._errors):  # an event less, and the work goes on
            if self._dispatcher is None:
                connection = self._app.connection_for_write()
                self._dispatcher = self._app.events.Dispatcher(
                    connection, hostname=self._node, buffer_while_offline=False
                )
            self._dispatcher.send(kind, **fields)


class TaskEvents:
    """The witness of the executors; see `life/witness`."""

    def __init__(self, app: Celery, desk: Desk, node: str, board: Board) -> None:
        self._desk = desk
        self._board = board
        self._sender = Sender(app, node)
        self._running: dict[int, tuple[Claim, float]] = {}

    def begins(self, claim: Claim, holder: str) -> None:
        """A process begins: it was received, and is started."""
        self._board.count(holder)
        if not self._board.on:
            return
        self._running[claim.number] = claim, monotonic()
        headers: dict[str, Any] = loads(claim.headers) if claim.headers else {}
        identifier = self._desk.task_id(claim)
        args, kwargs = shown(claim.body, claim.headers, claim.flags)
        self._sender.send(
            "task-received", uuid=identifier, name=claim.procedure, args=args, kwargs=kwargs,
            root_id=headers.get("root_id") or identifier, parent_id=headers.get("parent_id"),
            retries=headers.get("retries", 0), eta=None, expires=headers.get("expires"),
        )  # fmt: skip
        self._sender.send("task-started", uuid=identifier)

    def settled(self, number: int, kind: str, state: str, payload: bytes) -> None:
        """What becomes of a process is known: nothing that is said after that is an event."""
        found = self._running.get(number)
        if found is None:
            return
        claim, began = found
        event = _event(kind, state, payload)
        if event is not None or kind not in ("store", "wait"):
            del self._running[number]
        if event is not None:
            name, fields = event
            if name == "task-succeeded":
                fields["runtime"] = monotonic() - began
            self._sender.send(name, uuid=self._desk.task_id(claim), **fields)

    def buried(self, number: int) -> None:
        """An executor has died in the run of a process: what its record says of it is told; nothing where it waits."""
        if not self._board.on:
            return
        store = self._desk.store
        state, error, identifier = store.command("HMGET", store.key(f"p:{number}"), "s", "e", "u")
        event = _event("end", (state or b"").decode(), error or b"")
        name = "task-rejected" if event is None or event[0] == "task-retried" else event[0]
        fields = {"requeue": True} if event is None or name == "task-rejected" else event[1]
        task_id = identifier.decode() if identifier else self._desk.task_id_of(number)
        self._sender.send(name, uuid=task_id, **fields)


class Pulse:
    """The worker's own events. All its methods are called by the thread of remote control."""

    def __init__(self, app: Celery, node: str, board: Board, active: Callable[[], int]) -> None:
        self._sender = Sender(app, node)
        self._board = board
        self._active = active
        self._online = False
        self._next = 0.0

    def turn(self) -> None:
        """Send what is due; called twice a second."""
        if self._board.on != self._online:
            self._online = not self._online
            self.send("worker-online" if self._online else "worker-offline")
        elif self._online and monotonic() >= self._next:
            self.send("worker-heartbeat")

    def send(self, kind: str) -> None:
        """Send an event of the worker."""
        self._next = monotonic() + HEARTBEAT_SECONDS
        self._sender.send(
            kind, freq=HEARTBEAT_SECONDS, active=self._active(), processed=self._board.begun,
            loadavg=load_average(), **SOFTWARE_INFO,
        )  # fmt: skip

    def close(self) -> None:
        """The worker leaves."""
        if self._online:
            self._online = False
            self.send("worker-offline")


def _event(kind: str, state: str, payload: bytes) -> tuple[str, dict[str, Any]] | None:
    """The event that a settlement stands for, or None."""
    if state == "aborted":
        return "task-revoked", {"terminated": True, "signum": None, "expired": False}
    if kind == "back":
        return "task-rejected", {"requeue": True}
    if kind == "retry":
        state = "queued"
    if state == "done":
        return "task-succeeded", {"result": saferepr(decode(payload) if payload else None, maxlen=MOST)}
    if state in _AGAIN or state in _FAILED:
        facts: dict[str, Any] = decode(payload) if payload else {}
        error = f"{facts.get('type', 'Exception')}({str(facts.get('message', ''))!r})"
        name = "task-retried" if state in _AGAIN else "task-failed"
        return name, {"exception": error, "traceback": str(facts.get("traceback") or "")}
    return None
