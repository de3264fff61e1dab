"""A backup that somebody left: its worker was killed or stopped, or the process was aborted. How has it ended?"""

from __future__ import annotations

from datetime import UTC, datetime

from onserver.backup import history as histories
from onserver.backup.codes import MEANINGS, Code, reason_of
from onserver.backup.ending import Ending
from onserver.backup.history import Archive, Operation, archive_name
from onserver.backup.making import place_here
from onserver.backup.state import Going
from onserver.errors import OnServerError
from onserver.process.record import State, read_record
from onserver.server import Server

_DOING = {
    "": "began",
    "hooks": "asked its start-up hooks",
    "clear": "cleared its folder",
    "keys": "copied the keys",
    "files": "saved files and databases",
    "finish": "finished its archive",
    "verify": "verified its archive",
    "remove": "removed old archives",
}


def how_it_ended(server: Server, going: Going, ending: Ending) -> Operation:
    """Say how it has ended, after its unfinished archive was removed; what was said before stays so.

    An archive that had its name already is whole: it stays, and the history gets it as one that was not verified.
    """
    if going.operation is not None:
        return going.operation
    try:
        path, size = _look(server, going)
    except (OnServerError, OSError) as error:
        path, size, lost = "", 0, f"; its folder cannot be looked at: {reason_of(error)}"
    else:
        lost = ""
    code, reason = _why(server, going)
    return ending.operation(going, code, reason + lost, number=going.number, path=path, size=size)


def _look(server: Server, going: Going) -> tuple[str, int]:
    """Remove what is unfinished, and find the archive if it is in its place."""
    place = place_here(server)
    place.clear()
    name = archive_name(server.name, going.number)
    size = next((file.size for file in place.found() if going.number and file.name == name), 0)
    known = histories.read(place, server.name)
    if size and name not in {archive.name for archive in known.archives}:
        made = datetime.fromtimestamp(going.since_ms / 1000, UTC).isoformat(timespec="milliseconds")
        archive = Archive(number=going.number, name=name, made=made, size=size, label=going.ask.label)
        histories.write(place, known.with_archive(archive))
    return (place.path_of(name), size) if size else ("", 0)


def _why(server: Server, going: Going) -> tuple[int, str]:
    record = read_record(server.store, going.process) if going.process else None
    if record is not None and record.state == State.ABORTED:
        return Code.CANCELLED, MEANINGS[Code.CANCELLED]
    who = "its worker was killed or stopped" if going.process else "the program that made it was killed"
    code = Code.NOT_VERIFIED if going.step == "verify" else Code.NOT_SAVED
    return code, f"{who} while it {_DOING.get(going.step, going.step)}"
