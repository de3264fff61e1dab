"""A server's keys as a stream: entries of typed values, which any Redis of any version can be given again.

An entry is one key as it was at one moment. A key may come several times: the copy goes on while the server works, and
what changed behind it comes again. The last entry of a key is what counts; one of type `none` says that it is gone.
The stream is of frames (`frames`), each with the entries of one trip to Redis as `values` encodes them; its first frame
says what follows and its last that all is there, with the number of entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from onserver.backup.frames import BrokenFrame, frame, frames
from onserver.errors import ArchiveTooNew, BackupCorrupt
from onserver.values import decode, encode

FORM: Final = 1
_NAME: Final = "onserver keys"


class Entry(NamedTuple):
    """One key at one moment."""

    type: str
    """string, hash, list, set, zset; none when there is no such key any more."""
    key: str
    """Without the prefix of the server."""
    texts: Sequence[bytes]
    """As Redis tells them: field, value …; member, score …; the elements; the one text of a string."""
    expires_ms: int
    """When it expires, in milliseconds since 1970; 0 for never."""


def opening() -> bytes:
    """What a stream begins with."""
    return frame(encode([_NAME, FORM]))


def written(entries: Sequence[Entry]) -> bytes:
    """The entries of one trip."""
    return frame(encode([[entry.type, entry.key, list(entry.texts), entry.expires_ms] for entry in entries]))


def closing(count: int) -> bytes:
    """What a stream of that many entries ends with."""
    return frame(encode(count))


def read(pieces: Iterable[bytes], path: str = "", member: str = "") -> Iterator[Entry]:
    """The entries of a stream.

    Args:
        pieces: the stream, in pieces of any size.
        path: where it is from, for errors.
        member: the part of the archive that it is, for errors.

    Raises:
        BackupCorrupt: ONS-5202, it is damaged, or its end is missing.
        ArchiveTooNew: ONS-5204, a newer release wrote it.
    """
    count, closed = 0, False
    try:
        payloads = frames(pieces)
        _check_opening(next(payloads, b"\xc0"), path, member)
        for payload in payloads:
            found = decode(payload)
            if closed or isinstance(found, int):
                _check_closing(found, count, closed, path, member)
                closed = True
                continue
            count += len(found)
            yield from _entries(found)
    except (BrokenFrame, msgspec.DecodeError, TypeError, ValueError) as error:
        raise BackupCorrupt(path, f"the server's keys cannot be read ({error})", member) from error
    if not closed:
        raise BackupCorrupt(path, f"the server's keys end after {count:,} entries, before their end", member)


def _check_opening(payload: bytes, path: str, member: str) -> None:
    name, form = decode(payload) or ("", 0)
    if name != _NAME:
        raise BackupCorrupt(path, "these are no keys of a server", member)
    if form > FORM:
        raise ArchiveTooNew(path, form, FORM)


def _check_closing(found: Any, count: int, closed: bool, path: str, member: str) -> None:
    if closed or found != count:
        raise BackupCorrupt(path, f"the server's keys are {count:,} entries, and should be {found}", member)


def _entries(found: list[tuple[str, str, list[bytes], int]]) -> Iterator[Entry]:
    for kind, key, texts, expires_ms in found:
        yield Entry(kind, key, texts, expires_ms)
