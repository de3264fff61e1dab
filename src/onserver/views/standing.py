"""How a server stands, in numbers, and what of it somebody should look at: the overview of the admin page.

It is read in a few trips, whatever the server has: counts, never lists. A concern is a kind and its facts; the
sentences are the page's, in its languages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from onserver.backup.codes import Code
from onserver.backup.history import Operation
from onserver.backup.state import State
from onserver.life.epoch import Epoch, read
from onserver.process.gates import paused_on
from onserver.process.maintenance import Maintenance, maintenance_on
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.server import Server
from onserver.views.finding import held
from onserver.views.hook_runs import hook_runs
from onserver.views.locks import counted
from onserver.views.members import MemberRow, members
from onserver.views.owners import owners

#: A lock that is held for longer is told of.
LONG_HELD_SECONDS: Final = 60.0
#: A backup that is later than this is told of.
_LATE_MS: Final = 120_000
_HOUR_MS: Final = 3_600_000
#: More than this share of the memory that Redis may take is told of.
_FULL: Final = 0.9

Level = Literal["warn", "bad"]


@dataclass(frozen=True, kw_only=True)
class Concern:
    """Something that somebody should look at.

    Attributes:
        kind: `stopped`, `unserved`, `silent`, `lock`, `hook`, `backup_failed`, `backup_late`, `backup_suspended`,
            `codes`, `paused`, `maintenance`, `dead`, `memory`.
        level: how bad it is.
        facts: what a sentence about it has.
    """

    kind: str
    level: Level
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Backups:
    """Where the backups stand.

    Attributes:
        good_ms: when the last one that ended well was begun, milliseconds since 1970; 0 where there is none.
        next_ms: when the next one is due; 0 where none is.
    """

    good_ms: int
    next_ms: int


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a server stands at one moment.

    Attributes:
        epoch: its present life.
        maintenance: that it is in; None for none.
        ever: whether a worker ever came.
        running: processes that are held: they run, wait in their run, or are paused in it.
        queued: those that wait in queues.
        delayed: those that wait for their time.
        resting: those that were paused before they began.
        dead: dead letters.
        failed: those that failed within the last hour.
        workers: their number; silent ones too.
        clients: programs that take part and are no workers.
        executors: of all workers.
        sessions: how many, by kind.
        locks: how many are held.
        memory: bytes that Redis uses.
        memory_limit: bytes that it may; 0 for no limit.
        backups: where the backups stand.
        concerns: what somebody should look at, the worst first.
    """

    epoch: Epoch
    maintenance: Maintenance | None
    ever: bool
    running: int
    queued: int
    delayed: int
    resting: int
    dead: int
    failed: int
    workers: int
    clients: int
    executors: int
    sessions: Mapping[str, int]
    locks: int
    memory: int
    memory_limit: int
    backups: Backups
    concerns: Sequence[Concern]

    @property
    def healthy(self) -> bool:
        """Whether it serves, and nobody need look."""
        return self.epoch.state == "running" and not self.concerns

    def as_dict(self) -> dict[str, Any]:
        """Answer it ready for JSON."""
        return {
            **{name: value for name, value in vars(self).items() if name not in ("epoch", "maintenance", "backups")},
            "epoch": asdict(self.epoch),
            "maintenance": self.maintenance._asdict() if self.maintenance else None,
            "backups": asdict(self.backups),
            "concerns": [asdict(concern) for concern in self.concerns],
        }


def look(server: Server) -> Standing:
    """Look at a server.

    Args:
        server: which.
    """
    store = server.store
    epoch, there, closed = read(store), members(store), maintenance_on(store)
    now = store.now_ms()
    counted: list[Sequence[Word]] = [("ZCARD", store.key(key)) for key in ("resting", "due", "dead")]
    counted.append(("ZCOUNT", store.key("failed"), now - _HOUR_MS, "+inf"))
    (resting, delayed, dead, failed), waiting, locks = store.pipeline(counted), _waiting(store), _locks(store)
    memory, limit = _memory(store)
    state = State(store)
    backups = _backups(state)
    workers = [member for member in there if member.kind == "worker"]
    concerns = [
        *_of_life(epoch, workers, waiting),
        *_of_members(server, workers),
        *(Concern(kind="lock", level="warn", facts=lock) for lock in locks if lock["seconds"] > LONG_HELD_SECONDS),
        *_of_hooks(store, epoch),
        *_of_backups(state, backups, epoch, now),
        *_of_gates(store, closed),
    ]
    if dead:
        concerns.append(Concern(kind="dead", level="warn", facts={"count": dead}))
    if limit and memory > limit * _FULL:
        concerns.append(Concern(kind="memory", level="bad", facts={"used": memory, "limit": limit}))
    return Standing(
        epoch=epoch, maintenance=closed, ever=epoch.number > 0, running=len(held(store)), queued=sum(waiting.values()),
        delayed=delayed, resting=resting, dead=dead, failed=failed, workers=len(workers),
        clients=len(there) - len(workers), executors=sum(member.executors for member in workers),
        sessions=dict(server.sessions.counts()), locks=len(locks), memory=memory, memory_limit=limit, backups=backups,
        concerns=sorted(concerns, key=lambda concern: concern.level != "bad"),
    )  # fmt: skip


# -- what is counted


def _waiting(store: Store) -> dict[str, int]:
    names = sorted(name.decode() for name in store.command("SMEMBERS", store.key("queues")))
    return {name: int(store.run("depth", name)) for name in names}


def _locks(store: Store) -> list[dict[str, Any]]:
    """Read what is locked, by whom and for how long; those of storage, of sessions too."""
    found, now = counted(store), store.now_ms()
    ages = [max(0.0, (now - at) / 1000) for _, _, at in found]
    known = owners(store, [owner for (_, owner, _), age in zip(found, ages, strict=True) if age > LONG_HELD_SECONDS])
    return [
        {"name": name.partition(":l:")[2], "owner": known[owner].text if owner in known else owner, "seconds": age}
        for (name, owner, _), age in zip(found, ages, strict=True)
    ]


def _memory(store: Store) -> tuple[int, int]:
    told = store.command("INFO", "memory").decode()
    facts = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    return int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))


def _backups(state: State) -> Backups:
    good, standing = state.last("good"), state.standing()[1]
    return Backups(good_ms=_ms(good), next_ms=standing.retry_ms or standing.next_ms)


def _ms(operation: Operation | None) -> int:
    return int(datetime.fromisoformat(operation.started).timestamp() * 1000) if operation and operation.started else 0


# -- what somebody should look at


def _of_life(epoch: Epoch, workers: Sequence[MemberRow], waiting: Mapping[str, int]) -> Iterator[Concern]:
    if epoch.state != "running":
        held_up = sum(waiting.values())
        level: Level = "bad" if epoch.state == "failed" or held_up else "warn"
        yield Concern(kind="stopped", level=level, facts={"state": epoch.state, "waiting": held_up})
        return
    served = {queue for worker in workers for queue in worker.queues.split()}
    for queue, count in waiting.items():
        if count and queue not in served and not queue.startswith("@"):
            yield Concern(kind="unserved", level="bad", facts={"queue": queue, "count": count})


def _of_members(server: Server, workers: Sequence[MemberRow]) -> Iterator[Concern]:
    late = 2.5 * server.settings.member.beat_seconds
    for worker in workers:
        if worker.silence > late:
            facts = {"member": worker.number, "node": worker.node, "seconds": worker.silence}
            yield Concern(kind="silent", level="bad", facts=facts)
    store = server.store
    holders = [holder.decode() for holder in store.command("SMEMBERS", store.key("live"))]
    codes = store.pipeline([("HGET", store.key(f"h:{holder}"), "code") for holder in holders]) if holders else []
    different = sorted({code.decode() for code in codes if code})
    if len(different) > 1:
        yield Concern(kind="codes", level="warn", facts={"count": len(different), "codes": different})


def _of_hooks(store: Store, epoch: Epoch) -> Iterator[Concern]:
    for run in hook_runs(store, epoch.number):
        if run.outcome == "failed":
            yield Concern(kind="hook", level="bad", facts={"hook": run.name, "process": run.number})


def _of_backups(state: State, backups: Backups, epoch: Epoch, now: int) -> Iterator[Concern]:
    standing, last = state.standing()[1], state.last()
    if standing.suspended and standing.suspended == epoch.number:
        yield Concern(kind="backup_suspended", level="bad", facts={"attempts": standing.attempts})
    elif backups.next_ms and backups.next_ms < now - _LATE_MS and state.going() is None:
        yield Concern(kind="backup_late", level="bad", facts={"due_ms": backups.next_ms})
    if last is not None and last.code not in (Code.DONE, Code.CANCELLED) and _ms(last) > backups.good_ms:
        yield Concern(kind="backup_failed", level="warn", facts={"code": last.code, "reason": last.reason})


def _of_gates(store: Store, closed: Maintenance | None) -> Iterator[Concern]:
    if closed is not None:
        yield Concern(kind="maintenance", level="warn", facts=closed._asdict())
    for gate in paused_on(store):
        yield Concern(kind="paused", level="warn", facts={"what": gate.kind, "name": gate.name, "by": gate.by})
