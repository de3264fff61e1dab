"""What the log has behind an archive, up to an instant: onto the keys of a restore that is being staged.

The numbers of changes follow each other, so it is seen whether anything is missing between the archive and that
instant: a file that is gone, a time in which nothing was logged, damage. Then nothing is restored, rather than a state
that never was. Two things are no gap: that numbers jump by whole millions, which Redis' restart makes them do, and that
the last file ends in the middle of a change, which is cut off and said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from onserver.backup.placing import Command
from onserver.backup.segments import Change, Mark, Segment, SegmentReader, segments
from onserver.errors import RestoreRefused
from onserver.redis.keys import scan
from onserver.redis.store import Store

_JUMP: Final = 1_000_000
_TRIP: Final = 300
_STORAGE: Final = re.compile(r"st:e:|ss:([0-9A-F]{32}):e:")


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What was taken from the log."""

    changes: int
    """How many."""
    last: int
    """The number of the newest change that the storage has now."""
    last_ms: int
    """When it was made; 0 when none was taken."""
    notes: tuple[str, ...]
    """What was damaged and cut off, for people."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one file of a log holds."""

    segment: Segment
    changes: int
    first: int
    """Number of its first change; 0 when it has none."""
    last: int
    first_ms: int
    last_ms: int
    closed: bool
    damage: str
    """Empty when it is whole."""


def replay(store: Store, prefix: str, folder: Path, server: str, *, until_ms: int | None = None) -> Replayed:
    """Apply the log of a server to keys that are staged under a prefix: the `amend` of `load`.

    Args:
        store: where they are staged.
        prefix: before each of them.
        folder: where the files are.
        server: the name of the server whose log it is.
        until_ms: changes after this instant are left out, by the clock of Redis; None for all there are.

    Raises:
        RestoreRefused: ONS-5203, changes are missing, or the server was restored in between.
    """
    text = store.command("HGET", store.key(f"{prefix}server"), "change")
    way = _Way(folder, server, int(text or 0), until_ms)
    spaces = cache(lambda: _spaces(store, prefix))
    commands: list[Command] = []
    for change in way.changes():
        for entry in change.entries:
            found = _STORAGE.match(entry.key)
            if not found or (found[1] and found[1] not in spaces()):
                continue
            commands.append(("DEL", key := store.key(prefix + entry.key)))
            if entry.version:
                facts = ("n", entry.version, "ch", change.number, "by", change.by, "at", change.at_ms)
                commands.append(("HSET", key, "v", entry.value, "k", entry.kind, *facts))
        if len(commands) >= _TRIP:
            store.pipeline(commands)
            commands = []
    store.pipeline([*commands, ("HSET", store.key(f"{prefix}server"), "change", way.last)])
    return Replayed(changes=way.count, last=way.last, last_ms=way.last_ms, notes=tuple(way.notes))


def _spaces(store: Store, prefix: str) -> frozenset[str]:
    """The storages of the sessions that are staged: of others nobody will ask for what was written since."""
    found: set[str] = set()
    for names in scan(store, f"{prefix}s:"):
        spaces = store.pipeline([("HGET", name, "space") for name in names])
        found.update(space.decode() for space in spaces if space)
    return frozenset(found)


def look(folder: Path, server: str) -> list[Found]:
    """What each file of a server's log holds, in order; every byte is read."""
    return [_look(segment) for segment in segments(folder, server)]


def _look(segment: Segment) -> Found:
    reader = SegmentReader(segment.path)
    changes = [(item.number, item.at_ms) for item in reader if isinstance(item, Change)]
    first, last = (changes[0], changes[-1]) if changes else ((0, 0), (0, 0))
    return Found(
        segment=segment,
        changes=len(changes),
        first=first[0],
        last=last[0],
        first_ms=first[1],
        last_ms=last[1],
        closed=reader.closed,
        damage=reader.damage,
    )


class _Way:
    """From the state of an archive through the files of a log."""

    def __init__(self, folder: Path, server: str, last: int, until_ms: int | None) -> None:
        self._folder, self._server, self._until = folder, server, until_ms
        self.last, self.last_ms, self.count = last, 0, 0
        self.notes: list[str] = []

    def changes(self) -> Iterator[Change]:
        """Each change behind the archive once, in order."""
        start = self.last
        for item in self._items():
            if self._until is not None and item.at_ms > self._until:
                if item.number > self.last:
                    return
                continue
            if isinstance(item, Mark):
                if item.what == "restored" and item.number > start:
                    raise RestoreRefused(self._server, f"the server was restored behind change {self.last:,}")
                continue
            if item.number <= self.last:
                continue
            self._require_next(item)
            self.last, self.last_ms, self.count = item.number, item.at_ms, self.count + 1
            yield item

    def _items(self) -> Iterator[Change | Mark]:
        for segment in segments(self._folder, self._server):
            reader = SegmentReader(segment.path)
            yield from reader
            if reader.damage:
                self.notes.append(f"{segment.path.name}: {reader.damage}; what follows there was cut off")

    def _require_next(self, change: Change) -> None:
        missing = change.number - self.last - 1
        if missing % _JUMP:
            damage = f" ({'; '.join(self.notes)})" if self.notes else ""
            reason = f"its log misses {missing:,} changes behind change {self.last:,}{damage}"
            raise RestoreRefused(self._server, reason)
