"""Restoring an archive as a whole: what is asked first, what is saved first, and what is written down.

    archive checked, every byte → nobody works who would be in the way → a backup of what is there → the keys loaded

The keys go into the server, with `load`; files and databases are unpacked beside the archive, and put in their places
by hand: only a person knows whether what is there now is to go. Into a server whose workers are up a restore goes only
under maintenance. The backup before it removes no archive: the one that is being restored might be the oldest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from onserver.backup import history as histories
from onserver.backup.catalog import Meant
from onserver.backup.codes import Code, number_of, reason_of
from onserver.backup.history import Operation
from onserver.backup.journal_text import JournalText
from onserver.backup.load import Loaded, finish, load, standing
from onserver.backup.making import identities_of, place_here, project_of
from onserver.backup.manifest import Manifest
from onserver.backup.reading import Reader, check
from onserver.backup.replay import Replayed, replay
from onserver.backup.restoring import DATA, FILES, beside, restore_beside
from onserver.backup.run import backup_here
from onserver.backup.segments import segments
from onserver.backup.state import Ask, written
from onserver.backup.verify import REDIS_PREFIX
from onserver.errors import OnServerError, RestoreRefused
from onserver.life.hook_arguments import BackupResult
from onserver.process.maintenance import maintenance_on
from onserver.redis.keys import scan
from onserver.redis.saved import PARTS, part_of
from onserver.redis.store import Store
from onserver.server import Server

#: What may be restored: parts of the keys, and kinds of files.
KEYS: Final = frozenset(PARTS)
OTHERS: Final = FILES | DATA


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be restored, and how.

    Attributes:
        only: some of `KEYS` and `OTHERS`; empty for all keys.
        to: name of another server in the same Redis, which has to be empty; empty for this one.
        run: let the processes that lived go on, instead of pausing them.
        save: make a backup of what is there before.
        by: who restores.
        replay: replay the log of changes that is beside the archive.
        until_ms: of that, leave out what came after this, milliseconds since 1970; None for all there is.
    """

    only: frozenset[str] = frozenset()
    to: str = ""
    run: bool = False
    save: bool = True
    by: str = ""
    replay: bool = False
    until_ms: int | None = None

    @property
    def keys(self) -> frozenset[str]:
        """The parts of the keys that are wanted; empty for none."""
        return self.only & KEYS if self.only else KEYS

    @property
    def others(self) -> frozenset[str]:
        """The kinds of files that are wanted."""
        return self.only & OTHERS


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a restore has done.

    Attributes:
        manifest: of the archive.
        loaded: the keys; None where none were wanted.
        saved: the backup of what was there before; None where nothing was, or none was wanted.
        replayed: of the log of changes; None where that was not wanted.
        folder: where files and databases were unpacked; None where none were wanted.
        files: those.
    """

    manifest: Manifest
    loaded: Loaded | None = None
    replayed: Replayed | None = None
    saved: BackupResult | None = None
    folder: Path | None = None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What a restore would do.

    Attributes:
        manifest: of the archive.
        there: entries of each part that the server has now.
        saves: whether a backup of that would be made before.
        refusal: why it would be refused now; empty where it would not.
    """

    manifest: Manifest
    there: Counter[str]
    saves: bool
    refusal: str


def restore(server: Server, meant: Meant, wish: Wish) -> Restored:
    """Restore an archive.

    Raises:
        ArchiveNotFound: ONS-5208.
        BackupCorrupt: ONS-5202, it is damaged; nothing was changed.
        RestoreRefused: ONS-5203, not here and now; nothing was changed.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time; `load.standing` says how far it is.
    """
    identities = identities_of(server)
    manifest = check(meant.place, meant.name, identities)
    store = _store(server, wish)
    refusal = _refusal(server, store, wish) if wish.keys else ""
    refusal = refusal or _no_log(meant, manifest, wish)
    if refusal:
        raise RestoreRefused(meant.path, refusal)
    folder, files = _unpacked(meant, manifest, wish, identities)
    if not wish.keys:
        return Restored(manifest=manifest, folder=folder, files=files)
    saved = _saved_before(server, store, meant, wish)
    began = datetime.now(UTC)
    try:
        loaded, replayed = _loaded(server, store, meant, manifest, wish)
    except OnServerError as error:
        _write_down(server, meant, wish, began, number_of(error) or Code.NOT_SAVED, reason_of(error))
        raise
    _write_down(server, meant, wish, began, Code.DONE, "")
    return Restored(manifest=manifest, loaded=loaded, replayed=replayed, saved=saved, folder=folder, files=files)


def prospect(server: Server, meant: Meant, wish: Wish) -> Prospect:
    """Say what a restore would do, and do nothing; the archive is checked whole.

    Raises:
        ArchiveNotFound: ONS-5208.
        BackupCorrupt: ONS-5202, it is damaged.
    """
    manifest = check(meant.place, meant.name, identities_of(server))
    store = _store(server, wish)
    there = _there(store)
    refusal = _refusal(server, store, wish) if wish.keys else ""
    refusal = refusal or _no_log(meant, manifest, wish)
    saves = bool(wish.keys and wish.save and _worth_saving(there) and not wish.to)
    return Prospect(manifest=manifest, there=there, saves=saves, refusal=refusal)


def refused_now(server: Server, wish: Wish) -> str:
    """Say why a restore would be refused now, as far as that is known without reading an archive; empty where it goes.

    Args:
        server: into which.
        wish: what is to be restored.
    """
    return _refusal(server, _store(server, wish), wish)


def _there(store: Store) -> Counter[str]:
    """How many keys of each part there are."""
    found: Counter[str] = Counter()
    for names in scan(store):
        found.update(part for name in names if (part := part_of(name.removeprefix(store.prefix))))
    return found


def _worth_saving(there: Counter[str]) -> bool:
    """Whether there is more than what comes into being by itself: with any worker the session of procedures does."""
    return any(part != "server" and count > (part == "sessions") for part, count in there.items())


def finish_restore(server: Server, by: str) -> Loaded:
    """Finish a restore that was interrupted behind its switch, and write it down.

    Raises:
        RestoreRefused: ONS-5203, there is none, or it can only be undone.
    """
    found, began = standing(server.store), datetime.now(UTC)
    loaded = finish(server.store, keep_failed_seconds=server.settings.process.keep_failed_seconds)
    journal = JournalText(project_of(server) / server.settings.backup.journal_folder)
    journal.write(f"restore of {found.path if found else ''} finished by {by}")
    _keep(server, Operation(run=f"r{began.timestamp():.3f}", what="restore", started=_text(began), trigger="hand",
                            asked_by=by, path=found.path if found else ""))  # fmt: skip
    return loaded


def _store(server: Server, wish: Wish) -> Store:
    """Where the keys are to go."""
    own = server.store
    if not wish.to:
        return own
    return Store(
        own.address, wish.to, connect_seconds=server.settings.redis_connect_seconds,
        command_seconds=server.settings.redis_command_seconds, wait_for_replicas=own.wait_for_replicas,
        testing=own.testing,
    )  # fmt: skip


def _refusal(server: Server, store: Store, wish: Wish) -> str:
    """Why it is not to be restored now, as far as that is known before; empty where nothing is in the way."""
    if wish.to == server.name:
        return f"`{wish.to}` is this server: leave `--to` out"
    if wish.to:
        taken = _worth_saving(_there(store))  # that much comes into being by looking
        return f"`{wish.to}` has keys already, and is to be empty" if taken else ""
    workers = int(store.command("SCARD", store.key("workers")))
    if workers and maintenance_on(store) is None:
        return f"{workers} {'worker is' if workers == 1 else 'workers are'} up and the server is open: " \
            "`onserver maintenance on` first"  # fmt: skip
    found = standing(store)
    return "" if found is None else f"a restore of `{found.path}` has begun and not ended ({found.stage})"


def _unpacked(
    meant: Meant, manifest: Manifest, wish: Wish, identities: Collection[str]
) -> tuple[Path | None, tuple[Path, ...]]:
    """Unpack files and databases beside the archive, where they are wanted."""
    if not wish.others:
        return None, ()
    if "://" in meant.path:
        raise RestoreRefused(meant.path, "files are unpacked beside an archive: copy it to this machine first")
    folder = beside(meant.path)
    with Reader(meant.place, meant.name, manifest, identities=tuple(identities)) as reader:
        return folder, tuple(restore_beside(reader, folder, wish.others))


def _saved_before(server: Server, store: Store, meant: Meant, wish: Wish) -> BackupResult | None:
    """Make a backup of what is there, unless nothing is."""
    if wish.to or not wish.save or not _worth_saving(_there(store)):
        return None
    label = f"before the restore of {meant.name}"
    result = backup_here(server, Ask(trigger="restore", label=label, asked_by=wish.by, forced_by=wish.by))
    if result.code:
        raise RestoreRefused(meant.path, f"the backup of what is there failed with {result.code}: {result.reason}")
    return result


def _no_log(meant: Meant, manifest: Manifest, wish: Wish) -> str:
    """Why the log of changes cannot be replayed; empty where it can, or is not wanted."""
    if not wish.replay:
        return ""
    if wish.keys and "storage" not in wish.keys:
        return "the log has changes of the storage, which is not restored"
    if wish.until_ms is not None and wish.until_ms < manifest.about.cut_at * 1000:
        return "it is younger than the time up to which it is to be restored: take an earlier one"
    if "://" in meant.path or not segments(Path(meant.path).parent, manifest.about.server):
        return f"{Code.NO_LOG}: there is no log of changes beside it"
    return ""


def _loaded(
    server: Server, store: Store, meant: Meant, manifest: Manifest, wish: Wish
) -> tuple[Loaded, Replayed | None]:
    if not any(member.name.startswith(f"{REDIS_PREFIX}/") for member in manifest.members):
        raise RestoreRefused(meant.path, "it has none of a server's keys")
    replayed: list[Replayed] = []

    def amend(prefix: str) -> None:
        if wish.replay:
            folder = Path(meant.path).parent
            replayed.append(replay(store, prefix, folder, manifest.about.server, until_ms=wish.until_ms))

    with Reader(meant.place, meant.name, manifest, identities=identities_of(server)) as reader:
        loaded = load(
            store,
            reader.pieces(REDIS_PREFIX),
            path=meant.path,
            only=() if wish.keys == KEYS else wish.keys,
            run=wish.run,
            by=wish.by,
            keep_failed_seconds=server.settings.process.keep_failed_seconds,
            amend=amend,
        )
    return loaded, replayed[0] if replayed else None


def _write_down(server: Server, meant: Meant, wish: Wish, began: datetime, code: int, reason: str) -> None:
    """Into the journal, the history and Redis."""
    operation = Operation(
        run=f"r{began.timestamp():.3f}",
        what="restore",
        started=_text(began),
        seconds=round((datetime.now(UTC) - began).total_seconds(), 3),
        code=code,
        reason=reason,
        asked_by=wish.by,
        path=meant.path,
        label=f"to {wish.to}" if wish.to else "",
    )
    ended = f"ended with {code}: {reason}" if code else "ended well"
    where = f" into {wish.to}" if wish.to else ""
    journal = JournalText(project_of(server) / server.settings.backup.journal_folder)
    journal.write(f"restore of {meant.path}{where} by {wish.by} {ended}")
    try:
        place = place_here(server)
        known = histories.read(place, server.name)
        histories.write(place, known.with_operation(operation, server.settings.backup.keep))
    except (OnServerError, OSError) as error:
        journal.write(f"the history was not written: {reason_of(error)}")
    if not wish.to:
        _keep(server, operation)


def _keep(server: Server, operation: Operation) -> None:
    server.store.command("HSET", server.store.key("backup"), "restored", written(operation))


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
