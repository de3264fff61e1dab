"""Who takes part in a server, with all that is to be known of each: in pages, and one by itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from onserver.life.epoch import read
from onserver.redis.resp import Word
from onserver.server import Server

State = Literal["ready", "starting", "waiting", "draining", "silent"]
STATES: Final[tuple[State, ...]] = ("ready", "starting", "waiting", "draining", "silent")
Order = Literal["number", "-number", "beat", "-beat"]
ORDERS: Final[tuple[Order, ...]] = ("number", "-number", "beat", "-beat")

#: Beats that may be missed before somebody is said to be silent.
_BEATS: Final = 2.5
#: Members whose records are read in one trip.
_CHUNK: Final = 100


@dataclass(frozen=True, kw_only=True)
class Executor:
    """What of a member runs processes.

    Attributes:
        holder: its name, "member.incarnation".
        code: what it can run.
        queues: from which it takes work.
        places: how many it runs at a time.
        numbers: of the processes that it has.
    """

    holder: str
    code: str
    queues: tuple[str, ...]
    places: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One worker or client.

    Attributes:
        number: of the member; never used again.
        kind: `worker` or `client`.
        node: its name for people.
        host: on which it runs.
        pid: of its program there.
        state: `ready`; `starting`, while start-up hooks run; `waiting` for the next epoch; `draining`: it takes no more
            work, and leaves; `silent`: it has missed beats.
        leads: whether it has the cluster's duties.
        code: fingerprint of what it can run; empty for a client.
        version: of onserver there.
        pool: of a worker of Celery's; empty for one of ours.
        slots: how many processes it can run at a time.
        busy: how many of these are taken.
        queues: from which it takes work.
        silence: seconds since its last beat.
        joined_ms: when it came, milliseconds since 1970.
        memory: bytes that it takes with its executors; 0 where that is not known.
        ahead: seconds by which its clock is ahead of that of Redis.
        reloaded: how it took new code the last time; empty for never.
        executors: what of it runs processes.
    """

    number: int
    kind: str
    node: str
    host: str
    pid: int
    state: State
    leads: bool
    code: str
    version: str
    pool: str
    slots: int
    busy: int
    queues: tuple[str, ...]
    silence: float
    joined_ms: int
    memory: int
    ahead: float
    reloaded: str
    executors: tuple[Executor, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The facts, ready for JSON."""
        return {**vars(self), "executors": [vars(executor) for executor in self.executors]}


class TakingPart:
    """One look at the members of a server.

    Args:
        server: which.
    """

    def __init__(self, server: Server) -> None:
        store = server.store
        self._store = store
        self._late = _BEATS * server.settings.member.beat_seconds
        self.epoch = read(store)
        beats, leader, workers, leaving = store.pipeline(
            [
                ("ZRANGE", store.key("members"), 0, -1, "WITHSCORES"),
                ("HGET", store.key("server"), "leader"),
                ("SMEMBERS", store.key("workers")),
                ("SMEMBERS", store.key("leaving")),
            ]
        )
        self.now_ms = store.now_ms()
        self._beats = {int(number): float(beat) for number, beat in zip(beats[::2], beats[1::2], strict=True)}
        self._leader = int(leader or 0)
        self._workers, self._leaving = {int(one) for one in workers}, {int(one) for one in leaving}

    @property
    def workers(self) -> int:
        """How many workers there are in this epoch."""
        return len(self._workers)

    @property
    def anybody(self) -> bool:
        """Whether anybody takes part."""
        return bool(self._beats)

    def of(self, number: int) -> Part | None:
        """Answer one member; None where there is none of this number."""
        return next(self._read([number]), None) if number in self._beats else None

    def page(
        self, *, kind: str = "", state: str = "", word: str = "", order: Order = "number", after: int = 0,
        limit: int = 200,
    ) -> list[Part]:  # fmt: skip
        """Answer those that fit, up to `limit`.

        Args:
            kind: `worker` or `client`; empty for both.
            state: one of `STATES`; empty for any.
            word: that is in the name, the host, the code or a queue; empty for any.
            order: by which they come.
            after: the number of the last one on the page before; 0 for the first page.
            limit: how many at most.
        """
        found: list[Part] = []
        for part in self._read(self._ordered(order, after)):
            if kind in ("", part.kind) and state in ("", part.state) and _fits(part, word):
                found.append(part)
                if len(found) == limit:
                    break
        return found

    def _ordered(self, order: Order, after: int) -> Sequence[int]:
        if order == "number":
            numbers = sorted(self._beats)
            return numbers[bisect_right(numbers, after) :]
        if order == "-number":
            return [number for number in sorted(self._beats, reverse=True) if not after or number < after]
        longest_first = order == "-beat"
        numbers = sorted(self._beats, key=lambda one: (self._beats[one], one), reverse=not longest_first)
        return numbers[numbers.index(after) + 1 :] if after in self._beats else numbers

    def _read(self, numbers: Iterable[int]) -> Iterator[Part]:
        chosen = list(numbers)
        for start in range(0, len(chosen), _CHUNK):
            yield from self._read_some(chosen[start : start + _CHUNK])

    def _read_some(self, numbers: Sequence[int]) -> Iterator[Part]:
        store = self._store
        asked: list[Sequence[Word]] = [("HGETALL", store.key(f"member:{number}")) for number in numbers]
        asked += [("SMEMBERS", store.key(f"m:{number}")) for number in numbers]
        answers = store.pipeline(asked)
        holders = [sorted(holder.decode() for holder in found) for found in answers[len(numbers) :]]
        every = [holder for some in holders for holder in some]
        asked = [("HMGET", store.key(f"h:{holder}"), "code", "queues", "places") for holder in every]
        asked += [("LRANGE", store.key(f"held:{holder}"), 0, 199) for holder in every]
        answered = store.pipeline(asked) if every else []
        known = {
            holder: _executor(holder, facts, held)
            for holder, facts, held in zip(every, answered[: len(every)], answered[len(every) :], strict=True)
        }
        for number, flat, some in zip(numbers, answers[: len(numbers)], holders, strict=True):
            facts = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
            if facts:  # one that has left meanwhile has none
                yield self._part(number, facts, tuple(known[holder] for holder in some if known[holder].code))

    def _part(self, number: int, facts: dict[str, str], executors: tuple[Executor, ...]) -> Part:
        silence = max(0.0, (self.now_ms - self._beats[number]) / 1000)
        pool = facts.get("pool", "")
        code = facts.get("code") or next((executor.code for executor in executors), "")
        slots = sum(executor.places for executor in executors)
        if pool:  # one holder for the whole pool
            slots = max(slots, int(facts.get("executors") or 0))
        busy = sum(len(executor.numbers) if pool else min(executor.places, len(executor.numbers))
                   for executor in executors)  # fmt: skip
        return Part(
            number=number, kind=facts.get("kind", ""), node=facts.get("node", ""), host=facts.get("host", ""),
            pid=int(facts.get("pid") or 0), state=self._state(number, facts.get("kind", ""), silence),
            leads=number == self._leader, code=code, version=facts.get("version", ""), pool=pool,
            slots=slots, busy=min(slots, busy), silence=silence, joined_ms=int(float(facts.get("joined") or 0)),
            queues=tuple(sorted({queue for executor in executors for queue in executor.queues})),
            memory=int(facts.get("memory") or 0), ahead=int(facts.get("ahead_ms") or 0) / 1000,
            reloaded=facts.get("reloaded", ""), executors=executors,
        )  # fmt: skip

    def _state(self, number: int, kind: str, silence: float) -> State:
        if silence > self._late:
            return "silent"
        if kind != "worker":
            return "ready"
        if number in self._leaving or (number in self._workers and self.epoch.state == "stopping"):
            return "draining"
        if number not in self._workers:
            return "waiting"
        return "starting" if self.epoch.state == "starting" else "ready"


def _executor(holder: str, facts: Sequence[bytes | None], held: Sequence[bytes]) -> Executor:
    code, queues, places = ((text or b"").decode() for text in facts)
    return Executor(holder=holder, code=code, queues=tuple(queues.split()), places=int(places or 1),
                    numbers=tuple(int(number) for number in held))  # fmt: skip


def _fits(part: Part, word: str) -> bool:
    wanted = word.casefold()
    return any(wanted in text.casefold() for text in (part.node, part.host, part.code, *part.queues))
