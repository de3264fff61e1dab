"""What an archive says of itself: `manifest.json`, its last member but one.

It is written last because only then sizes and checksums are known, and nothing of an archive is believed before it was
compared to it. Whoever opens an archive finds `format.json` in front, so that a form that is not known is refused
before anything of it is read.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct, field

import onserver
from onserver.errors import ArchiveTooNew, BackupCorrupt

#: The form of archives that this release writes; it reads those from 1 to this one.
FORMAT: Final = 1
FORMAT_NAME: Final = "format.json"
MANIFEST_NAME: Final = "manifest.json"
SUMS_NAME: Final = "SHA256SUMS"


class Member(Struct, frozen=True):
    """One file of an archive."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    """In hexadecimal digits; empty for a folder."""
    mode: int = 0o600
    """Its permissions."""
    modified: int = 0
    """When it was last changed, in seconds since 1970."""
    folder: bool = False
    """It is an empty folder."""


class Problem(Struct, frozen=True):
    """Something that was to be in a backup and is not, or not as it should be: the backup is partial."""

    source: str
    problem: str

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class Source(Struct, frozen=True):
    """Where a part of the archive was taken from, and under which names it is in it."""

    kind: str
    """One of project, files, sqlite, postgresql."""
    origin: str
    """A path, or the address of a database without its password."""
    prefix: str
    """What its members' names begin with."""


class About(Struct, frozen=True, kw_only=True):
    """What an archive is of. Times are seconds since 1970."""

    server: str
    epoch: int = 0
    number: int = 0
    started: float = 0.0
    cut_at: float = 0.0
    """The instant that its Redis part is of."""
    label: str = ""
    forced_by: str = ""
    """Who had it made against a hook's refusal."""
    asked_by: str = ""
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    content: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


class Manifest(Struct, frozen=True, kw_only=True):
    """The manifest of one archive."""

    format: int = FORMAT
    onserver: str = onserver.__version__
    """The release that wrote it."""
    ended: float
    about: About
    members: tuple[Member, ...]
    sources: tuple[Source, ...] = ()
    problems: tuple[Problem, ...] = ()

    def size(self) -> int:
        """Bytes of all members, before compression."""
        return sum(member.size for member in self.members)


class _Form(Struct):
    format: int


def encode(manifest: Manifest) -> bytes:
    """Write a manifest as JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def encode_format() -> bytes:
    """Write what stands in front of an archive."""
    return msgspec.json.encode(_Form(FORMAT)) + b"\n"


def decode(path: str, data: bytes) -> Manifest:
    """Read the manifest of the archive at `path`.

    Raises:
        ArchiveTooNew: ONS-5204, it has a newer form.
        BackupCorrupt: ONS-5202, it is no manifest.
    """
    check_format(path, data, MANIFEST_NAME)
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupCorrupt(path, f"it is no manifest ({error})", MANIFEST_NAME) from error


def check_format(path: str, data: bytes, member: str) -> None:
    """Refuse a form that this release does not read.

    Raises:
        ArchiveTooNew: ONS-5204.
        BackupCorrupt: ONS-5202, `data` tells no form.
    """
    try:
        form = msgspec.json.decode(data, type=_Form).format
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupCorrupt(path, f"it does not tell the form of the archive ({error})", member) from error
    if form > FORMAT:
        raise ArchiveTooNew(path, form, FORMAT)
    if form < 1:
        raise BackupCorrupt(path, f"there is no form {form}", member)
