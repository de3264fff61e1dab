"""Processes as they are shown, and why those that wait do: read from the records, in few trips."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from onserver.process.gates import paused_on
from onserver.process.limits import in_words, limit_name
from onserver.process.record import Record, State, read_answer, reading
from onserver.process.side import PREFIX, runnable_aside
from onserver.redis.resp import Word
from onserver.redis.store import Store

ENDED = frozenset(state.value for state in State if state.ended)


class Row(NamedTuple):
    """One process, as it is shown."""

    number: int
    name: str
    procedure: str
    kind: str
    caller: str
    state: str
    progress: dict[str, Any] | None
    seconds: float
    worker: str
    deliveries: int
    queue: str
    why: str
    #: Id of the session that asked for it, or empty.
    session: str = ""
    #: When it was asked for, begun, and ended, milliseconds since 1970; 0 for not yet.
    accepted_ms: int = 0
    claimed_ms: int = 0
    ended_ms: int = 0
    #: What it has said of its progress, for people.
    note: str = ""
    #: The process whose run started it, or None.
    parent: int | None = None
    #: What its run has used of a processor, and the bytes that its executor has; None where that is not known.
    cpu_seconds: float | None = None
    memory: int | None = None


class _Member(NamedTuple):
    """A member: its name, and what its runs have used, as it said with its last beat."""

    node: str
    used: Mapping[int, tuple[float, int]]


_UNKNOWN: Final = (None, None)


class Seen:
    """What one look at the server needs to know to explain its processes; each fact is asked for once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now_ms = store.now_ms()
        self.state = _text(store.command("HGET", store.key("server"), "state")) or "none"
        self._member = cache(self._read_member)
        self.codes_on = cache(self._codes_on)
        self.has = cache(self._has)
        self.limits = cache(self._limits)
        self.limit = cache(self._limit)
        self.gates = cache(lambda: paused_on(store))

    def rows(self, numbers: Sequence[int], at_once: int = 500) -> Iterable[Row]:
        """Read these processes, so many in one trip; those whose record has expired are left out."""
        for start in range(0, len(numbers), at_once):
            chunk = numbers[start : start + at_once]
            commands: list[Sequence[Word]] = [("ZSCORE", self.store.key("due"), number) for number in chunk]
            commands += [reading(self.store, number) for number in chunk]
            answers = self.store.pipeline(commands)
            for number, due, found in zip(chunk, answers[: len(chunk)], answers[len(chunk) :], strict=True):
                record = read_answer(number, found)
                if record is not None:
                    yield self._row(record, float(due or self.now_ms))

    def _why(self, record: Record, due_ms: float) -> str:
        """Say why a process waits, in words that tell what would let it begin."""
        if record.state.ended:
            return ""
        if record.level:
            return f"is to stop: {record.level}"
        if record.state == State.DELAYED:
            return f"due in {max(0.0, (due_ms - self.now_ms) / 1000):.0f} s"
        if record.pausing:
            by = f"by {record.paused_by}"
            return f"{record.why} {by}".strip() if record.state == State.PAUSED else f"is to pause, {by}"
        return self._why_queued(record) if record.state == State.QUEUED else record.why

    def _why_queued(self, record: Record) -> str:
        queue, procedure = record.queue, record.procedure
        if queue.startswith("@"):  # of an application that keeps its broker
            held_by = "" if record.root is not None else self._pause_of(queue[1:], procedure)
            return held_by or f"its message waits with its broker, in `{queue[1:]}`"
        if queue.startswith(PREFIX):
            return self._why_aside(queue, procedure)
        codes = self.codes_on(queue)
        if not codes:
            return f"no worker listens on queue `{queue}`"
        if not any(self.has(code, procedure) for code in codes):
            return f"no worker on queue `{queue}` has `{procedure}`"
        if record.root is None and self.state != "running":
            return f"the server is {self.state}"
        held_by = "" if record.root is not None else self._pause_of(queue, procedure)
        return (
            held_by
            or self._limit_of(f"q:{queue}", "")
            or self._limit_of(f"p:{procedure}", record.limit_key)
            or ("waits for an executor")
        )

    def _why_aside(self, queue: str, procedure: str) -> str:
        """Say for whom a side run waits."""
        if not runnable_aside(self.store, procedure):
            return f"no worker has `{procedure}`"
        member = queue.removeprefix(PREFIX)
        return f"waits for worker {member}" if member.isdecimal() else "waits for a worker"

    def _pause_of(self, queue: str, procedure: str) -> str:
        """Say which wide pause holds what waits there."""
        for gate in self.gates():
            if gate.holds(queue, procedure):
                return gate.text
        return ""

    def _limit_of(self, field: str, key: str) -> str:
        """Say which limit lets nobody begin now; each is looked at once."""
        rule = self.limits().get(field, "")
        return self.limit(rule, field if field[0] == "q" else limit_name(rule, key)) if rule else ""

    def _limit(self, rule: str, name: str) -> str:
        store = self.store
        slots, turn = ("SCARD", store.key(f"slots:{name}")), ("ZSCORE", store.key("turns"), f"l:{name}")
        taken, turn_ms = store.pipeline([slots, turn])
        return in_words(rule, name, taken, float(turn_ms) if turn_ms else None, self.now_ms)

    def slots_taken(self, names: Sequence[str]) -> list[int]:
        """Answer how many slots of each of these limits are taken."""
        return self.store.pipeline([("SCARD", self.store.key(f"slots:{name}")) for name in names])

    def _limits(self) -> dict[str, str]:
        found = self.store.command("HGETALL", self.store.key("limits"))
        return {_text(field): _text(rule) for field, rule in zip(found[::2], found[1::2], strict=True)}

    def node(self, member: str) -> str:
        """Answer the name of a member; empty for none, and for one that has left."""
        return self._member(member).node

    def _row(self, record: Record, due_ms: float) -> Row:
        over, member = record.ended_ms or self.now_ms, self._member(record.holder.partition(".")[0])
        runs = bool(record.claimed_ms) and not record.state.ended
        cpu_seconds, memory = member.used.get(record.number, _UNKNOWN) if runs else _UNKNOWN
        return Row(
            number=record.number,
            name=record.name or record.procedure,
            procedure=record.procedure,
            kind=record.kind,
            caller=record.caller,
            state=record.state.value,
            progress=record.progress.as_dict() if record.progress else None,
            seconds=max(0.0, (over - (record.claimed_ms or record.accepted_ms or self.now_ms)) / 1000),
            worker=member.node,
            deliveries=record.deliveries,
            queue=record.queue,
            why=self._why(record, due_ms),
            session=record.session,
            accepted_ms=record.accepted_ms,
            claimed_ms=record.claimed_ms,
            ended_ms=record.ended_ms,
            note=record.progress.note if record.progress else "",
            parent=record.parent,
            cpu_seconds=cpu_seconds,
            memory=memory,
        )

    def _read_member(self, number: str) -> _Member:
        if not number:
            return _Member("", {})
        node, usage = self.store.command("HMGET", self.store.key(f"member:{number}"), "node", "usage")
        runs = (one.split() for one in _text(usage).split(",") if one.count(" ") == 2)
        return _Member(_text(node), {int(run): (int(cpu_ms) / 1000, int(size)) for run, cpu_ms, size in runs})

    def _codes_on(self, queue: str) -> frozenset[str]:
        holders = self.store.command("SMEMBERS", self.store.key(f"serve:{queue}"))
        codes = self.store.pipeline([("HGET", self.store.key(f"h:{_text(h)}"), "code") for h in holders])
        return frozenset(_text(code) for code in codes if code)

    def _has(self, code: str, procedure: str) -> bool:
        return bool(self.store.command("SISMEMBER", self.store.key(f"code:{code}"), procedure))


def _text(value: bytes | None) -> str:
    return value.decode(errors="replace") if value else ""
