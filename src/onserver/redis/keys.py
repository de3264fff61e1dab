"""The keys of a server: which line of the catalogue one belongs to, which there are, and which should not be there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from onserver.redis.catalogue import CATALOGUE, Key
from onserver.redis.owners import Facts, texts
from onserver.redis.store import Store

_SCAN_COUNT = 500
_NO_LIFETIME = -1
_PLACEHOLDERS = {
    "N": r"\d+",
    "M": r"\d+",
    "HOLDER": r"\d+\.\d+",
    "EPOCH": r"\d+",
    "ID": "[0-9A-F]{32}",
    "CALL": "[0-9a-f]{32}",
}


@dataclass(frozen=True)
class Orphan:
    """A key that should not be there, and why."""

    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


def key_of(suffix: str) -> tuple[Key, str] | None:
    """The line of the catalogue for a key without its prefix, and the last word of it; None when it has none."""
    for key, pattern in _patterns():
        match = pattern.fullmatch(suffix)
        if match:
            return key, match[match.lastindex or 0]
    return None


def find_orphans(store: Store) -> list[Orphan]:
    """The keys of a server that are not in the catalogue, of another type, or without owner and lifetime.

    For tests and `doctor`: it reads every key, and what changes meanwhile may be reported by mistake.
    """
    facts = Facts(
        store,
        live=frozenset(texts(store.command("SMEMBERS", store.key("live")))),
        burying=frozenset(texts(store.command("HKEYS", store.key("burying")))),
        members=frozenset(texts(store.command("ZRANGE", store.key("members"), 0, -1))),
        codes=frozenset(texts(store.command("HKEYS", store.key("codes")))),
    )
    orphans: list[Orphan] = []
    for name in all_keys(store):
        reason = _judge(facts, name)
        if reason:
            orphans.append(Orphan(name.removeprefix(store.prefix), reason))
    return orphans


def all_keys(store: Store) -> Iterator[str]:
    """The full names of all keys of a server."""
    seen: set[str] = set()
    for names in scan(store):
        fresh = set(names) - seen
        seen |= fresh
        yield from sorted(fresh)


def scan(store: Store, prefix: str = "") -> Iterator[list[str]]:
    """The full names of all keys that begin so behind the server's prefix, some at a time; one may come twice.

    What is there from beginning to end of the scan comes; what is made or removed meanwhile may come.
    """
    pattern = re.sub(r"([\[\]*?\\])", r"\\\1", store.key(prefix)) + "*"
    cursor = b"0"
    while True:
        cursor, names = store.command("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT)
        yield texts(names)
        if cursor == b"0":
            return


def _judge(facts: Facts, name: str) -> str:
    found = key_of(name.removeprefix(facts.store.prefix))
    kind, left_ms = facts.store.pipeline([("TYPE", name), ("PTTL", name)])
    kind = kind.decode()
    if kind == "none":
        return ""
    if found is None:
        return f"it is not in the catalogue (a {kind})"
    key, word = found
    if key.type not in (kind, "any"):
        return f"it is a {kind}, not a {key.type}"
    return key.judge(facts, name, word) if left_ms == _NO_LIFETIME else ""


@cache
def _patterns() -> list[tuple[Key, re.Pattern[str]]]:
    def group(match: re.Match[str]) -> str:
        return f"({_PLACEHOLDERS.get(match[0], '.*')})"

    return [(key, re.compile(re.sub(r"[A-Z]+", group, key.pattern), re.DOTALL)) for key in CATALOGUE]
