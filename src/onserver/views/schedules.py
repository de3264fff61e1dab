"""Schedules as they are shown: what each starts and when, why one starts nothing, which of its times were missed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from onserver.life.epoch import read
from onserver.process.maintenance import maintenance_on
from onserver.process.plan import Planned, Step, names_of, plans, steps_of
from onserver.process.timing import Timing
from onserver.redis.store import Store
from onserver.views.masked import Mask

#: Why a schedule starts nothing now.
Held = Literal["paused", "no_worker", "stopped", "maintenance", ""]
#: What a schedule can be asked for: all times come, somebody has paused it, nobody starts it.
State = Literal["goes_on", "paused", "no_worker"]
STATES: Final[tuple[State, ...]] = ("goes_on", "paused", "no_worker")
SOURCES: Final = ("code", "settings", "celery", "added")

#: Times of one gap that are counted; there are more.
MOST_COUNTED: Final = 1000
_CHUNK: Final = 100
#: A time that came less than this ago is about to be started.
_SOON_MS: Final = 5000


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Times that passed and started nothing.

    Attributes:
        count: how many, `MOST_COUNTED` at most.
        since_ms: they came later than that.
        until_ms: and not later than this.
        paused: whether somebody had paused it then.
    """

    count: int
    since_ms: int
    until_ms: int
    paused: bool


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One schedule.

    Attributes:
        planned: it, as Redis has it.
        coming: its next times, milliseconds since 1970; none while it is paused.
        held: why it starts nothing now; empty where it does.
    """

    planned: Planned
    coming: Sequence[int]
    held: Held

    @property
    def state(self) -> State:
        """How it stands by itself."""
        return "paused" if self.planned.paused else "goes_on" if self.planned.alive else "no_worker"

    def as_dict(self, mask: Mask | None = None) -> dict[str, Any]:
        """The facts, ready for JSON; its arguments where they may be seen, without what the mask hides."""
        entry = self.planned.entry
        facts = {
            "name": entry.name, "procedure": entry.procedure, "times": entry.timing.text,
            "timezone": entry.timing.timezone, "words": entry.timing.words, "missed": entry.missed,
            "source": entry.source, "added_by": entry.by or None, "coming": list(self.coming),
            "last_ms": self.planned.last_ms, "process": self.planned.number or None,
            "paused_by": self.planned.paused or None, "alive": self.planned.alive, "held": self.held or None,
        }  # fmt: skip
        if mask is None:
            return facts
        return facts | {"args": mask.over(list(entry.args)), "kwargs": mask.over(dict(entry.kwargs))}


class Schedules:
    """One look at the schedules of a server.

    Args:
        store: the Redis of the server.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.now_ms = store.now_ms()
        self._state, self._closed = read(store).state, maintenance_on(store) is not None
        self._names = names_of(store)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)

    def of(self, name: str, count: int = 3) -> Schedule | None:
        """Answer one schedule, with so many of its next times; None where there is none of this name."""
        return (
            next((self._schedule(one, count) for one in plans(self._store, [name])), None)
            if name in self._names
            else None
        )

    def page(
        self, *, word: str = "", source: str = "", state: str = "", after: str = "", limit: int = 200
    ) -> list[Schedule]:
        """Answer those that fit, by name.

        Args:
            word: that is in the name or the procedure; empty for any.
            source: where it is declared; empty for any.
            state: one of `STATES`; empty for any.
            after: only those whose name comes later.
            limit: how many at most.
        """
        found: list[Schedule] = []
        wanted = word.casefold()
        names = self._names[bisect_right(self._names, after) :]
        for start in range(0, len(names), _CHUNK):
            for one in plans(self._store, names[start : start + _CHUNK]):
                made = self._schedule(one, 3)
                entry = one.entry
                if (
                    wanted in f"{entry.name} {entry.procedure}".casefold()
                    and source in ("", entry.source) and state in ("", made.state)
                ):  # fmt: skip
                    found.append(made)
                    if len(found) == limit:
                        return found
        return found

    def _schedule(self, one: Planned, count: int) -> Schedule:
        return Schedule(planned=one, coming=one.coming(self.now_ms, count), held=self._held(one))

    def _held(self, one: Planned) -> Held:
        if one.paused:
            return "paused"
        if not one.alive:
            return "no_worker"
        if self._state != "running":
            return "stopped"
        return "maintenance" if self._closed else ""


def history(store: Store, one: Planned, now_ms: int) -> list[Step | Gap]:
    """Answer what became of a schedule, the newest first, with the times that started nothing.

    Args:
        store: the Redis of the server.
        one: which.
        now_ms: by the clock of Redis.
    """
    steps = steps_of(store, one.entry.name)
    return list(_told(steps[::-1], one, now_ms))[::-1]


def _told(steps: Sequence[Step], one: Planned, now_ms: int) -> Iterator[Step | Gap]:
    """Tell it from the oldest to the newest. Gaps are known only since it has the times that it has now."""
    timing, since = one.entry.timing, 0
    newest = max((index for index, step in enumerate(steps) if step.what == "began"), default=-1)
    paused = False
    for index, step in enumerate(steps):
        if step.what == "began":
            since = step.at_ms if index == newest else 0
        elif step.what == "paused":
            paused = True
        elif step.what == "resumed":
            if since and (gap := _gap(timing, since, step.at_ms, paused=True)):
                yield gap
            since, paused = (step.at_ms if index > newest else 0), False
        elif step.time_ms:
            if since and (gap := _gap(timing, since, step.time_ms - 1, paused=False)):
                yield gap
            since = step.time_ms if index > newest else 0
        yield step
    if since and (gap := _gap(timing, since, now_ms - _SOON_MS, paused=paused)):
        yield gap


def _gap(timing: Timing, since: int, until: int, *, paused: bool) -> Gap | None:
    count, at = 0, since
    while count < MOST_COUNTED and (time := timing.after(at)) is not None and time <= until:
        count, at = count + 1, time
    return Gap(count=count, since_ms=since, until_ms=until, paused=paused) if count else None
