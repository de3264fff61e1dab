"""Writing entries into Redis as typed values: keys as they were, whatever the Redis.

They are written under a prefix of their own, where nobody reads them; `load` puts them in their place when all are
there. Sent twice, an entry is the same: its key is removed first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from onserver.backup.stream import Entry
from onserver.crash import crash_point
from onserver.redis.resp import Word
from onserver.redis.saved import Part, part_of
from onserver.redis.store import Store

#: Commands, and bytes, of one trip.
_TRIP: Final = 300
_TRIP_BYTES: Final = 1_000_000
#: Texts of one command; one with a million would hold everybody up.
_TEXTS: Final = 2_000

Command = tuple[Word, ...]


def place(store: Store, entries: Iterable[Entry], prefix: str, wanted: Callable[[str], bool]) -> Counter[str]:
    """Write the entries of wanted keys under a prefix, each as it was last.

    Returns:
        How many keys of each part are there.
    """
    placed: dict[str, Part] = {}
    commands: list[Command] = []
    size = 0
    for entry in entries:
        part = part_of(entry.key)
        if part is None or not wanted(entry.key):
            continue
        if entry.type == "none":
            placed.pop(entry.key, None)
        else:
            placed[entry.key] = part
        commands += written(entry, store.key(prefix + entry.key))
        size += sum(map(len, entry.texts))
        if len(commands) >= _TRIP or size >= _TRIP_BYTES:
            _send(store, commands)
            commands, size = [], 0
    _send(store, commands)
    return Counter(placed.values())


def _send(store: Store, commands: list[Command]) -> None:
    store.pipeline(commands)
    crash_point("in_restore_staging")


def written(entry: Entry, key: str) -> Iterator[Command]:
    """The commands after which the key holds what the entry says, and nothing else."""
    yield ("DEL", key)
    if entry.type == "string":
        yield ("SET", key, entry.texts[0])
    elif entry.type in ("hash", "list", "set"):
        verb = {"hash": "HSET", "list": "RPUSH", "set": "SADD"}[entry.type]
        for at in range(0, len(entry.texts), _TEXTS):
            yield (verb, key, *entry.texts[at : at + _TEXTS])
    elif entry.type == "zset":
        for at in range(0, len(entry.texts), _TEXTS):
            some = entry.texts[at : at + _TEXTS]
            yield ("ZADD", key, *(text for i in range(0, len(some), 2) for text in (some[i + 1], some[i])))
    elif entry.type != "none":
        raise TypeError(f"key `{entry.key}` is a {entry.type}, which no release of onserver saves")
    if entry.expires_ms and entry.type != "none":
        yield ("PEXPIREAT", key, entry.expires_ms)
