"""Verifying an archive: what it says is compared to what it holds, and its keys are loaded into a Redis and read back.

    1  every byte is read and every checksum compared
    2  the server's keys are written into a Redis that is started for this, as typed values
    3  each key is read from there, and is to be what the archive says: type, content, and when it expires

That Redis needs as much memory as the saved keys do, and room for its file in the scratch folder. What has expired by
then is gone from it, as it would be after a restore.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from onserver.backup.manifest import Manifest
from onserver.backup.place import Place
from onserver.backup.placing import Command, written
from onserver.backup.reading import Reader, check
from onserver.backup.scratch import scratch
from onserver.backup.stream import Entry, read
from onserver.crash import crash_point
from onserver.errors import BackupCorrupt, BrokerUnavailable
from onserver.redis.embedded import Embedded
from onserver.redis.home import FileLock
from onserver.redis.link import Link

#: The members that are the server's keys.
REDIS_PREFIX: Final = "redis"
_BATCH: Final = 500
_BATCH_BYTES: Final = 2**23
_PATIENCE: Final = 120.0
_READERS: Final = {
    "string": ("GET",),
    "hash": ("HGETALL",),
    "list": ("LRANGE", "0", "-1"),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", "0", "-1", "WITHSCORES"),
}


T = TypeVar("T")


class Verified(NamedTuple):
    """What was found to be whole."""

    manifest: Manifest
    keys: int
    """Of the server, which were loaded and compared."""
    seconds: float


class _Value(NamedTuple):
    """What a key is to be, in a few bytes."""

    type: str
    digest: bytes
    expires_ms: int
    size: int


def verify(
    place: Place, name: str, identities: Sequence[str] = (), *, redis_server: str = "", above: Path | None = None
) -> Verified:
    """Verify an archive. See the top of this module.

    Args:
        place: Where it is.
        name: The file's name there.
        identities: The keys that open it, if it is encrypted.
        redis_server: The server program to load it into; searched for when empty.
        above: A folder for the Redis; that of temporary files when there is none.

    Raises:
        ArchiveNotFound: ONS-5208.
        ArchiveSealed: ONS-5206, it is encrypted, and no identity fits.
        ArchiveTooNew: ONS-5204.
        BackupCorrupt: ONS-5202; `member` says where.
        MissingExtra: ONS-1008.
        NoRedis: ONS-1203, there is no server program to load it into.
        BadSetting: ONS-1007, `redis_server` is none.
        BrokerUnavailable: ONS-1201, that server did not come up, or did not answer.
    """
    started = time.monotonic()
    manifest = check(place, name, identities)
    crash_point("in_verify")
    keys = 0
    if any(member.name.startswith(f"{REDIS_PREFIX}/") for member in manifest.members):
        above = above or Path(tempfile.gettempdir()) / f"onserver-{os.getuid()}-scratch"
        with scratch(above) as folder, _redis(folder, redis_server) as link:
            with Reader(place, name, manifest, identities=identities) as reader:
                entries = read(reader.pieces(REDIS_PREFIX), reader.path, REDIS_PREFIX)
                expected = _load(link, entries, reader.path)
            keys = _compare(link, expected, place.path_of(name))
    return Verified(manifest, keys, time.monotonic() - started)


@contextlib.contextmanager
def _redis(folder: Path, server: str) -> Iterator[Link]:
    """Start a Redis in a folder, and wait until it has ended."""
    embedded = Embedded(folder, server=server, linger_seconds=0)
    try:
        with embedded, Link(embedded.start(), command_seconds=_PATIENCE) as link:
            yield link
    finally:
        keeper = FileLock(embedded.home.keeper)
        ended = keeper.take(seconds=_PATIENCE)
        keeper.close()
    if not ended:
        raise BrokerUnavailable(f"unix://{embedded.home.socket}", 1, _PATIENCE, "does not end")


def _load(link: Link, entries: Iterable[Entry], path: str) -> dict[str, _Value]:
    """Write all entries, and answer what each key is to be."""
    expected: dict[str, _Value] = {}
    for batch in _batches(entries, lambda entry: sum(map(len, entry.texts))):
        commands: list[Command] = []
        for entry in batch:
            if entry.type not in {*_READERS, "none"}:
                raise BackupCorrupt(path, f"key `{entry.key}` is a {entry.type}, which no release saves", REDIS_PREFIX)
            commands += written(entry, entry.key)
            if entry.type == "none":
                expected.pop(entry.key, None)
            else:
                expected[entry.key] = _value(entry.type, entry.texts, entry.expires_ms)
        link.pipeline(commands)
    return expected


def _compare(link: Link, expected: dict[str, _Value], path: str) -> int:
    """Read every key back; those that are there and should not be are noticed by their number."""
    for batch in _batches(expected.items(), lambda item: item[1].size):
        kinds = link.pipeline([["TYPE", key] for key, _ in batch])
        read_back = link.pipeline([_reading(key, value.type) for key, value in batch])
        expiries = link.pipeline([["PEXPIRETIME", key] for key, _ in batch])
        now_ms = _now_ms(link)
        for (key, value), kind, told, expires_ms in zip(batch, kinds, read_back, expiries, strict=True):
            if 0 < value.expires_ms <= now_ms:
                continue
            texts = [told] if isinstance(told, bytes) else told or []
            if kind.decode() != value.type or _value(value.type, texts, max(0, expires_ms)) != value:
                raise BackupCorrupt(path, f"key `{key}` is another when it is loaded", REDIS_PREFIX)
    there = link.command("DBSIZE")
    if there > len(expected):
        raise BackupCorrupt(path, f"{len(expected):,} keys were loaded, and {there:,} are there", REDIS_PREFIX)
    return len(expected)


def _reading(key: str, kind: str) -> list[str]:
    command, *rest = _READERS[kind]
    return [command, key, *rest]


def _value(kind: str, texts: Sequence[bytes], expires_ms: int) -> _Value:
    """What tells contents apart, in whatever order they were told."""
    ordered: list[bytes] = list(texts)
    if kind == "hash":
        ordered = [text for pair in sorted(_pairs(texts)) for text in pair]
    elif kind == "zset":
        ordered = [text for member, score in sorted(_pairs(texts)) for text in (member, b"%r" % float(score))]
    elif kind == "set":
        ordered = sorted(texts)
    packed = msgspec.msgpack.encode(ordered)
    return _Value(kind, hashlib.blake2b(packed, digest_size=16).digest(), expires_ms, len(packed))


def _batches(items: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Put as many together as one trip to Redis may carry."""
    held: list[T] = []
    size = 0
    for item in items:
        held.append(item)
        size += size_of(item)
        if len(held) >= _BATCH or size >= _BATCH_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


def _pairs(texts: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(texts[::2], texts[1::2], strict=True))


def _now_ms(link: Link) -> int:
    seconds, micros = link.command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000
