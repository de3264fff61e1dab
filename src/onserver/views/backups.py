"""What there is to see of backups: how they stand, which archives there are, what each says of itself.

Of an archive only its end is read, where that can be: what an encrypted one says is known to whom reads all of it, as
`onserver backup show` does.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Final

from onserver.backup import history as histories
from onserver.backup.catalog import Listed, Meant, listed
from onserver.backup.dates import NEVER
from onserver.backup.folder import Folder
from onserver.backup.history import Operation
from onserver.backup.load import Standing as Restoring
from onserver.backup.load import standing as restoring
from onserver.backup.making import identities_of, place_here
from onserver.backup.place import Place
from onserver.backup.reading import End, read_end
from onserver.backup.rules import too_old
from onserver.backup.state import Going, State
from onserver.errors import ArchiveNotFound, OnServerError
from onserver.redis.keys import scan
from onserver.redis.saved import part_of
from onserver.redis.store import Store
from onserver.server import Server

#: Keys that are counted at most, to say what there is.
MOST_COUNTED: Final = 100_000
#: For how many seconds a count of keys is good enough.
_COUNTED_SECONDS: Final = 30.0
#: Ends of archives that are remembered.
_REMEMBERED: Final = 500


@dataclass(frozen=True, kw_only=True)
class BackupsNow:
    """How the backups of a server stand.

    Attributes:
        folder: where archives go, as the settings have it.
        place: the same, whole; empty where it cannot be used.
        problem: why it cannot be used; empty where it can.
        schedule: the words of the settings; empty where nothing is scheduled.
        keep: how many archives stay; 0 for all.
        last: how the last backup ended; None where there was none.
        good: the last that ended well.
        restored: the last restore.
        next_ms: when the next is due, or is tried again; 0 for never.
        attempts: how many by schedule have failed in a row.
        suspended: whether none is started by schedule any more.
        going: the backup that is being made.
        alive: whether whoever makes it lives.
        needed: bytes that the next archive will take, going by the last one; 0 where there is none.
        free: bytes that are free where archives go; None where that is not known.
        restoring: a restore that has begun and not ended.
    """

    folder: str
    place: str = ""
    problem: str = ""
    schedule: str = ""
    keep: int = 0
    last: Operation | None = None
    good: Operation | None = None
    restored: Operation | None = None
    next_ms: int = 0
    attempts: int = 0
    suspended: bool = False
    going: Going | None = None
    alive: bool = False
    needed: int = 0
    free: int | None = None
    restoring: Restoring | None = None


@dataclass(frozen=True, kw_only=True)
class ArchiveRow:
    """An archive in a list.

    Attributes:
        name: of its file.
        number: its number.
        made_ms: when it was begun, milliseconds since 1970.
        size: of its file, in bytes.
        label: given by who asked.
        trigger: why it was made, as in `schedule`; empty where that is forgotten.
        verified_ms: when it was last found whole; 0 where it never was.
        known: whether the history has it: then it is removed when it is too old.
        keys: how many keys are in it; None where only all of it tells.
        checksum: SHA-256 of its manifest, which has those of all members; empty likewise.
        problem: what is wrong with it; empty where nothing is known to be.
    """

    name: str
    number: int
    made_ms: int
    size: int
    label: str = ""
    trigger: str = ""
    verified_ms: int = 0
    known: bool = True
    keys: int | None = None
    checksum: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Summary:
    keys: int | None = None
    checksum: str = ""
    problem: str = ""


class Ends:
    """What the ends of archives say, so that a list does not read them each time. Made by `server.part(Ends)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: dict[tuple[str, int], _Summary] = {}

    def summary(self, place: Place, one: Listed) -> _Summary:
        """Answer what is shown of an archive in a list; no archive is ever written over another."""
        key = (one.path, one.size)
        found = self._known.get(key)
        if found is None:
            try:
                found = _summed(read_end(place, one.name, identities_of(self._server)))
            except OnServerError as error:
                return _Summary(problem=error.message)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = found
        return found


def _summed(end: End | None) -> _Summary:
    return _Summary() if end is None else _Summary(sum(end.manifest.about.counts.values()), end.sha256)


def now(server: Server) -> BackupsNow:
    """Look how the backups of a server stand."""
    settings, store = server.settings.backup, server.store
    state = State(store)
    _, standing = state.standing()
    last, good, going = state.last(), state.last("good"), state.going()
    coming = 0 if standing.suspended else min(filter(None, (standing.retry_ms, standing.next_ms)), default=0)
    place, problem = _place(server)
    return BackupsNow(
        folder=settings.folder, place=place.describe() if place else "", problem=problem, keep=settings.keep,
        schedule="" if settings.schedule == NEVER else settings.schedule, last=last, good=good,
        restored=state.last("restored"), next_ms=coming, attempts=standing.attempts, going=going,
        suspended=bool(standing.suspended), needed=good.size if good else 0, free=_free(place),
        alive=going is not None and bool(store.command("SISMEMBER", store.key("live"), going.holder)),
        restoring=restoring(store),
    )  # fmt: skip


def _place(server: Server) -> tuple[Place | None, str]:
    """Answer where archives are, and else why they can be nowhere."""
    try:
        place = place_here(server)
        histories.read(place, server.name)
    except OnServerError as error:
        return None, error.message
    except OSError as error:
        return None, str(error)
    return place, ""


def _free(place: Place | None) -> int | None:
    """How many bytes are free in a folder, or where it will be made."""
    if not isinstance(place, Folder):
        return None
    path = place.path
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def archives(server: Server, *, below: int = 0, limit: int = 50) -> Sequence[ArchiveRow]:
    """The archives of a server that are in its folder, the last first.

    Args:
        server: of which.
        below: only those of smaller numbers; 0 for all.
        limit: how many at most.

    Raises:
        BackupFailed: ONS-5209 with 1407, the folder is another server's.
    """
    place = place_here(server)
    triggers = {one.number: one.trigger for one in operations(server) if one.what == "backup" and one.path}
    found = [one for one in reversed(listed(server)) if not below or one.number < below]
    return [_row(server, place, one, triggers.get(one.number, "")) for one in found[:limit]]


def _row(server: Server, place: Place, one: Listed, trigger: str) -> ArchiveRow:
    end = server.part(Ends).summary(place, one)
    verified = int(datetime.fromisoformat(one.verified).timestamp() * 1000) if one.verified else 0
    return ArchiveRow(
        name=one.name, number=one.number, made_ms=int(one.made.timestamp() * 1000), size=one.size, label=one.label,
        trigger=trigger, verified_ms=verified, known=one.known, keys=end.keys, checksum=end.checksum,
        problem=end.problem,
    )  # fmt: skip


def operations(server: Server) -> Sequence[Operation]:
    """What the history of the folder has of backups and restores, however they ended, the last first."""
    return tuple(reversed(histories.read(place_here(server), server.name).operations))


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive, and what it says of itself.

    Attributes:
        row: as in a list.
        meant: where it is.
        end: what stands at its end; None of one that is encrypted, or damaged.
        parts: kinds of files in it, with how many there are and their bytes.
    """

    row: ArchiveRow
    meant: Meant
    end: End | None = None
    parts: Sequence[tuple[str, int, int]] = field(default_factory=tuple)


def archive(server: Server, name: str) -> Archive:
    """Look at an archive of this server's folder. A path leads nowhere: what is elsewhere is nobody's business here.

    Args:
        server: of which.
        name: of its file.

    Raises:
        ArchiveNotFound: ONS-5208.
        BackupFailed: ONS-5209 with 1407, the folder is another server's.
    """
    place = place_here(server)
    one = next((one for one in listed(server) if one.name == name), None)
    if one is None:
        raise ArchiveNotFound(name)
    trigger = next((done.trigger for done in operations(server) if done.number == one.number and done.path), "")
    row, meant = _row(server, place, one, trigger), Meant(place, name)
    if row.keys is None:
        return Archive(row=row, meant=meant)
    try:
        end = read_end(place, name, identities_of(server))
    except OnServerError:
        return Archive(row=row, meant=meant)
    return Archive(row=row, meant=meant, end=end, parts=_parts(end))


def _parts(end: End | None) -> Sequence[tuple[str, int, int]]:
    files, sizes = Counter[str](), Counter[str]()
    for member in end.manifest.members if end else ():
        head = member.name.partition("/")[0]
        files[head] += 1
        sizes[head] += member.size
    return tuple((head, files[head], sizes[head]) for head in sorted(files))


def would_go(server: Server, keep: int) -> Sequence[str]:
    """Names of the archives that would be removed if so many stay.

    Args:
        server: of which.
        keep: how many stay; 0 for all.
    """
    place = place_here(server)
    there = {file.name for file in place.found()}
    return tuple(one.name for one in too_old(histories.read(place, server.name).archives, keep, there))


class Counted:
    """How many keys there are, which is not counted anew for each look. Made by `server.part(Counted)`."""

    def __init__(self, server: Server) -> None:
        self._store = server.store
        self._mutex = threading.Lock()
        self._known: tuple[Counter[str], bool] | None = None
        self._at = 0.0

    def keys(self) -> tuple[Counter[str], bool]:
        """Answer the keys of each part, as they were half a minute ago at most, and whether these are all."""
        with self._mutex:
            if self._known is None or monotonic() - self._at > _COUNTED_SECONDS:
                self._known, self._at = _counted(self._store), monotonic()
            return self._known


def _counted(store: Store) -> tuple[Counter[str], bool]:
    found, seen = Counter[str](), 0
    for names in scan(store):
        found.update(part for name in names if (part := part_of(name.removeprefix(store.prefix))))
        seen += len(names)
        if seen >= MOST_COUNTED:
            return found, False
    return found, True


def ms_of(operation: Operation | None) -> int:
    """When an operation began, in milliseconds since 1970; 0 where there was none."""
    return int(datetime.fromisoformat(operation.started).timestamp() * 1000) if operation and operation.started else 0
