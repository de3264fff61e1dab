"""The schedules of a server as Redis has them: what the command line shows, pauses and starts by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from onserver.errors import ScheduleNotFound
from onserver.process.execute import Names
from onserver.process.handle import Process
from onserver.process.put import Sender
from onserver.process.schedule import Entry
from onserver.process.signed_schedule import verify_schedule
from onserver.redis.store import Store
from onserver.registry import find_name
from onserver.server import Server

_FIELDS = ("what", "last", "paused", "number", "codes", "c")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One schedule, and how it stands. Times are milliseconds since 1970 by the clock of Redis.

    Attributes:
        entry: what is started, and when.
        last_ms: the last time that was started, or since when it is there.
        paused: who paused it, or empty.
        number: of the process that it started last, 0 for none yet.
        alive: whether a worker that is up has it.
        what: what is started and when, as it is kept.
        signed: by whom it was planned.
    """

    entry: Entry
    last_ms: int
    paused: str
    number: int
    alive: bool
    what: bytes
    signed: bytes

    def coming(self, now_ms: int, count: int = 1) -> list[int]:
        """Its next times, later than now; none while it is paused."""
        times: list[int] = []
        after = max(self.last_ms, now_ms)
        while not self.paused and len(times) < count and (time := self.entry.timing.after(after)) is not None:
            times.append(time)
            after = time
        return times


def plan_of(store: Store) -> list[Planned]:
    """All schedules of a server, by name."""
    return plans(store, names_of(store))


def names_of(store: Store) -> list[str]:
    """The names of all schedules of a server, in order."""
    return sorted(name.decode() for name in store.command("SMEMBERS", store.key("schedules")))


def plans(store: Store, names: Sequence[str]) -> list[Planned]:
    """The schedules of these names, without those that there are not."""
    codes = {code.decode() for code in store.command("HKEYS", store.key("codes"))}
    found = store.pipeline([("HMGET", store.key(f"schedule:{name}"), *_FIELDS) for name in names])
    return [_planned(name, facts, codes) for name, facts in zip(names, found, strict=True) if facts[0] is not None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that became of a schedule. Times are milliseconds since 1970 by the clock of Redis.

    Attributes:
        what: `started`; `paused`; `resumed`; `began`: it is there, or has other times, from then on.
        at_ms: when.
        time_ms: the time for which a process was started; 0 for none, which was by hand.
        number: of that process.
        by: who paused it.
    """

    what: Literal["started", "paused", "resumed", "began"]
    at_ms: int
    time_ms: int = 0
    number: int = 0
    by: str = ""


def steps_of(store: Store, name: str) -> list[Step]:
    """What became of a schedule, the newest first: the last 100 things."""
    lines = store.command("LRANGE", store.key(f"starts:{name}"), 0, -1)
    return [_step(*line.decode().split(" ", 2)) for line in lines]


def _step(what: str, at: str, rest: str = "") -> Step:
    if what == "s":
        time, number = rest.split(" ")
        return Step(what="started", at_ms=int(at), time_ms=int(time), number=int(number))
    if what == "p":
        return Step(what="paused", at_ms=int(at), by=rest)
    return Step(what="resumed" if what == "r" else "began", at_ms=int(at))


def planned(store: Store, name: str) -> Planned:
    """The schedule of this name, or of which this is the end.

    Raises:
        ScheduleNotFound: ONS-1107.
    """
    known = {one.entry.name: one for one in plan_of(store)}
    full, near = find_name(name, known)
    if full is None:
        raise ScheduleNotFound(name, near)
    return known[full]


def hold(store: Store, name: str, by: str) -> bool:
    """Pause a schedule, or let it go on: with the times that come then, not with those of its pause.

    Args:
        store: the Redis of the server.
        name: full name of the schedule.
        by: who pauses it, for people; empty lets it go on.

    Returns:
        Whether it was so already.

    Raises:
        ScheduleNotFound: ONS-1107.
    """
    answer = store.run("hold_schedule", name, by)
    if answer < 0:
        raise ScheduleNotFound(name)
    return bool(answer)


def start_by_hand(server: Server, planned: Planned) -> Process[Any]:
    """Start what a schedule starts, now, whatever its times are, and in maintenance too: an operator asks.

    Raises:
        BadSignature: ONS-4106, no program of this project has planned it.
    """
    entry = planned.entry
    verify_schedule(server, entry.name, planned.what, planned.signed)
    order = replace(server.part(Names).order(entry.procedure), schedule=entry.name, operator=True)
    return server.part(Sender).put(order, entry.args, entry.kwargs)


def _planned(name: str, facts: list[Any], alive: set[str]) -> Planned:
    what, last, paused, number, codes, signed = facts
    had = set((codes or b"").decode().split())
    return Planned(
        entry=Entry.read(name, what),
        last_ms=int(last),
        paused=(paused or b"").decode(),
        number=int(number or 0),
        alive=bool(alive & had or (alive and "+" in had)),
        what=what,
        signed=signed or b"",
    )
