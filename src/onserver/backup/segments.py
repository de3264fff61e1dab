"""Files of the log between two backups: `Name[0003-0006].journal`, the sixth, of what happened after archive 3.

A file is a stream of frames (`frames`): what it is, then changes of the storage in the order of their numbers and marks
between them, then its end. It is only ever appended to, by the one writer that has made it: whoever goes on after a
restart makes the next one, and begins with what may not be in the one before. So a change may be in two files, with one
number. A file that ends in the middle of a write is good up to its last whole frame.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any, Final, NamedTuple

import msgspec

from onserver.backup.folder import sync_folder
from onserver.backup.frames import BrokenFrame, frame, frames
from onserver.values import decode, encode

FORM: Final = 1
_NAME: Final = "onserver changes"
_PIECE: Final = 1 << 20


class Written(NamedTuple):
    """One entry of the storage as a change has left it."""

    key: str
    """Of the server, as `st:e:rates`."""
    version: int
    """0 when it was removed."""
    kind: str
    """v a value, c a counter; empty when it was removed."""
    value: bytes


class Change(NamedTuple):
    """One change: all that one block, or one addition, has written."""

    number: int
    at_ms: int
    """By the clock of Redis, in milliseconds since 1970."""
    by: str
    entries: tuple[Written, ...]


class Mark(NamedTuple):
    """What happened between two changes: on (logging began), cut (the instant of a backup), restored."""

    what: str
    number: int
    """Of the newest change by then."""
    at_ms: int
    backup: int
    """Of a cut: the number of its archive."""


class Segment(NamedTuple):
    """One file, by its name."""

    path: Path
    archive: int
    number: int


def segment_name(server: str, archive: int, number: int) -> str:
    """The name of a file.

    Example:
        >>> segment_name("Shop", 3, 6)
        'Shop[0003-0006].journal'
    """
    return f"{server}[{archive:04}-{number:04}].journal"


def segments(folder: Path, server: str) -> list[Segment]:
    """The files of a server in a folder, in the order in which they were begun."""
    pattern = re.compile(rf"{re.escape(server)}\[(\d{{4,}})-(\d{{4,}})\]\.journal")
    found = [
        Segment(path, int(match[1]), int(match[2]))
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := pattern.fullmatch(path.name))
    ]
    return sorted(found, key=lambda segment: segment.number)


def remove_segments(folder: Path, server: str, oldest: int) -> list[str]:
    """Remove the files of what happened before an archive, the oldest that is kept. Answers their names."""
    known = segments(folder, server)
    gone = [segment for segment in known[:-1] if segment.archive < oldest]  # the last one may be written to
    for segment in gone:
        segment.path.unlink(missing_ok=True)
    return [segment.path.name for segment in gone]


class SegmentWriter:
    """A file that is being written.

    Args:
        folder: where the archives are.
        server: its name.
        archive: number of the last archive; 0 before the first one.

    Raises:
        OSError: the folder cannot be written; every method.
    """

    def __init__(self, folder: Path, server: str, archive: int) -> None:
        self.count = 0
        self._fd = -1
        number = max((segment.number for segment in segments(folder, server)), default=0)
        while self._fd < 0:
            number += 1
            self.path = folder / segment_name(server, archive, number)
            try:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue  # another leader was here in this moment
        self._write([encode([_NAME, FORM, server, archive, number, int(time() * 1000)])])
        sync_folder(folder)

    def write(self, items: list[Change | Mark]) -> None:
        """Append changes and marks."""
        self.count += len(items)
        self._write([encode(_plain(item)) for item in items])

    def sync(self) -> None:
        """Have the disk keep what was written."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Write the end: nothing follows in this file."""
        self._write([encode(self.count)])
        self.sync()
        self.abandon()

    def abandon(self) -> None:
        """Write nothing more. Does nothing when it is closed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, payloads: list[bytes]) -> None:
        data = memoryview(b"".join([frame(payload) for payload in payloads]))
        while data:
            data = data[os.write(self._fd, data) :]


class SegmentReader:
    """What is in a file. Iterate it to its end, then look at `damage` and `closed`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: What is wrong with the file behind its last whole frame; empty when nothing is.
        self.damage = ""
        #: Where its whole frames end, in bytes; known when there is damage.
        self.whole_bytes = 0
        #: Whether its writer has ended it.
        self.closed = False

    def __iter__(self) -> Iterator[Change | Mark]:
        with self.path.open("rb") as file:
            try:
                payloads = frames(iter(lambda: file.read(_PIECE), b""))
                self._check_name(next(payloads, b"\xc0"))
                for payload in payloads:
                    found = decode(payload)
                    if isinstance(found, int):
                        self.closed = True
                    else:
                        yield _item(found)
            except BrokenFrame as error:
                self.damage, self.whole_bytes = f"{error.problem}, at byte {error.offset:,}", error.offset
            except (msgspec.DecodeError, TypeError, ValueError) as error:
                self.damage = f"it is no log of changes ({error})"

    def _check_name(self, payload: bytes) -> None:
        name, form = (decode(payload) or ("", 0))[:2]
        if name != _NAME or form > FORM:
            raise ValueError(f"it begins with {name!r} of form {form}")


def _plain(item: Change | Mark) -> list[Any]:
    if isinstance(item, Mark):
        return ["m", *item]
    return ["c", item.number, item.at_ms, item.by, [list(entry) for entry in item.entries]]


def _item(found: list[Any]) -> Change | Mark:
    if found[0] == "m":
        return Mark(*found[1:])
    _, number, at_ms, by, entries = found
    return Change(number, at_ms, by, tuple(Written(*entry) for entry in entries))
