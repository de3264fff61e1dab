"""An archive is read as it was written, by others too, and nothing of it can change without being named."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onserver.backup.archive import Writer
from onserver.backup.folder import Folder
from onserver.backup.manifest import FORMAT, MANIFEST_NAME, SUMS_NAME, About, Manifest, Problem, Source
from onserver.backup.packing import zstd
from onserver.backup.reading import Reader, check, read_manifest
from onserver.errors import ArchiveNotFound, ArchiveNotWritten, ArchiveTooNew, BackupCorrupt, BackupError
from tests.forging import FORMAT as FORMAT_TEXT
from tests.forging import entry, forge, member, small

NAME = "Shop[0001].onsb"


def contents(place: Folder, name: str = NAME, manifest: Manifest | None = None) -> dict[str, bytes]:
    with Reader(place, name, manifest) as reader:
        return {found.name: reader.read() for found in reader}


def refused(folder: Path, name: str, member_name: str, problem: str, error: type[BackupError] = BackupCorrupt) -> None:
    """Both ways of reading refuse the archive, and name the member."""
    with pytest.raises(error) as caught:
        check(Folder(folder), name)
    told: Any = caught.value
    assert problem in str(told)
    assert told.path == str(folder / name)
    if error is BackupCorrupt:
        assert told.member == member_name
        assert "Take another one" in told.hint


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- as it should be


@pytest.mark.parametrize("compression", ["none", "fast", "compact"])
def test_an_archive_is_read_as_it_was_written(tmp_path: Path, compression: str) -> None:
    (tmp_path / "data").write_bytes(b"d" * 3_000_000)
    long = f"files/{'ü' * 100}/{'b' * 200}"
    with Writer(Folder(tmp_path), NAME, compression=compression) as writer:
        writer.add_pieces("redis", (bytes([number]) * 5_000_000 for number in range(5)))
        writer.add_bytes(long, b"long", modified=7)
        writer.add_bytes("files/nothing", b"")
        writer.add_folder("files/empty", 0o750)
        assert not writer.add_file("files/data", tmp_path / "data")
        writer.note(Source("files", "/data", "files/data"))
        writer.complain(Problem("/gone", "there is no such file"))
        written = writer.finish(About(server="shop", epoch=3, number=1, started=1.5, label="L", facts={"a": [1]}))
    place = Folder(tmp_path)
    assert check(place, NAME) == written == read_manifest(place, NAME)
    assert written.about == About(server="shop", epoch=3, number=1, started=1.5, label="L", facts={"a": [1]})
    assert [str(problem) for problem in written.problems] == ["/gone: there is no such file"]
    assert written.format == FORMAT
    names = [found.name for found in written.members]
    assert names[:4] == ["format.json", "redis/00001.bin", "redis/00002.bin", "redis/00003.bin"]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    found = contents(place, NAME, written)
    assert found[long] == b"long"
    assert found["files/nothing"] == b""
    assert found["files/data"] == b"d" * 3_000_000
    with Reader(place, NAME, written) as reader:
        assert b"".join(reader.pieces("redis")) == b"".join(bytes([number]) * 5_000_000 for number in range(5))


def test_others_read_it_too(tmp_path: Path) -> None:
    small(tmp_path)
    with zstd().open(tmp_path / NAME) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        found = {info.name: tar.extractfile(info) for info in tar}
        assert [name for name, file in found.items() if file is None] == ["files/project/empty"]
    with zstd().open(tmp_path / NAME) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        data = {info.name: file.read() for info in tar if (file := tar.extractfile(info))}
    sums = data.pop(SUMS_NAME).decode()
    assert sums == "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in data.items())
    assert msgspec.json.decode(data[MANIFEST_NAME])["about"]["server"] == "shop"


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the program `zstd` is not installed")
def test_it_can_be_opened_without_this_program(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "--zstd", "-xf", tmp_path / NAME, "-C", tmp_path / "out"], check=True)
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "out", check=True)
    assert (tmp_path / "out/files/project/note.txt").read_text() == "hello"
    subprocess.run(["zstd", "--quiet", "--test", tmp_path / NAME], check=True)


def test_nothing_of_it_has_to_fit_into_memory(tmp_path: Path) -> None:
    size = 40_000_000
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        with Writer(Folder(tmp_path), NAME) as writer:
            writer.add_file("files/large", tmp_path / "large")
            writer.add_pieces("redis", (b"x" * 1_000_000 for _ in range(40)))
            written = writer.finish(About(server="shop"))
        with Reader(Folder(tmp_path), NAME, check(Folder(tmp_path), NAME)) as reader:
            read = sum(len(chunk) for _ in reader for chunk in reader.chunks())
            assert read == written.size() - written.members[0].size  # format.json is given to nobody
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size


def test_an_archive_is_never_overwritten(tmp_path: Path) -> None:
    small(tmp_path)
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(ArchiveNotWritten, match="file exists") as caught:
        small(tmp_path)
    assert caught.value.kind == "exists"
    with Writer(Folder(tmp_path), "Shop[0002].onsb") as writer:
        (tmp_path / "Shop[0002].onsb").write_text("somebody was faster")
        with pytest.raises(ArchiveNotWritten, match="file exists"):
            writer.finish(About(server="shop"))
    assert (tmp_path / "Shop[0002].onsb").read_text() == "somebody was faster"
    assert (tmp_path / NAME).read_bytes() == before
    assert listed(tmp_path) == [NAME, "Shop[0002].onsb"]


def test_what_is_not_finished_is_not_there(tmp_path: Path) -> None:
    def fails() -> Iterator[bytes]:
        yield b"x" * 100
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"), Writer(Folder(tmp_path), NAME) as writer:
        writer.add_pieces("redis", fails())
    with Writer(Folder(tmp_path), NAME) as writer:
        writer.add_bytes("redis/1", b"")
        assert Folder(tmp_path).found() == []
        assert len(listed(tmp_path)) == 1
    assert listed(tmp_path) == []
    with pytest.raises(ArchiveNotFound):
        check(Folder(tmp_path), NAME)


def test_a_writer_refuses_names_that_no_reader_would_take(tmp_path: Path) -> None:
    with Writer(Folder(tmp_path), NAME) as writer:
        for name in ("", "/etc/passwd", "a/../b", "..", "a//b", "./a", "a\0b", "x" * 300, "a/" * 3000 + "a", "\udcff"):
            with pytest.raises(ValueError, match="cannot be a member"):
                writer.add_bytes(name, b"")
        writer.add_bytes("a", b"")
        with pytest.raises(ValueError, match="there is one already"):
            writer.add_bytes("a", b"")


# ---- damaged


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
def test_no_byte_can_change_and_nothing_can_be_missing(tmp_path: Path, step: int) -> None:
    small(tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    damaged, place = tmp_path / "Damaged.onsb", Folder(tmp_path)
    chosen = random.Random(1)
    for at in (*range(0, len(whole), step), *range(len(whole) - 48, len(whole))):
        changed = bytearray(whole)
        changed[at] ^= 1 << chosen.randrange(8)
        damaged.write_bytes(changed)
        with pytest.raises((BackupCorrupt, ArchiveTooNew)):  # the digit of the format may be the bit
            check(place, damaged.name)
        damaged.write_bytes(whole[:at])
        with pytest.raises(BackupCorrupt):
            check(place, damaged.name)
    damaged.write_bytes(whole + b"\0")
    with pytest.raises(BackupCorrupt):
        check(place, damaged.name)


def test_the_member_with_the_changed_byte_is_named(tmp_path: Path) -> None:
    content = [random.Random(number).randbytes(300_000) for number in range(10)]
    with Writer(Folder(tmp_path), NAME) as writer:
        for number, data in enumerate(content):
            writer.add_bytes(f"files/{number:02}", data)
        writer.finish(About(server="shop"))
    whole = (tmp_path / NAME).read_bytes()
    for number, data in enumerate(content):
        at = whole.index(data[150_000:150_020])  # random bytes are stored as they are
        (tmp_path / "Damaged.onsb").write_bytes(whole[:at] + b"\0" + whole[at + 1 :])
        refused(tmp_path, "Damaged.onsb", f"files/{number:02}", "its content was changed")
        (tmp_path / "Damaged.onsb").write_bytes(whole[:at])
        refused(tmp_path, "Damaged.onsb", f"files/{number:02}", "it was cut off")


def test_a_reader_with_the_manifest_gives_out_no_end_that_is_wrong(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(3_000_000)
    with Writer(Folder(tmp_path), NAME) as writer:
        writer.add_bytes("redis/00001.bin", data)
        writer.add_bytes("redis/00002.bin", b"more")
        known = writer.finish(About(server="shop"))
    whole = (tmp_path / NAME).read_bytes()
    at = whole.index(data[2_500_000:2_500_020])
    (tmp_path / NAME).write_bytes(whole[:at] + b"\0" + whole[at + 1 :])
    with Reader(Folder(tmp_path), NAME, known) as reader:
        got = 0
        with pytest.raises(BackupCorrupt, match="its content was changed"):
            for _ in reader:
                for chunk in reader.chunks():
                    got += len(chunk)
    assert 0 < got < 3_000_000
    with Reader(Folder(tmp_path), NAME, known) as reader, pytest.raises(BackupCorrupt):
        list(reader.pieces("redis"))


def test_an_archive_that_is_another_than_was_checked_is_refused(tmp_path: Path) -> None:
    known = small(tmp_path)
    (tmp_path / NAME).unlink()
    with Writer(Folder(tmp_path), NAME) as writer:
        writer.add_pieces("redis", [b"onetwo"])
        writer.add_bytes("files/project/note.txt", b"hello")
        writer.add_folder("files/project/empty")
        writer.finish(About(server="shop", number=2))
    with pytest.raises(BackupCorrupt, match="it is not the archive that was checked"):
        contents(Folder(tmp_path), NAME, known)


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x28\xb5\x2f\xfd", b"PK\3\4" + bytes(1000)])
def test_other_files_are_no_archives(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)
    for look in (check, read_manifest):
        with pytest.raises(BackupCorrupt, match=r"damaged at `format.json`|cut off"):
            look(Folder(tmp_path), NAME)


# ---- made up by somebody


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../evil", "its name leads out of the archive"),
        ("files/../../evil", "its name leads out of the archive"),
        ("..", "its name leads out of the archive"),
        ("/etc/passwd", "it has an absolute name"),
        ("files//x", "its name is none"),
        ("./x", "its name is none"),
        ("f" * 300, "its name is too long"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, problem: str) -> None:
    forge(tmp_path, [entry(name, b"evil")], [member(name, b"evil")])
    refused(tmp_path, "Forged[0001].onsb", name, problem)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (tarfile.SYMTYPE, "it is a symbolic link"),
        (tarfile.LNKTYPE, "it is a link"),
        (tarfile.CHRTYPE, "it is a device"),
        (tarfile.BLKTYPE, "it is a device"),
        (tarfile.FIFOTYPE, "it is a pipe"),
        (tarfile.GNUTYPE_SPARSE, "it is of an unknown kind"),
        (b"Z", "it is of an unknown kind"),
    ],
)
def test_whatever_is_no_file_or_folder_is_refused(tmp_path: Path, kind: bytes, problem: str) -> None:
    forge(tmp_path, [entry("files/x", kind=kind)], [member("files/x", b"")])
    refused(tmp_path, "Forged[0001].onsb", "files/x", problem)


def test_sizes_and_records_are_not_believed(tmp_path: Path) -> None:
    for parts, where, problem in (
        ([entry("files/x", b"1234", size=-5)], "files/x", "its size is -5"),
        ([entry("files/x", b"1234", size=2**60)], "files/x", "it was cut off"),
        ([entry("files/x", b"1234", size=513)], "files/x", "something stands between"),
        ([entry("files/x", kind=tarfile.DIRTYPE, size=512)], "files/x", "its size is 512"),
        ([entry("pax", bytes(2**20), kind=tarfile.XHDTYPE)], "format.json", "records of 1048576 bytes"),
        ([entry("pax", b"18 linkpath=/etc/x\n", kind=tarfile.XHDTYPE)], "format.json", "records that no archive"),
        ([entry("pax", b"99 path=x\n", kind=tarfile.XHDTYPE)], "format.json", "records that no archive"),
        ([entry("pax", b"x" * 40, kind=tarfile.XHDTYPE)], "format.json", "records that no archive"),
        ([b"x" * 512], "format.json", "no header of a member"),
    ):
        name = forge(tmp_path, parts)
        refused(tmp_path, name, where, problem)
        (tmp_path / name).unlink()
    record = entry("pax", b"24 path=files/../../etc\n", kind=tarfile.XHDTYPE)
    name = forge(tmp_path, [record, entry("x", b"evil")])
    refused(tmp_path, name, "files/../../etc", "its name leads out of the archive")


def test_what_the_manifest_does_not_say_is_refused(tmp_path: Path) -> None:
    right = member("files/x", b"1234")
    for parts, members, where, problem in (
        ([entry("files/x", b"1235")], [right], "files/x", "its content was changed"),
        ([entry("files/x", b"123")], [right], "files/x", "it has 3 bytes, and the manifest says 4"),
        ([entry("files/x", b"1234"), entry("files/y")], [right], "files/y", "it is not in the manifest"),
        ([], [right], "files/x", "it is missing"),
        ([entry("files/x", b"1234")] * 2, [right, right], "files/x", "it is there twice"),
        ([entry("files/x", b"1234")], [member("files/x", b"1234", mode=0o4755)], "files/x", "not what the manifest"),
    ):
        name = forge(tmp_path, parts, members)
        refused(tmp_path, name, where, problem)
        (tmp_path / name).unlink()


def test_the_manifest_itself_is_checked(tmp_path: Path) -> None:
    newer = b'{"format": 2, "everything": "else"}'
    for options, where, problem, error in (
        ({"manifest": b""}, MANIFEST_NAME, "it has none", BackupCorrupt),
        ({"manifest": b"{"}, MANIFEST_NAME, "does not tell the form", BackupCorrupt),
        ({"manifest": b'{"format": 0}'}, MANIFEST_NAME, "there is no form 0", BackupCorrupt),
        ({"manifest": b'{"format": 1}'}, MANIFEST_NAME, "it is no manifest", BackupCorrupt),
        ({"manifest": newer}, "", "has form 2; this release reads forms up to 1", ArchiveTooNew),
        ({"form": newer}, "", "has form 2; this release reads forms up to 1", ArchiveTooNew),
        ({"form": b"x"}, "format.json", "does not tell the form", BackupCorrupt),
        ({"sums": b"0" * 64 + b"  manifest.json\n"}, MANIFEST_NAME, "its SHA-256 is another", BackupCorrupt),
        ({"end": bytes(512)}, SUMS_NAME, "it ends there", BackupCorrupt),
        ({"end": b"\0" * 1024 + b"more"}, SUMS_NAME, "something follows its end", BackupCorrupt),
        ({"end": entry("files/late", b"x") + bytes(1024)}, "files/late", "nothing may follow", BackupCorrupt),
    ):
        given: Any = options
        name = forge(tmp_path, [], **given)
        refused(tmp_path, name, where, problem, error)
        (tmp_path / name).unlink()
    assert forge(tmp_path, [], form=FORMAT_TEXT)
    assert check(Folder(tmp_path), "Forged[0001].onsb").about.server == "shop"


# ---- a file that changes while it is read


def test_a_file_that_shrinks_is_filled_up_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"d" * 3_000_000)
    place = tmp_path / "place"
    place.mkdir()
    with Writer(Folder(place), NAME) as writer:
        real = writer._packed.write
        written = 0

        def write(chunk: bytes) -> None:
            nonlocal written
            written += len(chunk)
            if written > 1_000_000:
                os.truncate(data, 1_500_000)
            real(chunk)

        monkeypatch.setattr(writer._packed, "write", write)
        problem = writer.add_file("files/data", data)
        writer.finish(About(server="shop"))
    assert problem == "its last 1500000 bytes could not be read; there are zeros in their place"
    assert contents(Folder(place))["files/data"] == b"d" * 1_500_000 + bytes(1_500_000)
