"""What the tests of backups share: the tasks of their project, and what an archive holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onserver.backup.folder import Folder
from onserver.backup.reading import Reader, check
from onserver.backup.stream import read
from onserver.values import decode

TASKS = '''
import os
from onserver import (
    Backup, BackupResult, backup, on_backup_shutdown, on_backup_startup, procedure, process, session,
)
from onserver.errors import OnServerError
from onserver.testing.ledger import note


def dies(where):
    """Be killed here, the first time."""
    if session().storage.get("dies") == where and process().deliveries == 1:
        note("dies", where)
        os.kill(os.getpid(), 9)


@on_backup_startup
def guard(backup: Backup):
    note("asked", backup.number, backup.attempt, backup.label, backup.forced)
    dies("asked")
    return backup.veto(201, "month-end close") if session().storage.get("closing") else None


@on_backup_shutdown
def first(result: BackupResult):
    dies("first")
    note("told first", result.code, result.number, result.attempt)


@on_backup_shutdown
def second(result: BackupResult):
    dies("second")
    note("told second", result.code, result.number, result.attempt)


@procedure
def transfer(times):
    for _ in range(times):
        with session().storage.use() as root:
            root["left"], root["right"] = root["left"] - 1, root["right"] + 1
    return times


@procedure
def ask_in_procedure():
    return backup(label="in a procedure").number


@procedure
def ask_in_block():
    with session().storage.use("block") as block:
        block["a"] = 1
        try:
            backup()
        except OnServerError as error:
            return [error.code, error.number]
'''


def told(cluster: Any) -> list[list[str]]:
    """What the shutdown hooks were told, in order: hook, code, number, attempt."""
    return [words for words in cluster.ledger if words[0].startswith("told")]


def folder_of(cluster: Any) -> Path:
    """Where its archives are."""
    return Path(cluster.project) / "backups"


def files_of(cluster: Any) -> list[str]:
    """All files in there, also those that no list shows."""
    folder = folder_of(cluster)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def archives_of(cluster: Any) -> list[str]:
    """The archives by their numbers, as in `[0001]`."""
    return [name[name.index("[") : -len(".onsb")] for name in files_of(cluster) if name.endswith("].onsb")]


def storage_in(folder: Path, name: str) -> dict[str, Any]:
    """The storage as an archive has it; every checksum is compared."""
    place = Folder(folder)
    found: dict[str, Any] = {}
    with Reader(place, name, check(place, name)) as reader:
        for entry in read(reader.pieces("redis")):
            if entry.key.startswith("st:e:"):
                fields = dict(zip(entry.texts[::2], entry.texts[1::2], strict=True))
                found[entry.key.removeprefix("st:e:")] = decode(fields[b"v"]) if fields else None
    return found
