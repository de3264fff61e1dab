"""Getting back out of an archive what was saved besides the server's keys.

Without being told otherwise, everything goes into a new folder beside the archive, of the same name, whatever its
original place: files and the project as they were, data below `Data`. That folder appears when all of it is there and
was compared to the manifest. Into their original places files and databases go only when somebody says so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Final

from onserver.backup.manifest import MANIFEST_NAME, Manifest, Member, encode
from onserver.backup.reading import Reader
from onserver.errors import RestoreRefused, SourceFailed

#: The kinds of content, which are the first parts of members' names.
FILES: Final = frozenset({"project", "files"})
DATA: Final = frozenset({"sqlite", "postgresql"})
_ROOM: Final = 2**26


def restore_beside(reader: Reader, destination: Path, only: Collection[str] = ()) -> list[Path]:
    """Unpack an archive into a folder that is not there yet.

    Args:
        reader: The archive, opened with the manifest that `check` answered.
        destination: The folder to make; `beside` says which one it is by default.
        only: Some of project, files, sqlite, postgresql, redis; none: all but redis, which `restore` loads.

    Returns:
        The files, in the order in which they are in the archive.

    Raises:
        RestoreRefused: ONS-5203, the folder is there already, or its disk has no room for this.
        BackupCorrupt: ONS-5202; nothing is left of what was unpacked.
        SourceFailed: ONS-5207, a file could not be written; likewise.
    """
    wanted = frozenset(only) or FILES | DATA
    if os.path.lexists(destination):
        raise RestoreRefused(reader.path, f"`{destination}` is there already, and nothing is overwritten")
    _require_room(reader, destination, wanted)
    part = destination.with_name(f".{destination.name}.{token_hex(4)}.part")
    try:
        part.mkdir(mode=0o700)
        unpacked = list(_unpack(reader, part, wanted))
        (part / MANIFEST_NAME).write_bytes(encode(reader.manifest))
        part.rename(destination)
    except OSError as error:
        raise SourceFailed(str(error.filename or destination), error.strerror or str(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)  # it is gone after the renaming, and else may go as far as it can
    return [destination / path for path in unpacked]


def beside(path: str) -> Path:
    """The folder into which an archive is restored by default: named like it, and beside it."""
    archive = Path(path)
    return archive.with_name(archive.stem)


def restore_originals(reader: Reader, only: Collection[str] = FILES) -> list[Path]:
    """Put the project's files, and files and folders, back into their places, over what is there under their names.

    What is there beside them stays. Each file is replaced in one step, when all of it was read and compared.

    Args:
        reader: The archive, opened with the manifest that `check` answered.
        only: `project`, `files`, or both.

    Returns:
        The files.

    Raises:
        BackupCorrupt: ONS-5202; the files before that one are restored, and no other.
        SourceFailed: ONS-5207, likewise.
    """
    restored: list[Path] = []
    for member in reader:
        path = _original(reader.manifest, member) if _kind(member) in only and _kind(member) in FILES else None
        if path is None:
            continue
        part = path.with_name(f".{path.name[:200]}.{token_hex(4)}.part")
        try:
            if member.folder:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(reader, member, part, durable=True)  # before it takes the other one's name
            part.replace(path)
        except OSError as error:
            raise SourceFailed(str(path), error.strerror or str(error)) from error
        finally:
            part.unlink(missing_ok=True)
        restored.append(path)
    return restored


def _original(manifest: Manifest, member: Member) -> Path | None:
    """Where a member was; the sources of the manifest say it."""
    for source in manifest.sources:
        if member.name == source.prefix:
            return Path(source.origin)
        if member.name.startswith(f"{source.prefix}/"):
            return Path(source.origin) / member.name.removeprefix(f"{source.prefix}/")
    return None


def _unpack(reader: Reader, folder: Path, wanted: Collection[str]) -> Iterator[Path]:
    dumps = {source.prefix for source in reader.manifest.sources if source.kind == "postgresql"}
    modes: list[tuple[Path, Member]] = []
    last = None
    for member in reader:
        if _kind(member) not in wanted:
            continue
        prefix = member.name.rpartition("/")[0]
        if _kind(member) == "postgresql":  # the pieces of one dump are one file again
            if prefix not in dumps:
                continue  # what there is of one that failed
            path = Path("Data", prefix)
        else:
            path = Path(member.name) if _kind(member) in FILES else Path("Data", member.name)
        target = folder / path
        if member.folder:
            target.mkdir(parents=True, exist_ok=True)
            modes.append((target, member))
            continue
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(reader, member, target, more=path == last)
        if path != last:
            yield path
        last = path
    for target, member in reversed(modes):
        _as_it_was(target, member)


def _write(reader: Reader, member: Member, path: Path, *, more: bool = False, durable: bool = False) -> None:
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_APPEND if more else os.O_CREAT | os.O_EXCL)
    with os.fdopen(os.open(path, flags, 0o600), "ab" if more else "wb") as file:
        for chunk in reader.chunks():
            file.write(chunk)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    _as_it_was(path, member)


def _as_it_was(path: Path, member: Member) -> None:
    path.chmod(member.mode & 0o777)
    if member.modified:
        os.utime(path, (member.modified, member.modified))


def _kind(member: Member) -> str:
    return member.name.partition("/")[0]


def _require_room(reader: Reader, destination: Path, wanted: Collection[str]) -> None:
    needed = sum(member.size for member in reader.manifest.members if _kind(member) in wanted)
    if not destination.parent.is_dir():
        raise RestoreRefused(reader.path, f"there is no folder `{destination.parent}`")
    free = shutil.disk_usage(destination.parent).free
    if needed + _ROOM > free:
        raise RestoreRefused(reader.path, f"it needs {needed:,} bytes, and `{destination.parent}` has {free:,} free")
