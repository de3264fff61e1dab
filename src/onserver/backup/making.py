"""Making one archive: from its number to the removal of those that are too old.

    clear what dead writers left → number → (remove) → keys, then project, databases, files → verify → history → remove

The keys are cut first: what the storage names, a file or a row, was there when it was named, and so is in what is saved
after it. What fails leaves the archives that were there as they were; an archive that was found damaged is removed, and
one that could not be verified stays, and is said to be unverified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from onserver.backup import history as histories
from onserver.backup.archive import Writer
from onserver.backup.change_log import folder_of
from onserver.backup.codes import Code, reason_of
from onserver.backup.cut import Cut
from onserver.backup.history import Archive, History, archive_name
from onserver.backup.journal_text import JournalText
from onserver.backup.manifest import About, Manifest
from onserver.backup.place import Place
from onserver.backup.places import place_of
from onserver.backup.rules import too_old
from onserver.backup.scratch import scratch_of
from onserver.backup.seal import in_project
from onserver.backup.segments import remove_segments
from onserver.backup.sources import Content, save
from onserver.backup.state import Going
from onserver.backup.verify import Verified, verify
from onserver.backup_settings import BackupSettings
from onserver.crash import crash_point
from onserver.errors import ArchiveNotFound, BackupCorrupt, BackupFailed, OnServerError
from onserver.server import Server

#: Told how far it is: how much is done, of how much where that is known, and a few words.
Report = Callable[[float, float | None, str], None]
#: Hooks, keys, files, finishing, verifying.
_STEPS: Final = 5


class Making:
    """See the top of this module.

    Args:
        server: of which.
        going: the backup that has begun.
        journal: where steps are written down.
        report: told how far it is; a checkpoint as well.
        step: told the name of each step, which is kept in Redis.

    Attributes:
        number: of the archive; 0 until it is known.
        path: of the archive, once it is in its place.
        size: of its file, in bytes.
        problems: what is missing in it.
    """

    def __init__(
        self, server: Server, going: Going, journal: JournalText, report: Report, step: Callable[[str, int], None]
    ) -> None:
        self._server, self._settings = server, server.settings.backup
        self._going, self._journal, self._report, self._step = going, journal, report, step
        self.number = going.number
        self.path = ""
        self.size = 0
        self.problems: tuple[str, ...] = ()
        self.verified = ""

    def find_number(self) -> int:
        """The number that the archive will have.

        Raises:
            BackupFailed: ONS-5209 with 1407, its folder cannot be used.
        """
        place, found = self._read()
        self.number = found.next_number([file.name for file in place.found()])
        return self.number

    def make(self) -> None:
        """Make it. What is known of it by then is in the attributes, also when this raises."""
        place, known = self._read()
        self._step("clear", self.number)
        for name in place.clear():
            self._journal.write(f"removed what was left of an unfinished {name}")
        if self._settings.remove == "before":
            known = self._remove(place, known, max(1, self._settings.keep - 1) if self._settings.keep else 0)
        name = archive_name(self._server.name, self.number or self.find_number())
        manifest = self._write(place, name)
        self.path = place.path_of(name)
        self.size = next((file.size for file in place.found() if file.name == name), 0)
        self.problems = tuple(str(problem) for problem in manifest.problems)
        try:
            self._verify(place, name)
        finally:
            if self.path:
                known = known.with_archive(self._entry(name))
                histories.write(place, known)
        if not self.problems:
            self._remove(place, known, self._settings.keep)

    def _read(self) -> tuple[Place, History]:
        place = place_here(self._server)
        return place, histories.read(place, self._server.name)

    def _write(self, place: Place, name: str) -> Manifest:
        self._step("keys", self.number)
        settings, going = self._settings, self._going
        project = project_of(self._server)
        about = About(
            server=self._server.name,
            number=self.number,
            started=going.since_ms / 1000,
            label=going.ask.label,
            asked_by=going.ask.asked_by,
            forced_by=going.ask.forced_by,
            content=tuple(_content_names(settings)),
        )
        recipients = in_project(settings.seal_to, project)
        with Writer(place, name, compression=settings.compression, recipients=recipients) as writer:
            if settings.redis:
                about = self._write_keys(writer, about)
            self._step("files", self.number)
            self._report(2, _STEPS, "files and databases")
            problems = save(writer, content_of(self._server), project, never=_never(self._server))
            for problem in problems:
                self._journal.write(f"{name}: {problem}")
            self._step("finish", self.number)
            self._report(3, _STEPS, "finishing")
            return writer.finish(about)

    def _write_keys(self, writer: Writer, about: About) -> About:
        with Cut(self._server.store, self.number) as taken:
            writer.add_pieces("redis", self._told(taken.entries()))
        facts = taken.facts
        held_ms = round(facts.held_seconds * 1000, 1)
        self._journal.write(
            f"keys: {facts.entries} entries in {facts.passes} passes and {facts.seconds:.1f} s; "
            f"at the instant {facts.last_keys} were copied, for which writers waited {held_ms} ms at most",
            detail=True,
        )
        return replace(
            about,
            epoch=facts.epoch,
            cut_at=facts.at_ms / 1000,
            numbers={"change": facts.change},
            counts=dict(taken.counts),
            facts={"held_ms": held_ms, "passes": facts.passes, "last_keys": facts.last_keys},
        )

    def _told(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        done = 0
        for chunk in chunks:
            done += len(chunk)
            self._report(1, _STEPS, f"{done / 1e6:.1f} MB of keys")
            crash_point("in_cut")
            yield chunk

    def _verify(self, place: Place, name: str) -> None:
        if not self._settings.verify:
            return
        if self._settings.seal_to and not self._settings.identities:
            self._journal.write(f"{name}: not verified, it is sealed and `backup.identities` names no key here")
            return
        self._step("verify", self.number)
        self._report(4, _STEPS, "verifying")
        try:
            found = verify_here(self._server, place, name)
        except BackupCorrupt:
            place.remove(name)
            self.path = ""
            raise
        except (OnServerError, OSError) as error:  # nothing says that it is damaged: it stays
            raise BackupFailed(Code.NOT_VERIFIED, f"it was not verified: {reason_of(error)}", self.path) from error
        self.verified = now_text()
        self._journal.write(f"{name}: verified, {found.keys} keys in {found.seconds:.1f} s", detail=True)

    def _entry(self, name: str) -> Archive:
        return Archive(
            number=self.number,
            name=name,
            made=datetime.fromtimestamp(self._going.since_ms / 1000, UTC).isoformat(timespec="milliseconds"),
            size=self.size,
            label=self._going.ask.label,
            verified=self.verified,
        )

    def _remove(self, place: Place, known: History, keep: int) -> History:
        """Remove what is too old; before a restore nothing: the oldest may be the one that is going to be restored."""
        if self._going.ask.trigger == "restore":
            return known
        self._step("remove", self.number)
        known, gone = remove_old(place, known, keep)
        for name in [*gone, *remove_logs(self._server, known)]:
            self._journal.write(f"removed {name}: {self._settings.keep} are kept")
        return known


def remove_old(place: Place, known: History, keep: int) -> tuple[History, list[str]]:
    """Remove the archives that are too old, and forget them; answers the history as it is then, and their names."""
    gone: list[str] = []
    for archive in too_old(known.archives, keep, {file.name for file in place.found()}):
        try:
            place.remove(archive.name)
        except ArchiveNotFound:
            continue  # somebody else just did
        gone.append(archive.name)
    if gone:
        known = known.without(gone)
        histories.write(place, known)
    return known, gone


def remove_logs(server: Server, known: History) -> list[str]:
    """Remove the files of the log from before the oldest archive, and answer their names."""
    settings = server.settings.backup
    if not settings.log or not known.archives or "://" in settings.folder:
        return []
    oldest = min(archive.number for archive in known.archives)
    return remove_segments(folder_of(settings, project_of(server)), server.name, oldest)


def verify_here(server: Server, place: Place, name: str) -> Verified:
    """Verify an archive with the keys and the Redis of this project; see `verify`."""
    settings = server.settings
    above = scratch_of(project_of(server))
    return verify(place, name, identities_of(server), redis_server=settings.redis_server, above=above)


def identities_of(server: Server) -> tuple[str, ...]:
    """The keys of this project that open sealed archives."""
    return in_project(server.settings.backup.identities, project_of(server))


def place_here(server: Server) -> Place:
    """The place where the archives of a server are.

    Raises:
        BackupFailed: ONS-5209 with 1407, the server has no project folder.
        BadSetting: ONS-1007, `backup.folder` is none.
    """
    return place_of(server.settings.backup.folder, project_of(server))


def project_of(server: Server) -> Path:
    """The project's folder.

    Raises:
        BackupFailed: ONS-5209 with 1407, there is none.
    """
    project = server.project or server.settings.project
    if project is None:
        raise BackupFailed(Code.BAD_DESTINATION, "this program has no project, so there is nowhere to put a backup")
    return project


def content_of(server: Server) -> Content:
    """What is saved besides the keys."""
    settings = server.settings.backup
    return Content(
        project=settings.project,
        components=[str(folder) for folder in _parts(server)],
        files=settings.files,
        sqlite={_stem(path): path for path in settings.sqlite},
        postgresql={_database(address): address for address in settings.postgresql},
    )


def _parts(server: Server) -> Iterator[Path]:
    """The folders of components that are kept with the project: not those that were installed."""
    project = project_of(server).resolve()
    for component in server.components():
        below = component.folder
        if below.is_relative_to(project) and not {"site-packages", ".venv"} & set(below.parts):
            yield below.relative_to(project)


def now_text() -> str:
    """Now, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _never(server: Server) -> list[Path]:
    """What is not saved whatever is named: the archives themselves, and what the project's programs keep."""
    project, folder = project_of(server), server.settings.backup.folder
    own = [project / ".onserver", project / server.settings.signing.key_file]
    return own if "://" in folder else [*own, project / folder]


def _content_names(settings: BackupSettings) -> Iterator[str]:
    for name in ("redis", "project", "files", "sqlite", "postgresql"):
        if getattr(settings, name):
            yield name


def _stem(path: str) -> str:
    return Path(path).stem


def _database(address: str) -> str:
    return address.partition("?")[0].rstrip("/").rpartition("/")[2] or "postgres"
