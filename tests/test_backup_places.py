"""Where archives go: what fails leaves nothing behind, and what was there as it was."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from onserver.backup.archive import Writer
from onserver.backup.bucket import Bucket
from onserver.backup.folder import Folder
from onserver.backup.manifest import About
from onserver.backup.place import Place
from onserver.backup.places import place_of
from onserver.backup.reading import Reader, check, read_manifest
from onserver.errors import ArchiveNotFound, ArchiveNotWritten, BackupCorrupt
from tests.disks import make_read_only, small_disk
from tests.forging import small

NAME = "Shop[0001].onsb"
SECOND = "Shop[0002].onsb"


def names(place: Place) -> list[str]:
    return [found.name for found in place.found()]


def large(place: Place, name: str, megabytes: int = 4) -> None:
    with Writer(place, name) as writer:
        for number in range(megabytes):
            writer.add_bytes(f"files/{number}", os.urandom(2**20))
        writer.finish(About(server="shop"))


# ---- a folder


def test_the_places_that_a_setting_can_name(tmp_path: Path) -> None:
    own = place_of("backups", tmp_path)
    assert isinstance(own, Folder)
    assert own.path_of(NAME) == str(tmp_path / "backups" / NAME)
    assert own.found() == []
    assert own.read_small("history.json") is None
    assert own.clear() == []
    small(tmp_path)
    large(own, NAME, 1)  # the project's own folder is made when it is needed
    assert (tmp_path / "backups").stat().st_mode & 0o777 == 0o700
    assert place_of(str(tmp_path), tmp_path / "project").describe() == str(tmp_path)
    assert place_of(f"file://{tmp_path}", tmp_path / "project").describe() == str(tmp_path)
    assert isinstance(place_of("memory:///", tmp_path), Bucket)
    with pytest.raises(ArchiveNotWritten, match="it names no bucket"):
        place_of("gopher://bucket", tmp_path)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        known = small(disk)
        before = sorted(disk.iterdir())
        with pytest.raises(ArchiveNotWritten, match="no space left on device") as caught:
            large(Folder(disk), SECOND)
        assert (caught.value.kind, caught.value.path) == ("full", str(disk / SECOND))
        assert "Make room there" in caught.value.hint
        assert sorted(disk.iterdir()) == before
        assert check(Folder(disk), NAME) == known
        with pytest.raises(ArchiveNotWritten, match="no space left"):
            Folder(disk).replace("history.json", bytes(2**21))
        assert sorted(disk.iterdir()) == before


def test_a_destination_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        small(disk)
        make_read_only(disk)
        with pytest.raises(ArchiveNotWritten, match="read-only file system") as denied:
            small(disk, SECOND)
        assert denied.value.kind == "denied"
        assert names(Folder(disk)) == [NAME]


def test_a_folder_that_is_not_there_is_not_made_up(tmp_path: Path) -> None:
    with pytest.raises(ArchiveNotWritten, match="there is no folder") as missing:
        small(tmp_path / "mnt" / "disk")
    assert missing.value.kind == "missing"
    assert not (tmp_path / "mnt").exists()
    (tmp_path / "backups").write_text("a file")
    for place in (place_of("backups", tmp_path), Folder(tmp_path / "backups")):
        with pytest.raises(ArchiveNotWritten):
            large(place, NAME, 1)


OTHER_USER = """
import os, sys
from pathlib import Path
from onserver.errors import ArchiveNotWritten
from onserver.backup.folder import Folder
os.setuid(65534)
for folder in sys.argv[1:]:
    try:
        Folder(Path(folder)).writing("a.onsb")
    except ArchiveNotWritten as error:
        print(error.kind, error.problem)
"""


def test_another_user_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only the superuser can become somebody else")
    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        closed = tmp_path / "closed"
        closed.mkdir(0o700)
        command = [sys.executable, "-c", OTHER_USER, open_to_all, str(closed / "below")]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        assert told.stdout == "denied permission denied\n" * 2, told.stderr
        assert list(Path(open_to_all).iterdir()) == []


def test_small_files_are_replaced_in_one_step(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.replace("history.json", b"one")
    place.replace("history.json", b"two")
    assert place.read_small("history.json") == b"two"
    assert names(place) == ["history.json"]
    place.remove("history.json")
    with pytest.raises(ArchiveNotFound):
        place.remove("history.json")
    for name in ("../x", "", ".hidden", "a/b"):
        with pytest.raises(ValueError, match="is no name"):
            place.replace(name, b"")


def test_a_file_system_without_second_names_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "")

    monkeypatch.setattr(os, "link", refuse)
    known = small(tmp_path)
    assert check(Folder(tmp_path), NAME) == known
    with Writer(Folder(tmp_path), SECOND) as writer:
        (tmp_path / SECOND).write_text("somebody was faster")
        with pytest.raises(ArchiveNotWritten, match="file exists"):
            writer.finish(About(server="shop"))
    assert names(Folder(tmp_path)) == [NAME, SECOND]
    assert (tmp_path / SECOND).read_text() == "somebody was faster"


# ---- killed

KILLED = """
import sys
import tempfile
from pathlib import Path
from onserver.backup.archive import Writer
from onserver.backup.folder import Folder
from onserver.backup.manifest import About
with Writer(Folder(Path(sys.argv[1])), "Shop[0002].onsb") as writer:
    writer.add_bytes("redis/1", b"x" * 100000)
    writer.finish(About(server="shop"))
"""


def test_a_writer_that_is_killed_leaves_no_archive_and_what_it_leaves_is_cleared(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    known = small(tmp_path)
    environment = {**os.environ, "ONSERVER_TESTING": "1", "ONSERVER_CRASH_AT": "before_rename"}
    ended = subprocess.run([sys.executable, "-c", KILLED, tmp_path], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert names(place) == [NAME]
    assert len(list(tmp_path.iterdir())) == 2
    with Writer(place, "Shop[0003].onsb") as writer:  # of one that lives nothing is taken
        assert place.clear() == [SECOND]
        assert place.clear() == []
        writer.finish(About(server="shop"))
    assert names(place) == [NAME, "Shop[0003].onsb"]
    assert len(list(tmp_path.iterdir())) == 2
    assert check(place, NAME) == known


# ---- without the extra

EXTRA = "backports.zstd" if sys.version_info < (3, 14) else "compression.zstd"

WITHOUT = """
import sys
sys.modules[sys.argv[2]] = None
from pathlib import Path
from onserver.errors import MissingExtra
from onserver.backup.archive import Writer
from onserver.backup.places import place_of
try:
    place = place_of(sys.argv[3], Path(sys.argv[1]))
    Writer(place, "a.onsb", recipients=sys.argv[4:])
except MissingExtra as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "folder", "recipients"),
    [
        (EXTRA, "b", []),
        ("pyrage", "b", ["age1x"]),
        ("obstore", "memory:///", []),
    ],
)
def test_a_missing_extra_is_named_before_anything_is_written(
    tmp_path: Path, module: str, folder: str, recipients: list[str]
) -> None:
    command = [sys.executable, "-c", WITHOUT, str(tmp_path), module, folder, *recipients]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.stdout == f"`{module}` is not installed. `pip install 'onserver[backup]'` brings it.\n", told.stderr
    assert list(tmp_path.iterdir()) == []


BACKUP_WITHOUT = """
import sys
sys.modules[sys.argv.pop()] = None
from onserver.cli import main
sys.argv = ["onserver", "backup", "now"]
main()
"""


def test_a_backup_without_the_extra_says_what_brings_it(tmp_path: Path) -> None:
    project = tmp_path / "shop"
    (project / "config").mkdir(parents=True)
    (project / "config" / "onserver.toml").write_text("")
    command = [sys.executable, "-c", BACKUP_WITHOUT, EXTRA]
    told = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert told.returncode == 3, told.stderr
    assert f"1409: `{EXTRA}` is not installed. `pip install 'onserver[backup]'` brings it." in told.stderr
    assert [found.name for found in Folder(project / "backups").found()] == ["backupHistory.json"]


# ---- a bucket


@pytest.mark.parametrize("url", ["memory:///", "memory:///below/this"])
def test_a_bucket_is_a_place_like_a_folder(url: str) -> None:
    place = Bucket(url)
    large(place, SECOND, 20)
    large(place, NAME, 1)
    assert names(place) == [NAME, SECOND]
    known = check(place, SECOND)
    assert read_manifest(place, SECOND) == known
    with Reader(place, SECOND, known) as reader:
        assert [len(reader.read()) for _ in reader] == [2**20] * 20
    with pytest.raises(ArchiveNotWritten, match="file exists"):
        large(place, NAME, 1)
    place.replace("history.json", b"one")
    place.replace("history.json", b"two")
    assert place.read_small("history.json") == b"two"
    assert place.read_small("other.json") is None
    place.remove(NAME)
    assert names(place) == [SECOND, "history.json"]
    for ask in (lambda: place.remove(NAME), lambda: check(place, NAME)):
        with pytest.raises(ArchiveNotFound):
            ask()


def test_an_upload_that_is_given_up_leaves_nothing() -> None:
    place = Bucket("memory:///")
    with pytest.raises(RuntimeError), Writer(place, NAME) as writer:
        writer.add_bytes("files/x", os.urandom(2**25))
        raise RuntimeError
    assert place.found() == []
    with Writer(place, NAME) as writer:
        writer.add_bytes("files/x", os.urandom(2**25))
        place.replace(NAME, b"somebody was faster")
        with pytest.raises(ArchiveNotWritten, match="file exists"):
            writer.finish(About(server="shop"))
    assert place.read_small(NAME) == b"somebody was faster"


def test_a_damaged_object_is_refused() -> None:
    place = Bucket("memory:///")
    large(place, NAME, 1)
    data = bytearray(place.read_small(NAME) or b"")
    data[len(data) // 2] ^= 1
    place.replace(NAME, bytes(data))
    with pytest.raises(BackupCorrupt, match="damaged at `files/0`") as caught:
        check(place, NAME)
    assert caught.value.path == f"memory:///{NAME}"
