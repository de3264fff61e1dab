"""What the parts of a backup ask of the place where archives are: a folder, or a bucket of an object store.

A file there is either finished, under its own name, or not there. What is being written has a name that no list shows,
and gets its own only when all of it is safe: by `commit`, which never overwrites.
"""

from __future__ import annotations

import errno
import os
from typing import Final, NamedTuple, Protocol

from onserver.errors import ArchiveNotWritten


class Found(NamedTuple):
    """A finished file of a place."""

    name: str
    size: int
    """Bytes."""
    modified: float
    """When it was finished, in seconds since 1970."""


class Outlet(Protocol):
    """Where the bytes of one archive go. It ends with `commit` or `abort`, and `abort` may be called at any time."""

    def write(self, data: bytes) -> None:
        """Write all of it, or raise ArchiveNotWritten."""

    def commit(self) -> None:
        """Make everything durable, then visible under its name."""

    def abort(self) -> None:
        """Leave nothing behind. Does nothing after `commit`."""


class Inlet(Protocol):
    """Where the bytes of one archive come from."""

    size: int
    """All bytes; -1 where that is known only at the end, and `seek` is not possible."""

    def read(self, size: int) -> bytes:
        """Read up to so many bytes; none are left when it answers none."""
        ...

    def seek(self, offset: int) -> None:
        """Go on from there."""

    def close(self) -> None:
        """Read no more."""


class Place(Protocol):
    """A folder or a bucket."""

    def describe(self) -> str:
        """Name it as people do, without secrets."""
        ...

    def path_of(self, name: str) -> str:
        """Answer the whole path or URL of a file."""
        ...

    def writing(self, name: str) -> Outlet:
        """Begin a file. Raises ArchiveNotWritten."""
        ...

    def reading(self, name: str) -> Inlet:
        """Open a finished file. Raises ArchiveNotFound."""
        ...

    def found(self) -> list[Found]:
        """List the finished files, by name."""
        ...

    def remove(self, name: str) -> None:
        """Delete a finished file. Raises ArchiveNotFound."""

    def read_small(self, name: str) -> bytes | None:
        """Read the whole of a small file; None: it is not there."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Write a small file, in one step, over the one that may be there. Raises ArchiveNotWritten."""

    def clear(self) -> list[str]:
        """Remove what writers that are dead have left unfinished, and answer the archives that it was to be."""
        ...


_KINDS: Final = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.EEXIST: "exists",
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
}


def not_written(path: str, error: OSError) -> ArchiveNotWritten:
    """Say what an error of the operating system means for a backup."""
    number = error.errno or 0
    text = os.strerror(number) if number else str(error)
    return ArchiveNotWritten(path, text[:1].lower() + text[1:], _KINDS.get(number, "failed"))


def require_plain(name: str) -> None:
    """Refuse a file name that would lead out of its place, or hide in it."""
    if not name or "/" in name or "\0" in name or name.startswith("."):
        raise ValueError(f"{name!r} is no name for a file of a backup")
