"""The settings of backups: the table `[backup]` of the settings file.

[backup]
folder = "/srv/backups/shop"                            # or s3://bucket/shop
schedule = "every day at 02:00 in Europe/Paris"
keep = 7
sqlite = ["data/shop.db"]
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

_YEAR: Final = 366 * 86_400.0


class BackupSettings(Struct, frozen=True, kw_only=True):
    """When a backup is made, of what, where to, and what becomes of one that fails."""

    folder: Annotated[
        str,
        Meta(min_length=1, description="where archives go: a folder, from the project's on, or s3://, gs://, az://"),
    ] = "backups"
    schedule: Annotated[
        str, Meta(min_length=1, description="when: never, every day at 02:00, every 2 weeks on monday at 02:00 …")
    ] = "never"
    only_if_changed: Annotated[
        bool, Meta(description="a scheduled one is left out while no storage and no process has changed since the last")
    ] = False
    keep: Annotated[int, Meta(ge=0, le=9999, description="archives that are kept, the last ones; 0 keeps all")] = 3
    remove: Annotated[
        Literal["after", "before"],
        Meta(description="when older ones are removed: after the new one is made, or before"),
    ] = "after"
    retry_seconds: Annotated[
        float,
        Meta(ge=0, le=_YEAR, description="a scheduled one that failed is tried again after it; 0: at its next date"),
    ] = 0
    attempts: Annotated[
        int, Meta(ge=0, le=1000, description="after so many failures in a row none is started by schedule; 0: no limit")
    ] = 0
    journal_folder: Annotated[
        str, Meta(min_length=1, description="where `Backup Journal[001].txt` is written, from the project's folder on")
    ] = ".onserver/logs"
    verify: Annotated[bool, Meta(description="each archive is read back and loaded into a Redis of its own")] = True
    verbose: Annotated[bool, Meta(description="the backup journal has each step, and not only starts and errors")] = (
        True
    )
    compression: Annotated[Literal["none", "fast", "compact"], Meta(description="how hard archives are compressed")] = (
        "fast"
    )
    seal_to: Annotated[
        tuple[str, ...], Meta(description="age recipients, or files of them, for whom archives are encrypted")
    ] = ()
    identities: Annotated[
        tuple[str, ...], Meta(description="files of age identities with which archives are verified and restored")
    ] = ()
    redis: Annotated[bool, Meta(description="the server's keys are saved: storage, processes, queues, schedules")] = (
        True
    )
    project: Annotated[bool, Meta(description="config/, tasks/ and workers/ of the project are saved")] = True
    files: Annotated[tuple[str, ...], Meta(description="files and folders that are saved as well")] = ()
    sqlite: Annotated[tuple[str, ...], Meta(description="SQLite files that are saved, whoever writes to them")] = ()
    postgresql: Annotated[
        tuple[str, ...], Meta(description="PostgreSQL databases that are saved, as postgresql://user@host/name")
    ] = ()
    log: Annotated[bool, Meta(description="every change of the storage is appended to a log beside the archives")] = (
        False
    )
    log_fsync: Annotated[
        Literal["commit", "second", "never"], Meta(description="how often the log is forced to the disk")
    ] = "second"
