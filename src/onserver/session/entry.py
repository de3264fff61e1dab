"""A top-level entry of a storage as it was read, and what a storage reads its entries from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from onserver.values import decode, freeze


class Entry(NamedTuple):
    """One top-level entry as it was read; its value is read-only."""

    value: Any
    #: Grows by one with each commit; 0 when there is no such entry.
    version: int
    #: "v" a value, "c" a counter, empty when there is no such entry.
    kind: str


ABSENT: Final = Entry(None, 0, "")


def read_entry(key: str, reply: list[Any]) -> Entry:
    """Make an entry of what HMGET v n k answers."""
    data, version, kind = reply
    if data is None:
        return ABSENT
    value = int(data) if kind == b"c" else freeze(decode(data), key)
    return Entry(value, int(version), kind.decode())


class Reads(Protocol):
    """What a storage reads from: a `Cache`, or one space of several in a cache that they share."""

    def entry(self, key: str) -> Entry:
        """The entry as last committed, `ABSENT` if there is none."""
        ...

    def cached(self, key: str) -> Entry | None:
        """The entry if it is here and new enough, without ever waiting."""
        ...

    def names(self) -> frozenset[str]:
        """The names of all entries."""
        ...

    def require(self, change: int) -> None:
        """Have the next read see everything up to this change."""
        ...

    def wrote(self, versions: Mapping[str, int], change: int) -> None:
        """This program has committed `change`: these entries, which now have these versions (0: removed)."""
        ...

    def close(self) -> None:
        """Drop the connection and everything that was read, if it is this one's."""
        ...
