"""How a server stands, in one look: its state, its queues, its workers, and the first of its processes."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from onserver.life.epoch import read
from onserver.server import Server
from onserver.views.finding import find, held
from onserver.views.members import MemberRow, members
from onserver.views.processes import Row, Seen


class QueueRow(NamedTuple):
    """One queue: how many processes wait in it, how many executors would take them, which pause holds them."""

    name: str
    waiting: int
    executors: int
    paused: str = ""


@dataclass(frozen=True)
class Overview:
    """See the top of this module."""

    name: str
    state: str
    epoch: int
    now_ms: int
    #: How many processes run or are paused, wait in queues, wait for their time, are dead-lettered.
    running: int
    waiting: int
    delayed: int
    dead: int
    processes: list[Row]
    queues: list[QueueRow]
    members: list[MemberRow]

    def as_dict(self) -> dict[str, Any]:
        """Answer it ready for JSON."""
        return vars(self) | {
            "processes": [row._asdict() for row in self.processes],
            "queues": [row._asdict() for row in self.queues],
            "members": [row._asdict() for row in self.members],
        }


def look(server: Server, pattern: str, limit: int) -> Overview:
    """Look at a server.

    Args:
        server: which.
        pattern: which of its processes are listed.
        limit: how many of them.
    """
    store = server.store
    seen, epoch = Seen(store), read(store)
    there = members(store)
    names = {name.decode() for name in store.command("SMEMBERS", store.key("queues"))}
    names.update(name for member in there for name in member.queues.split())
    rows = [_queue(seen, name) for name in sorted(names)]
    resting, delayed, dead = store.pipeline([("ZCARD", store.key(key)) for key in ("resting", "due", "dead")])
    return Overview(
        name=server.name,
        state=seen.state,
        epoch=epoch.number,
        now_ms=seen.now_ms,
        running=len(held(store)),
        waiting=resting + sum(row.waiting for row in rows),
        delayed=delayed,
        dead=dead,
        processes=find(seen, pattern, limit, ended=False, page=limit + 1),
        queues=rows,
        members=there,
    )


def _queue(seen: Seen, name: str) -> QueueRow:
    store = seen.store
    paused = next(
        (gate.text for gate in seen.gates() if gate.kind == "all" or (gate.kind, gate.name) == ("queue", name)), ""
    )
    return QueueRow(name, store.run("depth", name), store.command("SCARD", store.key(f"serve:{name}")), paused)
