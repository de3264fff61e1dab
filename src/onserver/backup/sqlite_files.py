"""Saving SQLite files while others write to them, through SQLite's own online backup: a copy is of one instant.

Where the file is in WAL mode, writers go on meanwhile. Else a copy in one step would let them wait for as long as it
takes; so it is made in small steps between which they can write, and begins again if they did. What has begun again a
few times is copied in one step after all.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from onserver.backup.archive import Writer
from onserver.backup.scratch import scratch
from onserver.errors import SourceFailed

_PAGES: Final = 2_000
_STEP_SECONDS: Final = 0.005
_BEGINNINGS: Final = 3
#: How long somebody else may lock the file, in seconds.
_PATIENCE: Final = 60.0


class _BeginsAgain(Exception):
    """Others write faster than the copy goes on."""


def save_sqlite(writer: Writer, name: str, path: Path, above: Path) -> None:
    """Add the copy of a database as a member.

    Args:
        writer: The archive.
        name: The member's name.
        path: The database file.
        above: A folder in which there is room for the copy.

    Raises:
        SourceFailed: ONS-5207, it is not there, damaged, or no database; nothing was added.
        ArchiveNotWritten: ONS-5205.
    """
    if not path.is_file():
        raise SourceFailed(str(path), "there is no such file")
    with scratch(above) as folder:
        copy = folder / "copy.db"
        with _as_source_error(path):
            copy_database(path, copy)
        writer.add_file(name, copy)


def restore_sqlite(copy: Path, original: Path) -> None:
    """Put the content of a saved database into a file, in one transaction; who reads that file sees one or the other.

    Raises:
        SourceFailed: ONS-5207, it is locked, or cannot be written.
    """
    with _as_source_error(original):
        copy_database(copy, original, steps=False)


def copy_database(source: Path, target: Path, *, steps: bool = True) -> None:
    """Copy a database into a file that is made if need be, and check the copy.

    Raises:
        sqlite3.Error: as SQLite has it.
    """
    with _opened(source, "rw") as reading, _opened(target, "rwc") as writing:
        in_wal = reading.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        if in_wal or not steps or not _in_steps(reading, writing):
            reading.backup(writing)
        (found,) = writing.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)


def _in_steps(reading: sqlite3.Connection, writing: sqlite3.Connection) -> bool:
    beginnings, last = 0, 0

    def watch(_: int, remaining: int, total: int) -> None:
        nonlocal beginnings, last
        if remaining >= last and total > _PAGES:
            beginnings += 1
        last = remaining
        if beginnings > _BEGINNINGS:
            raise _BeginsAgain

    try:
        reading.backup(writing, pages=_PAGES, progress=watch, sleep=_STEP_SECONDS)
    except _BeginsAgain:
        return False
    return True


@contextlib.contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    where = f"file:{quote(str(path))}?mode={mode}"
    with contextlib.closing(sqlite3.connect(where, uri=True, timeout=_PATIENCE)) as connection:
        yield connection


@contextlib.contextmanager
def _as_source_error(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise SourceFailed(str(path), str(error)) from error
