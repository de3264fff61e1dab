"""Files, folders and SQLite files are saved as they are found, and come back beside the archive or in their places."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, closing, contextmanager
from pathlib import Path

import pytest

from onserver.backup.archive import Writer
from onserver.backup.folder import Folder
from onserver.backup.manifest import About, Manifest, Problem
from onserver.backup.reading import Reader, check
from onserver.backup.restoring import beside, restore_beside, restore_originals
from onserver.backup.scratch import scratch, scratch_of
from onserver.backup.sources import Content, save
from onserver.backup.sqlite_files import copy_database, restore_sqlite
from onserver.errors import BackupCorrupt, RestoreRefused, SourceFailed
from onserver.testing import wait_for
from tests.disks import small_disk

NAME = "Shop[0001].onsb"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for name, text in {
        "config/onserver.toml": 'name = "shop"',
        "config/keys.json": "secret",
        "tasks/shop.py": "x = 1",
        "tasks/__pycache__/shop.pyc": "compiled",
        "workers/server.py": "y = 2",
        ".onserver/keys.json": "secret",
        "backups/Shop[0000].onsb": "an archive",
        "uploads/a.txt": "a",
        "uploads/deep/b.txt": "b",
        "notes.txt": "n",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return project


def backed_up(project: Path, content: Content, *, never: tuple[Path, ...] = ()) -> tuple[Manifest, list[Problem]]:
    place = Folder(project / "backups")
    with Writer(place, NAME) as writer:
        problems = save(writer, content, project, [project / "backups", *never])
        manifest = writer.finish(About(server="shop"))
    assert check(place, NAME) == manifest
    assert list(manifest.problems) == problems
    return manifest, problems


def files(manifest: Manifest) -> list[str]:
    return [member.name for member in manifest.members if not member.folder and member.name != "format.json"]


@contextmanager
def reading(project: Path) -> Iterator[Reader]:
    place = Folder(project / "backups")
    with Reader(place, NAME, check(place, NAME)) as reader:
        yield reader


# ---- files and folders


def test_the_project_is_saved_without_its_keys(project: Path) -> None:
    manifest, problems = backed_up(project, Content(), never=(project / "config/keys.json",))
    assert not problems
    assert files(manifest) == ["project/config/onserver.toml", "project/tasks/shop.py", "project/workers/server.py"]
    assert [source.kind for source in manifest.sources] == ["project"] * 3


def test_files_and_folders_are_saved_by_their_paths(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.txt").write_text("c")
    content = Content(project=False, files=("uploads", "notes.txt", "../elsewhere", "uploads/deep"))
    manifest, problems = backed_up(project, content)
    assert not problems
    outside = f"files/root{tmp_path}/elsewhere/c.txt"
    assert files(manifest) == [
        "files/project/uploads/a.txt", "files/project/uploads/deep/b.txt", "files/project/notes.txt", outside,
    ]  # fmt: skip
    with reading(project) as reader:
        restored = restore_beside(reader, beside(str(project / "backups" / NAME)))
    assert restored[0] == project / "backups" / "Shop[0001]" / "files/project/uploads/a.txt"
    assert [path.read_text() for path in restored] == ["a", "b", "n", "c"]


def test_what_is_named_is_saved_although_it_is_left_out_elsewhere(project: Path) -> None:
    manifest, _ = backed_up(project, Content(project=False, files=(".onserver/keys.json",)))
    assert files(manifest) == ["files/project/.onserver/keys.json"]
    (project / "backups" / NAME).unlink()
    whole, problems = backed_up(project, Content(project=False, files=(".",)))
    assert not problems
    assert "files/project/notes.txt" in files(whole)
    assert not [name for name in files(whole) if "keys.json" in name and ".onserver" in name]
    assert not [name for name in files(whole) if "backups" in name]


def test_a_missing_file_makes_a_partial_backup(project: Path) -> None:
    (project / "uploads" / "nowhere").symlink_to("gone")
    content = Content(files=("gone.txt", "uploads", "gone"), sqlite={"shop": "data/shop.db"})
    manifest, problems = backed_up(project, content)
    assert [str(problem) for problem in problems] == [
        f"{project}/gone.txt: there is no such file or folder",
        f"{project}/uploads/nowhere: it is a link to what is not there",
        f"{project}/gone: there is no such file or folder",
        f"{project}/data/shop.db: there is no such file",
    ]
    assert "files/project/uploads/a.txt" in files(manifest)
    assert "project/tasks/shop.py" in files(manifest)


def test_links_are_followed_and_lead_to_nothing_secret(project: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "r.txt").write_text("r")
    (project / "uploads" / "linked").symlink_to(tmp_path / "real")
    (project / "uploads" / "file").symlink_to(tmp_path / "real" / "r.txt")
    (project / "uploads" / "around").symlink_to(project / "uploads")
    (project / "uploads" / "keys").symlink_to(project / ".onserver" / "keys.json")
    with socket.socket(socket.AF_UNIX) as listening:
        os.mkfifo(project / "uploads" / "pipe")
        with chdir(project / "uploads"):  # the path of a socket may be too long for one
            listening.bind("socket")
        manifest, problems = backed_up(project, Content(project=False, files=("uploads",)))
    assert [str(problem) for problem in problems] == [
        f"{project}/uploads/around: it is a link to a folder that it is in"
    ]
    found = {name.removeprefix("files/project/uploads/") for name in files(manifest)}
    assert found == {"a.txt", "deep/b.txt", "file", "linked/r.txt"}


def test_names_that_are_no_text_are_said(project: Path) -> None:
    (project / "uploads" / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    _, problems = backed_up(project, Content(project=False, files=("uploads",)))
    assert [str(problem) for problem in problems] == [f"{project}/uploads/caf\\xe9.txt: its name is no UTF-8"]


def test_permissions_and_times_come_back(project: Path) -> None:
    (project / "uploads" / "a.txt").chmod(0o640)
    os.utime(project / "uploads" / "a.txt", (1_000_000_000, 1_000_000_000))
    (project / "uploads" / "deep").chmod(0o555)
    (project / "uploads" / "set").write_text("x")
    (project / "uploads" / "set").chmod(0o4755)
    backed_up(project, Content(project=False, files=("uploads",)))
    with reading(project) as reader:
        restore_beside(reader, project / "out")
    out = project / "out" / "files/project/uploads"
    assert (out / "a.txt").stat().st_mode & 0o7777 == 0o640
    assert (out / "a.txt").stat().st_mtime == 1_000_000_000
    assert (out / "deep").stat().st_mode & 0o7777 == 0o555
    assert (out / "set").stat().st_mode & 0o7777 == 0o755  # nobody becomes somebody else by a restore


# ---- restoring


def test_a_restore_overwrites_nothing_and_leaves_nothing_half(project: Path) -> None:
    backed_up(project, Content(files=("uploads",)))
    (project / "there").mkdir()
    with reading(project) as reader, pytest.raises(RestoreRefused, match="is there already"):
        restore_beside(reader, project / "there")
    with reading(project) as reader, pytest.raises(RestoreRefused, match="there is no folder"):
        restore_beside(reader, project / "none" / "below")
    place, archive = Folder(project / "backups"), project / "backups" / NAME
    known = check(place, NAME)
    data = bytearray(archive.read_bytes())
    data[len(data) // 3] ^= 1
    archive.write_bytes(data)
    with Reader(place, NAME, known) as reader, pytest.raises(BackupCorrupt):
        restore_beside(reader, project / "out")
    assert not [path for path in project.iterdir() if "out" in path.name]


def test_a_restore_looks_for_room_first(project: Path, tmp_path: Path) -> None:
    backed_up(project, Content(files=("uploads",)))
    with small_disk(tmp_path / "disk") as disk:
        with reading(project) as reader, pytest.raises(RestoreRefused, match=r"it needs .* bytes, and"):
            restore_beside(reader, disk / "out")
        assert list(disk.iterdir()) == []


def test_parts_are_restored_alone(project: Path) -> None:
    backed_up(project, Content(files=("uploads",)))
    with reading(project) as reader:
        restored = restore_beside(reader, project / "out", only={"project"})
    assert {path.relative_to(project / "out").parts[0] for path in restored} == {"project"}
    assert (project / "out" / "manifest.json").is_file()


def test_files_go_back_into_their_places_when_told(project: Path, tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("c")
    backed_up(project, Content(files=("uploads", str(tmp_path / "c.txt"))))
    (project / "uploads" / "a.txt").write_text("changed")
    (project / "uploads" / "new.txt").write_text("new")
    (project / "uploads" / "deep" / "b.txt").unlink()
    (project / "uploads" / "deep").rmdir()
    (project / "tasks" / "shop.py").write_text("changed")
    (tmp_path / "c.txt").unlink()
    with reading(project) as reader:
        restored = restore_originals(reader, {"files"})
    assert (project / "uploads" / "a.txt").read_text() == "a"
    assert (project / "uploads" / "deep" / "b.txt").read_text() == "b"
    assert (project / "uploads" / "new.txt").read_text() == "new"
    assert (tmp_path / "c.txt").read_text() == "c"
    assert (project / "tasks" / "shop.py").read_text() == "changed"
    assert len(restored) == 3
    with reading(project) as reader:
        restore_originals(reader)
    assert (project / "tasks" / "shop.py").read_text() == "x = 1"


# ---- SQLite

TRANSFERS = """
import sqlite3, sys
path, mode = sys.argv[1:]
db = sqlite3.connect(path, timeout=60, isolation_level=None)
db.execute(f"PRAGMA journal_mode={mode}")
db.execute("PRAGMA synchronous=OFF")
db.execute("CREATE TABLE account(name TEXT PRIMARY KEY, balance INT, note TEXT)")
db.executemany("INSERT INTO account VALUES (?, 100, ?)", [(str(n), "x" * 2000) for n in range(5000)])
db.execute("CREATE TABLE transfer(n INT)")
print("ready", flush=True)
for n in range(10**9):
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE account SET balance = balance - 1 WHERE name = ?", (str(n % 5000),))
    db.execute("UPDATE account SET balance = balance + 1 WHERE name = ?", (str((n * 7 + 1) % 5000),))
    db.execute("INSERT INTO transfer VALUES (?)", (n,))
    db.execute("COMMIT")
"""


@contextmanager
def transfers(path: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    """Somebody moves amounts between accounts as fast as he can; their sum is always 500,000."""
    command = [sys.executable, "-c", TRANSFERS, str(path), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
        try:
            assert program.stdout
            assert program.stdout.readline() == "ready\n"
            yield program
        finally:
            program.kill()


def transferred(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=60)) as database:
        (count,) = database.execute("SELECT count(*) FROM transfer").fetchone()
        return int(count)


def balance(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (total,) = database.execute("SELECT sum(balance) FROM account").fetchone()
        return total, transferred(path)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_that_is_written_to_is_saved_as_of_one_instant(project: Path, mode: str) -> None:
    path = project / "data" / "shop.db"
    path.parent.mkdir()
    with transfers(path, mode) as program:
        before = transferred(path)
        manifest, problems = backed_up(project, Content(sqlite={"shop": "data/shop.db"}))
        wait_for(lambda: transferred(path) > before, what="a transfer after the copy began")
        assert program.poll() is None, "the writer failed meanwhile"
    assert not problems
    assert "sqlite/shop.db" in files(manifest)
    with reading(project) as reader:
        restore_beside(reader, project / "out", only={"sqlite"})
    total, count = balance(project / "out" / "Data" / "sqlite" / "shop.db")
    assert total == 500_000
    assert count >= before
    assert list(scratch_of(project).iterdir()) == []


def test_a_database_goes_back_into_its_place_while_others_read_it(project: Path) -> None:
    original, copy = project / "shop.db", project / "copy.db"
    with closing(sqlite3.connect(original)) as database, database:
        database.execute("CREATE TABLE t(n)")
        database.execute("INSERT INTO t VALUES (1)")
    copy_database(original, copy)
    with closing(sqlite3.connect(original)) as database, database:
        database.execute("UPDATE t SET n = 2")
        database.execute("CREATE TABLE other(n)")
    with closing(sqlite3.connect(original)) as reader:
        assert reader.execute("SELECT n FROM t").fetchall() == [(2,)]
        restore_sqlite(copy, original)
        assert reader.execute("SELECT n FROM t").fetchall() == [(1,)]
        assert reader.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]


def test_what_is_no_database_is_said(project: Path) -> None:
    (project / "text.db").write_text("this is no database, whatever its name says" * 100)
    manifest, problems = backed_up(project, Content(sqlite={"text": "text.db"}))
    assert [str(problem) for problem in problems] == [f"{project}/text.db: file is not a database"]
    assert "sqlite/text.db" not in files(manifest)
    with pytest.raises(SourceFailed, match="file is not a database"):
        restore_sqlite(project / "text.db", project / "other.db")


def test_a_copy_for_which_there_is_no_room_is_said(project: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(project / "shop.db")) as database, database:
        database.execute("CREATE TABLE t(x)")
        database.executemany("INSERT INTO t VALUES (?)", [(os.urandom(1000),) for _ in range(3000)])
    with small_disk(project / ".onserver" / "scratch"):
        _, problems = backed_up(project, Content(files=("uploads",), sqlite={"shop": "shop.db"}))
        assert [str(problem) for problem in problems] == [f"{project}/shop.db: database or disk is full"]
    (project / ".onserver" / "scratch").rmdir()
    (project / ".onserver" / "scratch").write_text("no folder")
    (project / "backups" / NAME).unlink()
    _, problems = backed_up(project, Content(files=("uploads",), sqlite={"shop": "shop.db"}))
    assert [problem.source for problem in problems] == [f"{project}/shop.db"]


def test_a_damaged_database_is_said(project: Path) -> None:
    path = project / "shop.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE t(n INT, x TEXT)")
        database.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * 500) for n in range(1000)])
        database.execute("CREATE INDEX i ON t(n)")
    data = bytearray(path.read_bytes())
    data[40_960:45_056] = bytes(4096)
    path.write_bytes(data)
    manifest, problems = backed_up(project, Content(sqlite={"shop": "shop.db"}))
    assert len(problems) == 1
    assert "sqlite/shop.db" not in files(manifest)


# ---- scratch folders

HOLDS_ONE = """
import sys
from pathlib import Path
from onserver.backup.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "dump").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_scratch_folders_of_the_dead_are_removed_and_no_others(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS_ONE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        theirs = Path(program.stdout.readline().strip())
        with scratch(tmp_path) as ours:
            assert ours.stat().st_mode & 0o777 == 0o700
            assert (theirs / "dump").is_file()
        assert not ours.exists()
        program.kill()
    with scratch(tmp_path):
        wait_for(lambda: not theirs.exists(), what="the dead one's folder to be removed")
