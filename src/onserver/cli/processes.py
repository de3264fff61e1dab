"""Processes as they are shown, and why those that wait do: read from the records, in few trips."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from onserver.process.gates import paused_on
from onserver.process.limits import in_words, limit_name
from onserver.process.progress import Progress
from onserver.process.signing import Signer
from onserver.redis.store import Store

#: Fields of a record that are read as text, in order; see the catalogue of keys.
_FIELDS = (
    "s", "t", "n", "q", "h", "hk", "x", "o", "l", "d", "a", "g", "f", "to", "why", "y", "lv", "pz", "pb", "st", "lk",
)  # fmt: skip
#: Fields that are bytes.
_RAW = ("pr", "c")

ENDED = frozenset({"done", "failed", "aborted", "lost", "dead"})


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


class Seen:
    """What one look at the server needs to know to explain its processes; each fact is asked for once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now_ms = store.now_ms()
        self.state = _text(store.command("HGET", store.key("server"), "state")) or "none"
        self.node = cache(self._node)
        self.codes_on = cache(self._codes_on)
        self.has = cache(self._has)
        self.limits = cache(self._limits)
        self.limit = cache(self._limit)
        self.gates = cache(lambda: paused_on(store))

    def rows(self, numbers: Sequence[int]) -> Iterable[Row]:
        """Read these processes; those whose record has expired are left out."""
        for start in range(0, len(numbers), 500):
            chunk = numbers[start : start + 500]
            commands: list[Sequence[str | int]] = [("ZSCORE", self.store.key("due"), number) for number in chunk]
            commands += [("HMGET", self.store.key(f"p:{number}"), *_FIELDS, *_RAW) for number in chunk]
            answers = self.store.pipeline(commands)
            for number, due, found in zip(chunk, answers[: len(chunk)], answers[len(chunk) :], strict=True):
                if found[1] is not None:
                    progress, envelope = found[len(_FIELDS) :]
                    record = dict(zip(_FIELDS, map(_text, found[: len(_FIELDS)]), strict=True))
                    yield self._row(number, record | {"due": _text(due)}, Progress.read(progress), envelope or b"")

    def why(self, record: dict[str, str]) -> str:
        """Say why a process waits, in words that tell what would let it begin."""
        state = record["s"]
        if state in ENDED:
            return ""
        if record["lv"]:
            return f"is to stop: {record['lv']}"
        if state == "delayed":
            due = float(record["due"] or self.now_ms)
            return f"due in {max(0.0, (due - self.now_ms) / 1000):.0f} s"
        if record["pz"]:
            by = f"by {record['pb']}"
            return f"{record['why']} {by}".strip() if state == "paused" else f"is to pause, {by}"
        return self._why_queued(record) if state == "queued" else record["why"]

    def _why_queued(self, record: dict[str, str]) -> str:
        queue, procedure = record["q"], record["t"]
        if queue.startswith("@"):  # of an application that keeps its broker
            return f"its message waits with its broker, in `{queue[1:]}`"
        codes = self.codes_on(queue)
        if not codes:
            return f"no worker listens on queue `{queue}`"
        if not any(self.has(code, procedure) for code in codes):
            return f"no worker on queue `{queue}` has `{procedure}`"
        if not record["x"] and self.state != "running":
            return f"the server is {self.state}"
        held_by = "" if record["x"] else self._pause_of(queue, procedure)
        return (
            held_by
            or self._limit_of(f"q:{queue}", "")
            or self._limit_of(f"p:{procedure}", record["lk"])
            or ("waits for an executor")
        )

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

    def _limits(self) -> dict[str, str]:
        found = self.store.command("HGETALL", self.store.key("limits"))
        return {_text(field): _text(rule) for field, rule in zip(found[::2], found[1::2], strict=True)}

    def _row(self, number: int, record: dict[str, str], progress: Progress | None, envelope: bytes) -> Row:
        began, over = int(record["g"] or 0), int(record["f"] or self.now_ms)
        since = began or int(record["a"] or self.now_ms)
        return Row(
            number=number,
            name=record["n"] or record["t"],
            procedure=record["t"],
            kind="hook" if record["hk"] else "task" if record["h"] else "procedure",
            caller=_caller(record, envelope),
            state=record["s"],
            progress=progress.as_dict() if progress else None,
            seconds=max(0.0, (over - since) / 1000),
            worker=self.node((record["o"] or record["l"]).partition(".")[0]),
            deliveries=int(record["d"] or 0),
            queue=record["q"],
            why=self.why(record),
        )

    def _node(self, member: str) -> str:
        return _text(self.store.command("HGET", self.store.key(f"member:{member}"), "node")) if member else ""

    def _codes_on(self, queue: str) -> frozenset[str]:
        holders = self.store.command("SMEMBERS", self.store.key(f"serve:{queue}"))
        codes = self.store.pipeline([("HGET", self.store.key(f"h:{_text(h)}"), "code") for h in holders])
        return frozenset(_text(code) for code in codes if code)

    def _has(self, code: str, procedure: str) -> bool:
        return bool(self.store.command("SISMEMBER", self.store.key(f"code:{code}"), procedure))


def _caller(record: dict[str, str], envelope: bytes) -> str:
    """Who asked for it, for people: a schedule, a user of a session, or the login of a program."""
    if record["st"]:
        return "schedule"
    caller = Signer.shown(envelope)
    if caller is None:
        return ""
    return caller.os_user or caller.user if caller.is_server else f"{caller.user} ({caller.kind})"


def _text(value: bytes | None) -> str:
    return value.decode(errors="replace") if value else ""
