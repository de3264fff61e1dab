"""Which archives there are, and which one somebody means: `latest`, a number, the name of a file, or a path."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from onserver.backup import history as histories
from onserver.backup.folder import Folder
from onserver.backup.history import number_in
from onserver.backup.making import place_here
from onserver.backup.place import Place
from onserver.errors import ArchiveNotFound
from onserver.server import Server

LATEST: Final = "latest"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An archive of this server, in its folder.

    Attributes:
        number: its number.
        name: of its file.
        path: of its file.
        made: when it was begun; where the history does not know it, when its file was finished.
        size: of its file, in bytes.
        label: given by who asked.
        verified: when it was last found whole, ISO 8601; empty where it never was.
        known: whether the history has it: then it is removed when it is too old.
    """

    number: int
    name: str
    path: str
    made: datetime
    size: int
    label: str
    verified: str
    known: bool


class Meant(NamedTuple):
    """The archive that somebody means, and where it is."""

    place: Place
    name: str

    @property
    def path(self) -> str:
        """Of its file."""
        return self.place.path_of(self.name)


def listed(server: Server) -> list[Listed]:
    """The archives of a server that are in its folder, by number.

    Raises:
        BackupFailed: ONS-5209 with 1407, the folder is another server's.
    """
    place = place_here(server)
    known = {archive.name: archive for archive in histories.read(place, server.name).archives}
    found: list[Listed] = []
    for file in place.found():
        number, archive = number_in(server.name, file.name), known.get(file.name)
        if number is not None:
            made = datetime.fromisoformat(archive.made) if archive else datetime.fromtimestamp(file.modified, UTC)
            found.append(
                Listed(
                    number=number,
                    name=file.name,
                    path=place.path_of(file.name),
                    made=made,
                    size=file.size,
                    label=archive.label if archive else "",
                    verified=archive.verified if archive else "",
                    known=archive is not None,
                )
            )
    return sorted(found, key=lambda one: one.number)


def find(server: Server, text: str) -> Meant:
    """Find the archive that somebody means.

    Args:
        server: of which.
        text: `latest`, a number, the name of a file in its folder, or a path.

    Raises:
        ArchiveNotFound: ONS-5208.
    """
    path = Path(text).expanduser()
    if "/" in text and path.is_file():
        return Meant(Folder(path.resolve().parent), path.name)
    place, known = place_here(server), listed(server)
    wanted = text.strip("[]")
    chosen = (
        known[-1:] if text == LATEST else [one for one in known if wanted.isdecimal() and one.number == int(wanted)]
    )
    names = [one.name for one in chosen] or [file.name for file in place.found() if file.name == text]
    if names:
        return Meant(place, names[0])
    if path.is_file():
        return Meant(Folder(path.resolve().parent), path.name)
    raise ArchiveNotFound(text)


def note_verified(server: Server, meant: Meant, moment: str) -> None:
    """Write down that an archive was found whole; of one that the history does not know, nothing."""
    place = place_here(server)
    if meant.path != place.path_of(meant.name):
        return
    known = histories.read(place, server.name)
    for archive in known.archives:
        if archive.name == meant.name:
            histories.write(place, known.with_archive(histories.verified(archive, moment)))
