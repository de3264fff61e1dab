"""`backupHistory.json`, beside the archives: which there are, what was done last, and which number comes next.

As in the original (specification 7.9) it keeps as many operations as archives are kept, and whoever deletes or moves it
has the numbers begin anew. Two things are safer than there: a number whose archive is still in the folder is passed
over, since no archive is ever written over another; and a folder belongs to one server, so that two never count in one
file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from onserver.backup.place import Place
from onserver.errors import BackupFailed

FILE: Final = "backupHistory.json"
_BAD_DESTINATION: Final = 1407
#: Operations that are kept where all archives are.
_MANY: Final = 1000


class Operation(Struct, frozen=True, kw_only=True):
    """One backup, restore or removal, however it ended.

    Attributes:
        what: `backup` or `restore`.
        run: names it, so that it is written down once.
        number: of the archive; 0 where there is none.
        started: ISO 8601, in UTC.
        seconds: how long it took.
        code: how it ended, 0 is well (see `onserver.backup.codes`).
        reason: the same in words.
        hook: which refused it, and was overruled where somebody forced it; empty for none.
        trigger: `hand`, `schedule`, `retry`, `missed` or `restore`.
        asked_by: who asked for it by hand.
        forced_by: who had it made against a refusal.
        label: given by who asked.
        path: of the archive; empty where there is none.
        size: of the archive, in bytes.
        problems: what is missing in it.
    """

    run: str
    what: str = "backup"
    number: int = 0
    started: str = ""
    seconds: float = 0.0
    code: int = 0
    reason: str = ""
    hook: str = ""
    trigger: str = "hand"
    asked_by: str = ""
    forced_by: str = ""
    label: str = ""
    path: str = ""
    size: int = 0
    problems: tuple[str, ...] = ()


class Archive(Struct, frozen=True, kw_only=True):
    """An archive that was written and has not been removed by us.

    Attributes:
        number: its number.
        name: of its file.
        made: when it was begun, ISO 8601 in UTC.
        size: bytes.
        label: given by who asked.
        verified: when it was last found whole, ISO 8601 in UTC; empty where it never was.
    """

    number: int
    name: str
    made: str = ""
    size: int = 0
    label: str = ""
    verified: str = ""


class History(Struct, frozen=True, kw_only=True):
    """What the file holds; see the top of this module."""

    version: int = 1
    server: str
    last_number: int = 0
    operations: tuple[Operation, ...] = ()
    archives: tuple[Archive, ...] = ()

    def next_number(self, names: Collection[str]) -> int:
        """The number of the next archive, given the files that are there."""
        number = self.last_number + 1
        while archive_name(self.server, number) in names:
            number += 1
        return number

    def with_operation(self, operation: Operation, keep: int) -> History:
        """The same with this operation, once, and not more of them than archives are kept."""
        others = tuple(known for known in self.operations if known.run != operation.run)
        return replace(self, operations=(*others, operation)[-(keep or _MANY) :])

    def with_archive(self, archive: Archive) -> History:
        """The same with an archive, which may have been there."""
        others = (known for known in self.archives if known.number != archive.number)
        archives = tuple(sorted((*others, archive), key=lambda known: known.number))
        return replace(self, archives=archives, last_number=max(self.last_number, archive.number))

    def without(self, names: Iterable[str]) -> History:
        """The same without the archives of these names."""
        gone = set(names)
        return replace(self, archives=tuple(known for known in self.archives if known.name not in gone))


def read(place: Place, server: str) -> History:
    """Read the history of a folder; an empty one where there is none.

    Raises:
        BackupFailed: ONS-5209 with 1407, it is another server's, or cannot be read.
    """
    data = place.read_small(FILE)
    if data is None:
        return History(server=server)
    try:
        history = msgspec.json.decode(data, type=History)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem = f"the history of this folder cannot be read ({error}); moved away, the numbers begin anew"
        raise BackupFailed(_BAD_DESTINATION, problem, place.path_of(FILE)) from error
    if history.server != server:
        problem = f"this folder has the backups of server `{history.server}`; give each server one of its own"
        raise BackupFailed(_BAD_DESTINATION, problem, place.path_of(FILE))
    return history


def write(place: Place, history: History) -> None:
    """Write it, in one step.

    Raises:
        ArchiveNotWritten: ONS-5205.
    """
    place.replace(FILE, msgspec.json.format(msgspec.json.encode(history), indent=1) + b"\n")


def verified(archive: Archive, moment: str) -> Archive:
    """The same archive, found whole at this moment."""
    return replace(archive, verified=moment)


def archive_name(server: str, number: int) -> str:
    """The name of an archive's file.

    Example:
        >>> archive_name("Shop", 4)
        'Shop[0004].onsb'
    """
    return f"{server}[{number:04}].onsb"


def number_in(server: str, name: str) -> int | None:
    """The number in the name of an archive; None where it is no archive of this server.

    Example:
        >>> number_in("Shop", "Shop[0004].onsb")
        4
    """
    found = re.fullmatch(rf"{re.escape(server)}\[(\d{{4,}})\]\.onsb", name)
    return int(found[1]) if found else None
