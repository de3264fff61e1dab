"""Archives: written once from front to back, and read in the same way; nothing of one has to fit into memory.

    format.json     {"format": 1}: what cannot be read is refused here
    redis/00001.bin … │ project/… │ files/… │ sqlite/… │ postgresql/…
    manifest.json   what this archive is of, and of each member: size, SHA-256
    SHA256SUMS      the same sums, and the manifest's, for `sha256sum -c`

A `Reader` gives out members before it has seen the manifest, so whoever is to trust them reads twice: `check` first,
then a `Reader` with the manifest that `check` answered, which compares each member before it gives out its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from onserver.backup import seal
from onserver.backup.manifest import (
    FORMAT_NAME,
    MANIFEST_NAME,
    SUMS_NAME,
    About,
    Manifest,
    Member,
    Problem,
    Source,
    encode,
    encode_format,
)
from onserver.backup.packing import Packed
from onserver.backup.packing import zstd as load_zstd
from onserver.backup.place import Outlet, Place
from onserver.backup.tape import END, PIECE, Header, head, padding, unsafe

#: Pieces of a stream whose length is not known before are members of about this size.
_MEMBER_BYTES: Final = 2**23
_TRIES: Final = 3


def require_extra(*, sealed: bool = False) -> None:
    """Make sure, before anything else is done, that what archives need is installed.

    Raises:
        MissingExtra: ONS-1008, the extra `backup` is not.
    """
    load_zstd()
    if sealed:
        seal.pyrage()


class Writer:
    """One archive on its way to its place. Leaving its block without `finish` leaves nothing behind.

    Args:
        place: Where to.
        name: The file's name there.
        compression: `none`, `fast` or `compact`.
        recipients: Who can open it; nobody: it is not encrypted.

    Raises:
        ArchiveNotWritten: ONS-5205, from every method.
        ArchiveSealed: ONS-5206, a recipient is none.
        MissingExtra: ONS-1008.

    Example:
        with Writer(Folder(tmp_path), "Shop[0001].onsb") as writer:
            writer.add_bytes("note.txt", b"hello")
            manifest = writer.finish(About(server="shop", number=1))
    """

    def __init__(self, place: Place, name: str, *, compression: str = "fast", recipients: Sequence[str] = ()) -> None:
        require_extra(sealed=bool(recipients))
        self.path = place.path_of(name)
        keys = seal.recipients(recipients, self.path)
        outlet: Outlet = place.writing(name)
        self._outlet = seal.SealedOutlet(outlet, keys) if keys else outlet
        self._packed = Packed(self._outlet, compression)
        self._members: list[Member] = []
        self.names: set[str] = set()
        self._sources: list[Source] = []
        self._problems: list[Problem] = []
        self._done = False
        try:
            self.add_bytes(FORMAT_NAME, encode_format())
        except BaseException:
            self._outlet.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._done:
            self._outlet.abort()

    def add_bytes(self, name: str, data: bytes, *, modified: int = 0) -> None:
        """Add a member with this content."""
        self._add(Header(name, len(data), 0o600, modified), [data])

    def add_pieces(self, prefix: str, chunks: Iterable[bytes]) -> None:
        """Add a stream as members `PREFIX/00001.bin` and so on, none of which begins or ends inside a chunk."""
        for number, piece in enumerate(_gathered(chunks), start=1):
            self.add_bytes(f"{prefix}/{number:05}.bin", piece)

    def add_folder(self, name: str, mode: int = 0o700, modified: int = 0) -> None:
        """Add an empty folder."""
        self._add(Header(name, 0, mode, modified, folder=True), [])

    def add_file(self, name: str, path: Path) -> str:
        """Add a file of the disk, and answer what is wrong with what was saved of it, or an empty text.

        Raises:
            OSError: it cannot be opened; nothing was added.
        """
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe that took its place must not hold us
        with os.fdopen(fd, "rb", 0) as file:
            before = os.fstat(file.fileno())
            small = before.st_size <= PIECE
            content = _Content(fd, before.st_size)
            data = _steady(content) if small else content.chunks()
            size = len(data) if isinstance(data, bytes) else before.st_size
            chunks = [data] if isinstance(data, bytes) else data
            self._add(Header(name, size, before.st_mode & 0o777, int(before.st_mtime)), chunks)
            return content.problem()

    def note(self, source: Source) -> None:
        """Say in the manifest where members are from."""
        self._sources.append(source)

    def complain(self, problem: Problem) -> None:
        """Say in the manifest what is not in the archive."""
        self._problems.append(problem)

    def finish(self, about: About) -> Manifest:
        """Write the manifest, make everything durable, and give the archive its name, which nobody may have."""
        manifest = Manifest(
            ended=time.time(),
            about=about,
            members=tuple(self._members),
            sources=tuple(self._sources),
            problems=tuple(self._problems),
        )
        self._packed.begin_frame()
        self.add_bytes(MANIFEST_NAME, encode(manifest), modified=int(manifest.ended))
        self.add_bytes(SUMS_NAME, _sums(self._members), modified=int(manifest.ended))
        self._packed.write(END)
        self._packed.close()
        self._outlet.commit()
        self._done = True
        return manifest

    def _add(self, header: Header, chunks: Iterable[bytes]) -> None:
        wrong = unsafe(header.name) or ("there is one already" if header.name in self.names else "")
        if wrong:
            raise ValueError(f"{header.name!r} cannot be a member: {wrong}")
        self.names.add(header.name)
        self._packed.write(head(header))
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
            self._packed.write(chunk)
        self._packed.write(padding(header.size))
        sha256 = "" if header.folder else digest.hexdigest()
        self._members.append(
            Member(header.name, header.size, sha256, header.mode, header.modified, folder=header.folder)
        )


class _Content:
    """What is in a file that somebody may be writing to: exactly as many bytes as were announced."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd, self.size = fd, size
        self._wrong = ""
        self._stamp = self.stamp()

    def stamp(self) -> tuple[int, int]:
        """What changes when the file does."""
        stat = os.fstat(self._fd)
        return stat.st_size, stat.st_mtime_ns

    def chunks(self) -> Iterator[bytes]:
        """Read it; what is missing is filled up with zeros."""
        left = self.size
        with contextlib.suppress(OSError):  # told by `problem`: what cannot be read is missing
            while left and (data := os.read(self._fd, min(left, PIECE))):
                yield data
                left -= len(data)
        if left:
            self._wrong = f"its last {left} bytes could not be read; there are zeros in their place"
        for size in (*[PIECE] * (left // PIECE), left % PIECE):
            yield bytes(size)

    def problem(self) -> str:
        """Tell what is wrong with what was read."""
        changed = "" if self.stamp() == self._stamp else "it was changed while it was read"
        return self._wrong or changed

    def again(self) -> bytes:
        """Read the whole of a small file, as it is now."""
        self._stamp = self.stamp()
        os.lseek(self._fd, 0, os.SEEK_SET)
        return b"".join(iter(lambda: os.read(self._fd, PIECE), b""))


def _steady(content: _Content) -> bytes:
    """Read a small file until nobody changed it meanwhile; after a few tries as it is."""
    data = content.again()
    for _ in range(_TRIES):
        if not content.problem():
            break
        data = content.again()
    return data


def _gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Put chunks together until they are large enough for a member."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= _MEMBER_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _sums(members: Sequence[Member]) -> bytes:
    """Write the checksums as `sha256sum` does."""
    lines: list[str] = []
    for member in members:
        if not member.folder:
            escaped = member.name.replace("\\", "\\\\").replace("\n", "\\n")
            mark = "\\" if escaped != member.name else ""
            lines.append(f"{mark}{member.sha256}  {escaped}\n")
    return "".join(lines).encode()
