"""Members one after the other: the part of the tar format that an archive uses, and nothing beyond it.

    header 512 bytes │ content │ zeros up to a multiple of 512 │ … │ 1,024 zeros

A name that does not fit into a header has a record of its own before it (a pax header: `path`, or `size` above 8 GiB).
What is read is not trusted: only files and folders, only names that stay below the folder where they are unpacked, only
the two records named above, and zeros where zeros belong. Everything else is an error that names the member.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from onserver.errors import BackupCorrupt

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
#: Content is read and written in pieces of this many bytes.
PIECE: Final = 2**20
_LONGEST_RECORDS: Final = 2**16
_KINDS: Final = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}


class Stream(Protocol):
    """What a tape is read from. `read` raises Broken where it cannot go on."""

    def read(self, size: int) -> bytes:
        """Read up to so many bytes; none are left when it answers none."""
        ...


class Broken(Exception):
    """The bytes below the tape cannot be read; the text says why."""


class Header(NamedTuple):
    """What stands before a member's content."""

    name: str
    size: int
    mode: int
    modified: int
    folder: bool = False


def unsafe(name: str) -> str:
    """Tell what is wrong with a member's name, as the end of a sentence, or an empty text."""
    parts = name.split("/")
    if name.startswith("/"):
        return "it has an absolute name"
    if ".." in parts:
        return "its name leads out of the archive"
    if not name or "\0" in name or "" in parts or "." in parts:
        return "its name is none"
    try:
        too_long = len(name.encode()) > 4096 or max(len(part.encode()) for part in parts) > 255
    except UnicodeEncodeError:
        return "its name is no UTF-8"
    return "its name is too long" if too_long else ""


def head(header: Header) -> bytes:
    """Write a header."""
    info = tarfile.TarInfo(header.name)
    info.size, info.mode, info.mtime = header.size, header.mode, header.modified
    info.type = tarfile.DIRTYPE if header.folder else tarfile.REGTYPE
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    """Write the zeros after a content of this size."""
    return bytes(-size % BLOCK)


class Tape:
    """The members of an archive, read from front to back.

    Args:
        stream: The bytes.
        path: The archive, for errors.

    Raises:
        BackupCorrupt: ONS-5202, from every method; `member` is where it was.
    """

    def __init__(self, stream: Stream, path: str) -> None:
        self._stream, self._path = stream, path
        self.at = ""
        """The member that is being read."""
        self.left = 0
        """Bytes of it that were not read yet."""
        self._padding = 0

    def next(self) -> Header | None:
        """Go to the next member, over what is left of this one; None at the end."""
        while self.read():
            pass
        block = self._take(BLOCK)
        records: dict[str, str] = {}
        if block[156:157] == tarfile.XHDTYPE:
            records = self._records(block)
            block = self._take(BLOCK)
        if not any(block):
            if any(self._take(BLOCK)) or self._stream_goes_on():
                raise self.corrupt("something follows its end")
            return None
        header = self._header(block, records)
        self.at = header.name
        if wrong := unsafe(header.name):
            raise self.corrupt(wrong)
        self.left, self._padding = header.size, -header.size % BLOCK
        return header

    def read(self, size: int = PIECE) -> bytes:
        """Read up to so many bytes of the member; none are left when it answers none."""
        if self.left:
            data = self._take(min(size, self.left))
            self.left -= len(data)
            return data
        if self._padding:
            if any(self._take(self._padding)):
                raise self.corrupt("something stands between it and the next member")
            self._padding = 0
        return b""

    def chunks(self) -> Iterator[bytes]:
        """Read the rest of the member."""
        return iter(self.read, b"")

    def corrupt(self, problem: str) -> BackupCorrupt:
        """Make the error for what is wrong here."""
        return BackupCorrupt(self._path, problem, self.at)

    def _header(self, block: bytes, records: dict[str, str]) -> Header:
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
            size = int(records.get("size", info.size))
        except (tarfile.HeaderError, ValueError) as error:  # a UnicodeDecodeError is a ValueError
            raise self.corrupt(f"what follows it is no header of a member ({error})") from error
        name = records.get("path", info.name)
        if info.type not in {tarfile.REGTYPE, tarfile.DIRTYPE}:
            self.at = name
            raise self.corrupt(f"it is {_KINDS.get(info.type, 'of an unknown kind')}, and none was saved")
        folder = info.type == tarfile.DIRTYPE
        if size < 0 or (folder and size):
            self.at = name
            raise self.corrupt(f"its size is {size}")
        return Header(name.removesuffix("/") if folder else name, size, info.mode & 0o777, int(info.mtime), folder)

    def _records(self, block: bytes) -> dict[str, str]:
        """Read the records before a header: `LENGTH KEY=VALUE` and a line's end, each."""
        try:
            size = tarfile.TarInfo.frombuf(block, "utf-8", "strict").size
        except (tarfile.HeaderError, ValueError) as error:
            raise self.corrupt(f"what follows it is no header of a member ({error})") from error
        if not 0 < size <= _LONGEST_RECORDS:
            raise self.corrupt(f"what follows it has records of {size} bytes")
        rest, found = self._take(size), dict[str, str]()
        if any(self._take(-size % BLOCK)):
            raise self.corrupt("something stands between records and header")
        while rest:
            length, _, _ = rest.partition(b" ")
            line = rest[: int(length)] if length.isdigit() and len(length) < 6 else b""
            key, equals, value = line[len(length) + 1 :].partition(b"=")
            whole = len(line) == int(length) if line else False
            if not (whole and equals and value.endswith(b"\n") and key in {b"path", b"size"}):
                raise self.corrupt("what follows it has records that no archive of onserver has")
            found[key.decode()] = value[:-1].decode("utf-8", "replace")
            rest = rest[len(line) :]
        return found

    def _stream_goes_on(self) -> bool:
        try:
            return bool(self._stream.read(1))
        except Broken as error:
            raise self.corrupt(str(error)) from error

    def _take(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        taken: list[bytes] = []
        while size:
            try:
                data = self._stream.read(size)
            except Broken as error:
                raise self.corrupt(str(error)) from error
            if not data:
                raise self.corrupt("it ends there: it was cut off")
            taken.append(data)
            size -= len(data)
        return taken[0] if len(taken) == 1 else b"".join(taken)
