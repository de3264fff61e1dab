"""What is saved besides the server's keys, and under which names it is in the archive.

    project/config/… tasks/… workers/…      the project, without what Python makes again
    files/project/… files/root/…            files and folders, by their paths in the project or on the machine
    sqlite/NAME.db                          a copy through SQLite's online backup
    postgresql/NAME.dump/00001.bin …        a dump by `pg_dump`, in pieces

Each is consistent in itself; no two of them are of one instant. What cannot be saved does not stop the others: the
backup is partial, and says in its manifest and to whoever asked what is missing.

The keys that sign messages, and whatever else is in `.onserver`, are in no archive, unless `files` names them: who can
read backups must not be able to give orders. Bring them to a new machine by another way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from onserver.backup.archive import Writer
from onserver.backup.folders import save_path
from onserver.backup.manifest import Problem, Source
from onserver.backup.postgresql import save_postgresql, without_password
from onserver.backup.scratch import scratch_of
from onserver.backup.sqlite_files import save_sqlite
from onserver.errors import SourceFailed

#: The folders that are the project.
PROJECT_FOLDERS: Final = ("config", "tasks", "workers")


@dataclass(frozen=True)
class Content:
    """What is to be saved, as the settings name it; paths are the project's, or absolute.

    Attributes:
        project: The project's own folders.
        components: Folders of components that lie in the project's, below it.
        files: Files and folders.
        sqlite: Name → path.
        postgresql: Name → address.
    """

    project: bool = True
    components: Sequence[str] = ()
    files: Sequence[str] = ()
    sqlite: Mapping[str, str] = field(default_factory=dict[str, str])
    postgresql: Mapping[str, str] = field(default_factory=dict[str, str])


def save(writer: Writer, content: Content, project: Path, never: Sequence[Path] = ()) -> list[Problem]:
    """Save everything, and note in the manifest where it is from.

    Args:
        writer: The archive.
        content: What.
        project: The project's folder.
        never: What is left out where it is found on the way: archives, keys. `.onserver` always is.

    Returns:
        What is missing; it is in the manifest as well.

    Raises:
        ArchiveNotWritten: ONS-5205.
    """
    problems: list[Problem] = []
    for problem in _save_all(writer, content, project.resolve(), [*never, project / ".onserver"]):
        writer.complain(problem)
        problems.append(problem)
    return problems


def _save_all(writer: Writer, content: Content, project: Path, never: Sequence[Path]) -> Iterator[Problem]:
    if content.project:
        for name in (*PROJECT_FOLDERS, *content.components):
            if (project / name).is_dir():
                writer.note(Source("project", str(project / name), f"project/{name}"))
                yield from save_path(writer, f"project/{name}", project / name, never)
    for text in content.files:
        path = project / Path(text).expanduser()
        name = member_of(path, project)
        writer.note(Source("files", str(path), name))
        yield from save_path(writer, name, path, never)
    for name, text in content.sqlite.items():
        yield from _save_sqlite(writer, name, project / Path(text).expanduser(), project)
    for name, address in content.postgresql.items():
        yield from _save_postgresql(writer, name, address)


def member_of(path: Path, project: Path) -> str:
    """The name under which a file or folder is in the archive."""
    path = path.resolve() if ".." in path.parts else path
    if path == project:
        return "files/project"
    if path.is_relative_to(project):
        return f"files/project/{path.relative_to(project)}"
    return f"files/root{path}".rstrip("/")


def _save_sqlite(writer: Writer, name: str, path: Path, project: Path) -> Iterator[Problem]:
    member = f"sqlite/{name}.db"
    try:
        save_sqlite(writer, member, path, scratch_of(project))
    except (SourceFailed, OSError) as failed:  # the second: there is no room for a copy, or no scratch folder
        yield _problem(str(path), failed)
    else:
        writer.note(Source("sqlite", str(path), member))


def _save_postgresql(writer: Writer, name: str, address: str) -> Iterator[Problem]:
    prefix = f"postgresql/{name}.dump"
    try:
        save_postgresql(writer, prefix, address)
    except (SourceFailed, OSError) as failed:  # the second: the program cannot be started
        yield _problem(without_password(address), failed)
    else:
        writer.note(Source("postgresql", without_password(address), prefix))


def _problem(source: str, error: SourceFailed | OSError) -> Problem:
    return Problem(source, error.problem if isinstance(error, SourceFailed) else str(error))
