"""What `celery inspect` is told of one worker of ours: read from the records, in the words of Celery.

What a worker holds is in Redis (`held:HOLDER`), and so is what is delayed for its queues: delays wait there and not in
a worker. What its executors run at this moment is in the pages that they share with it.
"""

import os
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, NamedTuple

from celery.utils import debug
from celery.utils.serialization import jsonify
from kombu.entity import Exchange, Queue

from onserver import __version__
from onserver.celery_app.desk import Desk
from onserver.celery_app.events import Board
from onserver.celery_app.showing import shown

#: Delayed and ended processes that are looked through at most.
MOST: Final = 1000
_FIELDS: Final[tuple[str, ...]] = ("t", "b", "h", "v", "u", "q", "z", "g", "d", "s", "o")
_INFO_ITEMS: Final = ("exchange", "routing_key", "rate_limit")


class Seated(NamedTuple):
    """One child of the supervisor: its holder, its pid, and the numbers that it runs."""

    holder: str
    pid: int
    runs: frozenset[int]


class Found(NamedTuple):
    """A process, as far as `inspect` shows it."""

    number: int
    task_id: str
    queue: str
    state: str
    holder: str
    flags: str
    info: dict[str, Any]


class Inspection:
    """Answers in the name of one worker. The methods are named as Celery's commands.

    Args:
        app: whose tasks the worker has.
        desk: of its server.
        node: its name, with a host.
        board: what its executors have begun.
        seats: who its children are now: holder, pid and a number that it runs, once for each that it does, or 0.
    """

    def __init__(
        self, app: Any, desk: Desk, node: str, board: Board, seats: Callable[[], Iterable[tuple[str, int, int]]]
    ) -> None:
        self._app = app
        self._desk = desk
        self._node = node
        self._board = board
        self._seats = seats
        self._since = monotonic()

    def answers(self) -> dict[str, Callable[..., Any]]:
        """Each command with what answers it."""
        names = (
            "ping", "report", "conf", "clock", "hello", "registered", "active", "reserved", "scheduled", "revoked",
            "query_task", "stats", "active_queues", "memsample", "memdump",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    # -- the program

    def ping(self, _state: Any, **_: Any) -> dict[str, str]:
        """Say that it lives."""
        return {"ok": "pong"}

    def report(self, _state: Any, **_: Any) -> dict[str, str]:
        """Versions, for a report of a defect."""
        return {"ok": f"onserver {__version__}, server {self._desk.server.name}\n{self._app.bugreport()}"}

    def conf(self, _state: Any, with_defaults: bool = False, **_: Any) -> Any:
        """The application's configuration, without secrets."""
        return jsonify(
            self._app.conf.table(with_defaults=with_defaults),
            keyfilter=lambda key: isinstance(key, str) and not key.startswith("__"),
            unknown_type_filter=repr,
        )

    def clock(self, _state: Any, **_: Any) -> dict[str, int]:
        """The logical clock of events."""
        return {"clock": self._app.clock.value}

    def hello(self, _state: Any, from_node: str = "", **_: Any) -> dict[str, Any] | None:
        """A worker of Celery's own starts and asks for what was revoked: it finds that in the records."""
        return None if from_node == self._node else {"revoked": [], "clock": self._app.clock.forward()}

    def memsample(self, _state: Any, **_: Any) -> Any:
        """The memory of the supervisor."""
        return debug.sample_mem()

    def memdump(self, _state: Any, **_: Any) -> str:
        """The same, in words."""
        return f"rss: {debug.mem_rss()}"

    def stats(self, _state: Any, **_: Any) -> dict[str, Any]:
        """What the worker is made of, and what it has used."""
        seats, used = self._seated(), resource.getrusage(resource.RUSAGE_CHILDREN)
        address = self._desk.store.address
        return {
            "pid": os.getpid(),
            "uptime": round(monotonic() - self._since),
            "clock": str(self._app.clock.value),
            "total": {"processes": self._board.begun},
            "prefetch_count": 0,
            "pool": {
                "implementation": "onserver:executors",
                "max-concurrency": len(seats),
                "processes": [seat.pid for seat in seats],
            },
            "broker": {"transport": "onserver+redis", "hostname": address.describe()},
            "rusage": {
                "utime": used.ru_utime,
                "stime": used.ru_stime,
                "maxrss": used.ru_maxrss,
            },
        }

    # -- what it can run

    def registered(
        self, _state: Any, taskinfoitems: Iterable[str] | None = None, builtins: bool = False, **_: Any
    ) -> list[str]:
        """Procedures and tasks, each with the attributes that were asked for."""
        wanted = [item for item in taskinfoitems or _INFO_ITEMS if not item.startswith("_")]
        names = sorted({*self._desk.server.registry.names(), *self._app.tasks})
        return [self._described(name, wanted) for name in names if builtins or not name.startswith("celery.")]

    def _described(self, name: str, wanted: Iterable[str]) -> str:
        task = self._app.tasks.get(name)
        found = {item: getattr(task, item, None) for item in wanted}
        words = " ".join(f"{item}={value}" for item, value in found.items() if value is not None)
        return f"{name} [{words}]" if words else name

    def active_queues(self, _state: Any, **_: Any) -> list[dict[str, Any]]:
        """The queues of its executors, as Celery describes a queue."""
        return [
            Queue(name, Exchange("", type="direct"), routing_key=name).as_dict(recurse=True)
            for name in sorted(self._queues())
        ]

    def _queues(self) -> set[str]:
        store = self._desk.store
        keys = [("HGET", store.key(f"h:{seat.holder}"), "queues") for seat in self._seated()]
        return {queue.decode() for text in (store.pipeline(keys) if keys else []) for queue in (text or b"").split()}

    # -- what it has

    def active(self, _state: Any, **_: Any) -> list[dict[str, Any]]:
        """What its executors run."""
        return [found.info for found, runs in self._held() if runs]

    def reserved(self, _state: Any, **_: Any) -> list[dict[str, Any]]:
        """What it has claimed and not begun: some of a batch. Nothing else is claimed before it can begin."""
        return [found.info for found, runs in self._held() if not runs]

    def scheduled(self, _state: Any, **_: Any) -> list[dict[str, Any]]:
        """What is delayed in its queues: it waits in Redis, and any worker of the queue may get it."""
        return [entry for _found, entry in self._delayed()]

    def revoked(self, _state: Any, **_: Any) -> list[str]:
        """Ids of processes that were aborted, the newest first, as far as they are kept."""
        store = self._desk.store
        ended = [int(number) for number in store.command("ZRANGE", store.key("failed"), 0, MOST - 1, "REV")]
        return [found.task_id for found in self._read(ended) if found.state == "aborted"]

    def query_task(self, _state: Any, ids: Any = (), **_: Any) -> dict[str, Any]:
        """How tasks stand that this worker has: active, reserved, or scheduled in its queues."""
        wanted = {ids} if isinstance(ids, str) else set(ids)
        answer = {f.task_id: ("active" if runs else "reserved", f.info) for f, runs in self._held()}
        for found, _entry in self._delayed():
            answer.setdefault(found.task_id, ("scheduled", found.info))
        return {identifier: stand for identifier, stand in answer.items() if identifier in wanted}

    def _seated(self) -> list[Seated]:
        found: dict[str, Seated] = {}
        for holder, pid, number in self._seats():
            runs = found[holder].runs if holder in found else frozenset[int]()
            found[holder] = Seated(holder, pid, runs | ({number} - {0}))
        return list(found.values())

    def _held(self) -> Iterator[tuple[Found, bool]]:
        store, seats = self._desk.store, self._seated()
        if not seats:
            return
        lists = store.pipeline([("LRANGE", store.key(f"held:{seat.holder}"), 0, -1) for seat in seats])
        for seat, numbers in zip(seats, lists, strict=True):
            for found in self._read([int(number) for number in numbers], seat.pid):
                yield found, found.number in seat.runs or "B" not in found.flags

    def _delayed(self) -> Iterator[tuple[Found, dict[str, Any]]]:
        store, queues = self._desk.store, self._queues()
        flat = store.command("ZRANGE", store.key("due"), 0, MOST - 1, "WITHSCORES")
        due = {int(number): float(score) for number, score in zip(flat[::2], flat[1::2], strict=True)}
        for found in self._read(list(due)):
            if found.queue in queues:
                eta = datetime.fromtimestamp(due[found.number] / 1000, UTC).isoformat()
                priority = found.info["delivery_info"]["priority"]
                yield found, {"eta": eta, "priority": priority, "request": found.info}

    def _read(self, numbers: list[int], pid: int | None = None) -> Iterator[Found]:
        store = self._desk.store
        if not numbers:
            return
        rows = store.pipeline([("HMGET", store.key(f"p:{number}"), *_FIELDS) for number in numbers])
        for number, row in zip(numbers, rows, strict=True):
            fields: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
            if fields["t"] is not None:
                yield self._found(number, fields, pid)

    def _found(self, number: int, fields: Mapping[str, Any], pid: int | None) -> Found:
        texts = {name: (fields[name] or b"").decode() for name in ("t", "v", "u", "q", "s", "o")}
        identifier = texts["u"] or self._desk.task_id_of(number)
        args, kwargs = shown(fields["b"] or b"", fields["h"] or b"", texts["v"])
        info = {
            "id": identifier,
            "name": texts["t"],
            "args": args,
            "kwargs": kwargs,
            "type": texts["t"],
            "hostname": self._node,
            "time_start": int(fields["g"]) / 1000 if fields["g"] else None,
            "acknowledged": False,
            "delivery_info": {
                "exchange": "",
                "routing_key": texts["q"],
                "priority": 9 - int(float(fields["z"] or 0)) // (1 << 44),
                "redelivered": int(fields["d"] or 0) > 0,
            },
            "worker_pid": pid,
        }
        return Found(number, identifier, texts["q"], texts["s"], texts["o"], texts["v"], info)
