"""Which processes there are, and why those that wait do: read from the records, in few trips.

What runs is found by its holders, what waits by its queues, what has ended by the history; so a server with a million
waiting processes is asked for the first few of each, not for all.
"""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, NamedTuple

from onserver.redis.store import Store

#: Fields of a record that are read, in order; see the catalogue of keys.
_FIELDS = ("s", "t", "n", "q", "h", "hk", "x", "o", "l", "d", "a", "g", "f", "to", "why", "y")

ENDED = frozenset({"done", "failed", "aborted", "lost", "dead"})


class Row(NamedTuple):
    """One process, as it is shown."""

    number: int
    name: str
    procedure: str
    kind: str
    state: str
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

    def numbers(self, limit: int, ended: bool) -> list[int]:
        """Return the numbers of what runs and waits, and with `ended` of what has ended last; lowest first."""
        found = set(self._held()) | set(self._waiting(limit))
        if ended:
            found |= set(map(int, self.store.command("ZREVRANGE", self.store.key("ended"), 0, limit - 1)))
        return sorted(found)

    def rows(self, numbers: Sequence[int]) -> Iterable[Row]:
        """Read these processes; those whose record has expired are left out."""
        for start in range(0, len(numbers), 500):
            chunk = numbers[start : start + 500]
            records = self.store.pipeline([("HMGET", self.store.key(f"p:{number}"), *_FIELDS) for number in chunk])
            for number, record in zip(chunk, records, strict=True):
                if record[1] is not None:
                    yield self._row(number, dict(zip(_FIELDS, map(_text, record), strict=True)))

    def why(self, record: dict[str, str]) -> str:
        """Say why a process waits, in words that tell what would let it begin."""
        queue, procedure = record["q"], record["t"]
        if record["s"] == "delayed":
            due = self.store.command("ZSCORE", self.store.key("due"), record["number"])
            return f"due in {max(0.0, (float(due) - self.now_ms) / 1000):.0f} s" if due else "due"
        if record["s"] == "waiting":
            return record["why"]
        if record["s"] != "queued":
            return ""
        codes = self.codes_on(queue)
        if not codes:
            return f"no worker listens on queue `{queue}`"
        if not any(self.has(code, procedure) for code in codes):
            return f"no worker on queue `{queue}` has `{procedure}`"
        if not record["x"] and self.state != "running":
            return f"the server is {self.state}"
        return "waits for an executor"

    def _held(self) -> Iterable[int]:
        holders = self.store.command("SMEMBERS", self.store.key("live"))
        lists = self.store.pipeline([("LRANGE", self.store.key(f"held:{_text(h)}"), 0, -1) for h in holders])
        return [int(number) for held in lists for number in held]

    def _waiting(self, limit: int) -> Iterable[int]:
        keys = [self.store.key("due").encode(), self.store.key("resting").encode()]
        for kind in ("q:", "r:", "parked:"):
            keys += _scan(self.store, kind)
        sets = self.store.pipeline([("ZRANGE", key, 0, limit - 1) for key in keys])
        return [int(number) for waiting in sets for number in waiting]

    def _row(self, number: int, record: dict[str, str]) -> Row:
        record["number"] = str(number)
        began, over = int(record["g"] or 0), int(record["f"] or self.now_ms)
        since = began or int(record["a"] or self.now_ms)
        return Row(
            number=number,
            name=record["n"] or record["t"],
            procedure=record["t"],
            kind="hook" if record["hk"] else "task" if record["h"] else "procedure",
            state=record["s"],
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


def numbers_in(pattern: str) -> list[int]:
    """Return the numbers that a pattern asks for; none when it asks for anything else too."""
    parts = [part.strip().removeprefix("#") for part in pattern.split(";") if part.strip()]
    return sorted(set(map(int, parts))) if all(part.isdecimal() for part in parts) else []


def matching(pattern: str) -> Callable[[Row], bool]:
    """Return the test for a pattern: parts joined by `;`, of which one must fit.

    A part is a number, a text with `*` and `?` for the whole name, or a text that is found anywhere in it.
    """
    parts = [part.strip() for part in pattern.split(";") if part.strip()]

    def fits(row: Row) -> bool:
        return not parts or any(_fits(part, row) for part in parts)

    return fits


def _fits(part: str, row: Row) -> bool:
    if part.removeprefix("#").isdigit():
        return row.number == int(part.removeprefix("#"))
    wild = part if set(part) & set("*?[") else f"*{part}*"
    return fnmatchcase(row.name, wild) or fnmatchcase(row.procedure, wild)


def _scan(store: Store, kind: str) -> list[bytes]:
    found: list[bytes] = []
    cursor: Any = "0"
    while True:
        cursor, keys = store.command("SCAN", cursor, "MATCH", f"{store.prefix}{kind}*", "COUNT", 5000, "TYPE", "zset")
        found += keys
        if int(cursor) == 0:
            return found


def _text(value: bytes | None) -> str:
    return value.decode(errors="replace") if value else ""
