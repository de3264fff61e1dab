"""Saving files and folders as they are found: each file is consistent in itself, and the folder is of no one instant.

Links are followed, so that what they point to is in the archive, which itself holds none. Sockets, pipes and devices
have no content and are left out. A file that is changed while it is read is read again if it is small; if that does
not help, it is saved as it was read, and the backup says so.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from onserver.backup.archive import Writer
from onserver.backup.manifest import Problem
from onserver.backup.tape import unsafe


class _Seen(NamedTuple):
    """A folder above the one that is walked through, by which a circle of links is known."""

    device: int
    inode: int


def save_path(writer: Writer, name: str, path: Path, never: Sequence[Path] = ()) -> list[Problem]:
    """Save a file, or a folder with all that is in it.

    Args:
        writer: The archive.
        name: The member's name, or what the names of its members begin with.
        path: The file or folder.
        never: Files and folders that are left out where they are found on the way; what is asked for by its own name
            is saved all the same.

    Returns:
        What could not be saved, or not as it is.

    Raises:
        ArchiveNotWritten: ONS-5205.
    """
    if not path.exists():
        what = "it is a link to what is not there" if path.is_symlink() else "there is no such file or folder"
        return [Problem(_text(path), what)]
    asked = path.resolve()
    left_out = {left.resolve() for left in never}
    return list(_save(writer, name, path, {left for left in left_out if not asked.is_relative_to(left)}, ()))


def _save(writer: Writer, name: str, path: Path, never: set[Path], above: tuple[_Seen, ...]) -> Iterator[Problem]:
    wrong = unsafe(name)
    if wrong:
        yield Problem(_text(path), wrong)
        return
    if name in writer.names:  # a source inside another one
        return
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            yield from _save_folder(writer, name, path, never, (*above, _Seen(found.st_dev, found.st_ino)))
        elif stat.S_ISREG(found.st_mode):
            problem = writer.add_file(name, path)
            if problem:
                yield Problem(_text(path), problem)
    except FileNotFoundError:
        if path.is_symlink():
            yield Problem(_text(path), "it is a link to what is not there")
        # else it was removed while we were on the way: then it is in no backup
    except OSError as error:
        yield Problem(_text(path), _reason(error))


def _save_folder(
    writer: Writer, name: str, path: Path, never: set[Path], above: tuple[_Seen, ...]
) -> Iterator[Problem]:
    if above[-1] in above[:-1]:
        yield Problem(_text(path), "it is a link to a folder that it is in")
        return
    found = path.stat()
    inside = sorted(os.listdir(path))  # noqa: PTH208  # names are enough, and may be many
    writer.add_folder(name, found.st_mode & 0o777, int(found.st_mtime))
    for child in inside:
        below = path / child
        if not _is_passing(child) and not _is_left_out(below, never):
            yield from _save(writer, f"{name}/{child}", below, never, above)


def _is_passing(name: str) -> bool:
    """What Python makes again by itself, and what is just being written, such as this archive."""
    return name == "__pycache__" or (name.startswith(".") and name.endswith(".part"))


def _is_left_out(path: Path, never: set[Path]) -> bool:
    found = path.resolve()  # links lead nowhere that names do not
    return not never.isdisjoint((found, *found.parents))


def _reason(error: OSError) -> str:
    text = os.strerror(error.errno) if error.errno else str(error)
    return text[:1].lower() + text[1:]


def _text(path: Path) -> str:
    """A path for people and for JSON, also where its name is no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
