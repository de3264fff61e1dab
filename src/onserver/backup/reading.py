"""Reading archives, which may be damaged, cut off, of another release, or made by somebody who means us no good."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Self

from onserver.backup import seal
from onserver.backup.manifest import (
    FORMAT_NAME,
    MANIFEST_NAME,
    SUMS_NAME,
    Manifest,
    Member,
    check_format,
    decode,
)
from onserver.backup.packing import ZSTD_MAGIC, Unpacked, seek_manifest, zstd
from onserver.backup.place import Inlet, Place
from onserver.backup.tape import PIECE, Header, Tape
from onserver.errors import ArchiveSealed, BackupCorrupt

#: No manifest is larger, and none larger is read into memory.
_MOST_BYTES: Final = 2**28


class Reader:
    """An archive, member by member.

    Args:
        place: Where it is.
        name: The file's name there.
        manifest: What `check` answered for it; then each member is compared before its end is given out.
        identities: The keys that open it, if it is encrypted.

    Raises:
        ArchiveNotFound: ONS-5208.
        ArchiveSealed: ONS-5206, it is encrypted, and no identity fits.
        ArchiveTooNew: ONS-5204, from every method.
        BackupCorrupt: ONS-5202, likewise; `member` says where.
        MissingExtra: ONS-1008.

    Example:
        with Reader(place, name, check(place, name)) as reader:
            for member in reader:
                print(member.name, len(reader.read()))
    """

    def __init__(
        self, place: Place, name: str, manifest: Manifest | None = None, *, identities: Sequence[str] = ()
    ) -> None:
        self.path = place.path_of(name)
        self._known = manifest
        self._inlet = _opened(place, name, identities)
        self._tape = Tape(Unpacked(self._inlet), self.path)
        self._seen: list[Member] = []
        self._names: set[str] = set()
        self._current: Header | None = None
        self._manifest = manifest
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Read no more."""
        self._inlet.close()

    @property
    def manifest(self) -> Manifest:
        """The manifest: the one that was given, or, after the last member, the one that was found."""
        if self._manifest is None:
            raise RuntimeError("the manifest is known after the last member")
        return self._manifest

    def __iter__(self) -> Iterator[Member]:
        """Walk through the members; what is not read of one is passed over, and checked all the same."""
        self._begin()
        while header := self._next():
            if header.name == MANIFEST_NAME:
                self._end(header)
                return
            yield self._announced(header)
            self._finish(header)
        raise BackupCorrupt(self.path, "it has none: it was cut off, or is no archive of onserver", MANIFEST_NAME)

    def chunks(self) -> Iterator[bytes]:
        """Read the rest of the current member, in pieces of up to 1 MiB."""
        while data := self._tape.read(PIECE):
            self._digest.update(data)
            if not self._tape.left:
                self._compare()
            yield data

    def read(self) -> bytes:
        """Read the rest of the current member, which has to fit into memory."""
        return b"".join(self.chunks())

    def pieces(self, prefix: str) -> Iterator[bytes]:
        """Read the members `PREFIX/…` one after the other: what `Writer.add_pieces` was given."""
        for member in self:
            if member.name.startswith(f"{prefix}/"):
                yield self.read()

    # ---- from front to back

    def _begin(self) -> None:
        header = self._next()
        if header is None or header.name != FORMAT_NAME or header.size > PIECE:
            raise BackupCorrupt(self.path, "it does not begin as an archive of onserver", FORMAT_NAME)
        check_format(self.path, self.read(), FORMAT_NAME)
        self._finish(header)

    def _next(self) -> Header | None:
        self._digest = hashlib.sha256()
        return self._tape.next()

    def _seen_as(self, member: Header | Member) -> Member:
        sha256 = "" if member.folder else self._digest.hexdigest()
        return Member(member.name, member.size, sha256, member.mode, member.modified, folder=member.folder)

    def _announced(self, header: Header) -> Member:
        """Compare a header to the manifest, if it is known, before anything of its content is read."""
        if header.name in self._names:
            raise self._tape.corrupt("it is there twice")
        self._names.add(header.name)
        self._current = header
        if self._known is None:
            return Member(header.name, header.size, "", header.mode, header.modified, folder=header.folder)
        place = len(self._seen)
        expected = self._known.members[place] if place < len(self._known.members) else None
        if expected is None or (expected.name, expected.size) != (header.name, header.size):
            raise self._differs(self._seen_as(header))
        return expected

    def _finish(self, header: Header) -> None:
        for _ in self.chunks():
            pass
        self._compare()
        self._seen.append(self._seen_as(header))
        self._current = None

    def _compare(self) -> None:
        """Compare the current member, of which everything was read, to the manifest, if it is known."""
        if self._current and self._known:
            seen = self._seen_as(self._current)
            if seen != self._known.members[len(self._seen)]:
                raise self._differs(seen)

    def _end(self, header: Header) -> None:
        data = self._whole(header)
        sums = self._next()
        if sums is None or sums.name != SUMS_NAME:
            raise BackupCorrupt(self.path, "it is missing", SUMS_NAME)
        line = f"{hashlib.sha256(data).hexdigest()}  {MANIFEST_NAME}\n"
        if not self._whole(sums).endswith(line.encode()):
            raise BackupCorrupt(self.path, "its SHA-256 is another than was written", MANIFEST_NAME)
        found = decode(self.path, data)
        for number, seen in enumerate(self._seen):
            if number >= len(found.members) or seen != found.members[number]:
                raise self._differs(seen, found)
        for missing in found.members[len(self._seen) :]:
            raise BackupCorrupt(self.path, "it is missing", missing.name)
        if self._tape.next() is not None:
            raise self._tape.corrupt("nothing may follow the checksums")
        if self._known and found != self._known:
            raise BackupCorrupt(self.path, "it is not the archive that was checked", MANIFEST_NAME)
        self._manifest = found

    def _whole(self, header: Header) -> bytes:
        if header.size > _MOST_BYTES:
            raise self._tape.corrupt(f"its size is {header.size}")
        return b"".join(self._tape.chunks())

    def _differs(self, seen: Member, manifest: Manifest | None = None) -> BackupCorrupt:
        known = manifest or self.manifest
        expected = next((member for member in known.members if member.name == seen.name), None)
        if expected is None:
            problem = "it is not in the manifest"
        elif expected.size != seen.size:
            problem = f"it has {seen.size} bytes, and the manifest says {expected.size}"
        elif expected.sha256 != seen.sha256:
            problem = "its SHA-256 is another than the manifest's: its content was changed"
        else:
            problem = "it is not what the manifest says, or not in its place"
        return BackupCorrupt(self.path, problem, seen.name)


def check(place: Place, name: str, identities: Sequence[str] = ()) -> Manifest:
    """Read an archive from its first to its last byte, and compare everything to its checksums.

    Raises:
        ArchiveNotFound, ArchiveSealed, ArchiveTooNew, BackupCorrupt: as `Reader` does.
    """
    with Reader(place, name, identities=identities) as reader:
        for _ in reader:
            pass
        return reader.manifest


def read_manifest(place: Place, name: str, identities: Sequence[str] = ()) -> Manifest:
    """Look at the manifest without checking the members: from the archive's end, or all through an encrypted one.

    Raises:
        ArchiveNotFound, ArchiveSealed, ArchiveTooNew, BackupCorrupt: as `Reader` does.
    """
    found = read_end(place, name, identities)
    return check(place, name, identities) if found is None else found.manifest


class End(NamedTuple):
    """What stands at the end of an archive."""

    manifest: Manifest
    sha256: str
    """Of the manifest, which has those of all members: in hexadecimal digits."""


def read_end(place: Place, name: str, identities: Sequence[str] = ()) -> End | None:
    """Look at the end of an archive alone; None of one that can only be read from its beginning: it is encrypted.

    Raises:
        ArchiveNotFound, ArchiveSealed, ArchiveTooNew, BackupCorrupt: as `Reader` does.
    """
    path, inlet = place.path_of(name), _opened(place, name, identities)
    try:
        if inlet.size < 0 or not seek_manifest(inlet):
            return None
        tape = Tape(Unpacked(inlet, whole=False), path)
        header = tape.next()
        if header is None or header.name != MANIFEST_NAME or header.size > _MOST_BYTES:
            raise BackupCorrupt(path, "it is not where it should be", MANIFEST_NAME)
        data = b"".join(tape.chunks())
        return End(decode(path, data), hashlib.sha256(data).hexdigest())
    finally:
        inlet.close()


def _opened(place: Place, name: str, identities: Sequence[str]) -> Inlet:
    """Open an archive, whether it is encrypted or not."""
    zstd()
    path = place.path_of(name)
    inlet = place.reading(name)
    begins = inlet.read(len(seal.AGE_MAGIC))
    inlet.seek(0)
    if begins.startswith(ZSTD_MAGIC):
        return inlet
    if begins != seal.AGE_MAGIC:
        inlet.close()
        raise BackupCorrupt(path, "it does not begin as an archive of onserver", FORMAT_NAME)
    if not identities:
        inlet.close()
        raise ArchiveSealed(path, "no identity was given")
    return seal.UnsealedInlet(inlet, seal.identities(identities, path), path)
