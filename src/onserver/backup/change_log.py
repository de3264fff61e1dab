"""The log between backups: every change of the storage, in a file beside the archives.

A change that is committed stands in the stream `journal`, written by the very script that commits it: there is no
change without its line, and no line without its change. One writer, a thread of the leader of the workers, takes lines
from the stream into a file (`segments`), has the disk keep them (`backup.log_fsync`), and only then takes them from the
stream. So nothing is lost with a worker, a leader or a full disk: what is in no file yet is in Redis, and whoever leads
next goes on with it. When nobody takes the lines, or the disk takes none, the stream grows until it has as many as
`changes` in the scripts' fragments allows; then changes are refused (`ChangesNotLogged`), as in the original with 1274.

| `log_fsync` | a line leaves the stream | lost when the leader's machine goes down |
|---|---|---|
| commit | when the disk has it; after each round of lines | nothing |
| second | likewise; once a second | nothing |
| never | when it is written | what the system had not written yet |

A backup ends the file: what follows it is in the next one, which has its number. Two writers at once, one of them a
leader that was frozen, write two files; who reads them takes each change once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Final, TypeAlias

from onserver.backup.history import number_in
from onserver.backup.segments import Change, Mark, SegmentWriter, Written
from onserver.backup_settings import BackupSettings
from onserver.cluster.member import Beat
from onserver.crash import crash_point
from onserver.errors import BadSetting, BrokerUnavailable
from onserver.redis.answers import LinkError
from onserver.redis.link import Link
from onserver.redis.store import Store
from onserver.server import Server

#: An entry of the stream: its id, and field, value … as `changes` in the scripts' fragments writes them.
Line: TypeAlias = tuple[bytes, list[bytes]]

_LINES: Final = 2_000
_BLOCK_MS: Final = 500
_SYNC_SECONDS: Final = 1.0
#: After a disk, or Redis, has failed.
_AGAIN_SECONDS: Final = 1.0
_BEGINNING: Final = b"0-0"
#: Texts of a mark, and of what every change has in front of its entries.
_MARK: Final = 8
_HEAD: Final = 8


class LogWriter:
    """The writer. See the top of this module.

    Args:
        store: of the server; the writer has a link of its own.
        folder: where the archives are.
        fsync: the setting `backup.log_fsync`.
        say: told of what went wrong, once until it goes well again.
    """

    def __init__(self, store: Store, folder: Path, fsync: str, say: Callable[[str], None]) -> None:
        self._store, self._folder, self._fsync, self._say = store, folder, fsync, say
        self._segment: SegmentWriter | None = None
        self._archive = 0
        # Ids in the stream: of what was read, of what is in a file, and of what has left the stream.
        self._read = self._written = self._left = _BEGINNING
        self._parts: list[Written] = []
        self._synced_at = 0.0
        self._complained = ""

    def run(self, stop: threading.Event) -> None:
        """Write until told to stop."""
        with self._store.link() as link:
            while not stop.is_set():
                try:
                    self._store.run("log_on")
                    while not stop.is_set():
                        self._take(self._lines(link))
                except (OSError, LinkError, BrokerUnavailable) as error:
                    self._fail(error)
                    stop.wait(_AGAIN_SECONDS)
        if self._segment is not None:
            self._segment.abandon()

    def _lines(self, link: Link) -> list[Line]:
        words = ("XREAD", "COUNT", _LINES, "BLOCK", _BLOCK_MS, "STREAMS", self._store.key("journal"), self._read)
        found = link.command(*words, timeout=_BLOCK_MS / 1000 + self._store.command_seconds)
        return found[0][1] if found else []

    def _take(self, lines: list[Line]) -> None:
        """Write lines into files, and let those leave the stream that the disk has."""
        for items, last in self._rounds(lines):
            segment = self._open()
            segment.write(items)
            crash_point("in_log")
            ends = items[-1]
            if isinstance(ends, Mark) and ends.what == "cut":
                self._archive = ends.backup or self._archive
                segment.close()
                self._segment = None
            self._written = last
        if lines:
            self._read = lines[-1][0]
        self._let_go()
        self._complained = ""

    def _rounds(self, lines: list[Line]) -> Iterator[tuple[list[Change | Mark], bytes]]:
        """What is to be written, up to each cut, and the line with which it ends."""
        some: list[Change | Mark] = []
        last = b""
        for name, texts in lines:
            item = self._item(texts)
            if item is None:
                continue
            some.append(item)
            last = name
            if isinstance(item, Mark) and item.what == "cut":
                yield some, last
                some = []
        if some:
            yield some, last

    def _item(self, texts: list[bytes]) -> Change | Mark | None:
        """What a line says; None for a part of a change that goes on in the next one."""
        if texts[0] == b"m":
            if len(texts) < _MARK:
                return None  # the first line there is
            return Mark(texts[1].decode(), int(texts[3]), int(texts[5]), int(texts[7]))
        for at in range(_HEAD, len(texts), 4):
            version, kind, value = texts[at + 3].split(b" ", 2)
            self._parts.append(Written(texts[at + 1].decode(), int(version), kind.decode(), value))
        if texts[7] == b"0":
            return None
        entries, self._parts = tuple(self._parts), []
        return Change(int(texts[1]), int(texts[3]), texts[5].decode(), entries)

    def _let_go(self) -> None:
        """Have the disk keep what was written, when it is time; then it leaves the stream."""
        if self._written == self._left:
            return
        if self._fsync == "second" and monotonic() - self._synced_at < _SYNC_SECONDS:
            return
        if self._segment is not None and self._fsync != "never":
            self._segment.sync()
        self._synced_at = monotonic()
        self._store.run("log_written", self._written)
        self._left = self._written

    def _open(self) -> SegmentWriter:
        if self._segment is None:
            known = [number_in(self._store.name, path.name) or 0 for path in self._folder.iterdir()]
            self._segment = SegmentWriter(self._folder, self._store.name, max([self._archive, *known]))
        return self._segment

    def _fail(self, error: Exception) -> None:
        """Begin again behind what has left the stream, in a file of its own: nobody knows how far this one is whole."""
        if self._segment is not None:
            self._segment.abandon()
        self._segment = None
        self._read = self._written = self._left
        self._parts = []
        if str(error) != self._complained:
            self._complained = str(error)
            self._say(f"The log of changes is not written: {error}. Changes wait in Redis, and are refused in the end.")


class ChangeLog:
    """Has the leader of the workers write the log. A `Duty`.

    Args:
        server: the loaded project.
        store: its Redis.
        say: told of what could not be done.

    Raises:
        BadSetting: ONS-1007, archives go to a bucket, to which nothing can be appended.
    """

    def __init__(self, server: Server, store: Store, say: Callable[[str], None]) -> None:
        self._store, self._say, self._settings = store, say, server.settings.backup
        self._project = server.project or server.settings.project
        self._stop: threading.Event | None = None
        self._off = False
        if self._settings.log and "://" in self._settings.folder.removeprefix("file://"):
            raise BadSetting("backup.log", True, "archives go to a bucket, and nothing can be appended there")

    def heard(self, beat: Beat) -> None:
        """A beat was answered: the leader writes, or sees that nobody does."""
        if self._settings.log and beat.leader and self._stop is None:
            self._begin()
        elif not beat.leader and self._stop is not None:
            self._stop.set()
            self._stop = None
        elif beat.leader and not self._settings.log and not self._off:
            self._store.run("log_off")
        self._off = beat.leader

    def _begin(self) -> None:
        folder = folder_of(self._settings, self._project)
        writer = LogWriter(self._store, folder, self._settings.log_fsync, self._say)
        self._stop = threading.Event()
        threading.Thread(target=writer.run, args=(self._stop,), name="onserver-log", daemon=True).start()


def folder_of(settings: BackupSettings, project: Path | None) -> Path:
    """The folder in which the files of the log are: that of the archives. One in the project is made."""
    folder = Path(settings.folder.removeprefix("file://")).expanduser()
    if not folder.is_absolute():
        folder = (project or Path.cwd()) / folder
        folder.mkdir(parents=True, exist_ok=True)
    return folder
