"""A folder as the place of archives.

    open    .NAME.RANDOM.part, locked as long as its writer lives
    write   …
    commit  fsync of the file → a second name for it, NAME, which fails where there is one → fsync of the folder

So NAME is whole or is not there, also after a crash of the machine. A writer that is killed leaves its part, unlocked:
`clear` takes away those parts, and no others.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from secrets import token_hex
from typing import Final

from onserver.backup.place import Found, not_written, require_plain
from onserver.crash import crash_point
from onserver.errors import ArchiveNotFound, ArchiveNotWritten

_PART: Final = ".part"
#: What a file system says that knows no second names (FAT, and some of the network).
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
#: What one says that knows no locks: its parts are never taken for dead.
_NO_LOCKS: Final = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class FolderOutlet:
    """One archive on its way into a folder.

    Raises:
        ArchiveNotWritten: ONS-5205, from every method; the part is removed by `abort`.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._final = folder / name
        self._open = False
        try:
            if os.path.lexists(self._final):
                raise FileExistsError(errno.EEXIST, "")
            self._part, self._fd = _begin_part(folder, name)
        except OSError as error:
            raise not_written(str(self._final), error) from error
        self._open = True

    def write(self, data: bytes) -> None:
        """Write all of it."""
        try:
            _write(self._fd, data)
        except OSError as error:
            raise not_written(str(self._final), error) from error

    def commit(self) -> None:
        """Make it durable, then visible."""
        named = False
        try:
            os.fsync(self._fd)
            crash_point("before_rename")
            _name(self._part, self._final)
            named = True
            sync_folder(self._final.parent)
        except OSError as error:
            if named:
                self._final.unlink(missing_ok=True)
            raise not_written(str(self._final), error) from error
        self.abort()  # of the part; its other name stays

    def abort(self) -> None:
        """Remove the part, if there still is one."""
        if self._open:
            self._open = False
            self._part.unlink(missing_ok=True)
            os.close(self._fd)


def _begin_part(folder: Path, name: str) -> tuple[Path, int]:
    """Open a part that is locked for as long as it is open."""
    part = folder / f".{name}.{token_hex(4)}{_PART}"
    fd = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(fd)
            raise
    if os.fstat(fd).st_nlink == 0:  # somebody cleared the folder before there was a lock
        os.close(fd)
        return _begin_part(folder, name)
    return part, fd


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _name(part: Path, final: Path) -> None:
    """Give the part its own name, without ever taking that name from another file."""
    try:
        os.link(part, final)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            part.replace(final)
        except OSError:
            final.unlink()  # it was only there to have the name
            raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class FolderInlet:
    """A finished file of a folder."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, size: int) -> bytes:
        """Read up to so many bytes."""
        return self._file.read(size)

    def seek(self, offset: int) -> None:
        """Go on from there."""
        self._file.seek(offset)

    def close(self) -> None:
        """Read no more."""
        self._file.close()


class Folder:
    """A folder of archives.

    Args:
        path: The folder.
        make: Make it when it is first written to. For one of the project's own: a folder of another disk that is not
            mounted must not be made up.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = path
        self._make = make

    def describe(self) -> str:
        """Name the folder."""
        return str(self.path)

    def path_of(self, name: str) -> str:
        """Answer the path of a file."""
        return str(self.path / name)

    def writing(self, name: str) -> FolderOutlet:
        """Begin a file."""
        require_plain(name)
        self._be_there(name)
        return FolderOutlet(self.path, name)

    def reading(self, name: str) -> FolderInlet:
        """Open a finished file."""
        try:
            return FolderInlet(self.path / name)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ArchiveNotFound(self.path_of(name)) from error

    def found(self) -> list[Found]:
        """List the finished files."""
        if not self.path.is_dir():
            return []
        found: list[Found] = []
        for path in sorted(self.path.iterdir()):
            with contextlib.suppress(FileNotFoundError):  # somebody has just removed it
                stated = path.stat()
                if stat.S_ISREG(stated.st_mode) and not path.name.startswith("."):
                    found.append(Found(path.name, stated.st_size, stated.st_mtime))
        return found

    def remove(self, name: str) -> None:
        """Delete a finished file."""
        require_plain(name)
        try:
            (self.path / name).unlink()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ArchiveNotFound(self.path_of(name)) from error
        sync_folder(self.path)

    def read_small(self, name: str) -> bytes | None:
        """Read the whole of a small file."""
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def replace(self, name: str, data: bytes) -> None:
        """Write a small file over the one that may be there."""
        require_plain(name)
        self._be_there(name)
        try:
            part, fd = _begin_part(self.path, name)
            try:
                _write(fd, data)
                os.fsync(fd)
                part.replace(self.path / name)
            finally:
                part.unlink(missing_ok=True)
                os.close(fd)
            sync_folder(self.path)
        except OSError as error:
            raise not_written(self.path_of(name), error) from error

    def clear(self) -> list[str]:
        """Remove the parts that nobody is writing."""
        if not self.path.is_dir():
            return []
        parts = [path for path in sorted(self.path.iterdir()) if path.name.startswith(".") and path.suffix == _PART]
        return [part.name[1:].rsplit(".", 2)[0] for part in parts if _remove_dead(part)]

    def _be_there(self, name: str) -> None:
        try:
            if self._make:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            there = self.path.is_dir()
        except OSError as error:
            raise not_written(self.path_of(name), error) from error
        if not there:
            raise ArchiveNotWritten(self.path_of(name), f"there is no folder `{self.path}`", "missing")


def _remove_dead(part: Path) -> bool:
    """Remove a part if its writer is dead: a live one holds its lock."""
    try:
        fd = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is being written, or this file system cannot tell
        return False
    else:
        part.unlink(missing_ok=True)
        return True
    finally:
        os.close(fd)
