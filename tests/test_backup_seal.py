"""What is sealed here is opened by `age`, what `age` seals is opened here, and nobody else gets in."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from onserver.backup import folder, seal
from onserver.backup.archive import Writer
from onserver.backup.folder import Folder, FolderInlet
from onserver.backup.manifest import About
from onserver.backup.reading import Reader, check, read_manifest
from onserver.errors import ArchiveNotWritten, ArchiveSealed, BackupCorrupt
from tests.disks import small_disk
from tests.forging import small

NAME = "Shop[0001].onsb"
PLAIN = "Shop[0002].onsb"

needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="the program `age` is not installed")


@pytest.fixture(scope="module")
def key() -> Any:
    return seal.pyrage().x25519.Identity.generate()


@pytest.fixture
def key_file(key: Any, tmp_path: Path) -> str:
    """As `age-keygen` writes it."""
    path = tmp_path / "key.txt"
    path.write_text(f"# created: 2026-11-26\n# public key: {key.to_public()}\n{key}\n")
    return str(path)


def test_a_sealed_archive_is_read_with_its_identity(tmp_path: Path, key: Any, key_file: str) -> None:
    place = Folder(tmp_path)
    known = small(tmp_path, recipients=[str(key.to_public())])
    assert b"note.txt" not in (tmp_path / NAME).read_bytes()
    for identity in (key_file, str(key)):
        assert check(place, NAME, [identity]) == known == read_manifest(place, NAME, [identity])
    with Reader(place, NAME, known, identities=[key_file]) as reader:
        assert b"".join(reader.pieces("redis")) == b"onetwo"
    with Reader(place, NAME, known, identities=[key_file]) as reader:
        next(iter(reader))  # whoever reads no further leaves no thread behind
    assert not [thread for thread in seal_threads() if thread.is_alive()]


def seal_threads() -> list[Any]:
    return [thread for thread in threading.enumerate() if thread.name in {"seal", "unseal"}]


def test_each_recipient_can_open_it(tmp_path: Path, key: Any) -> None:
    others = [seal.pyrage().x25519.Identity.generate() for _ in range(2)]
    listed = tmp_path / "recipients.txt"
    listed.write_text("# the operators\n\n" + "".join(f"{other.to_public()}\n" for other in others))
    known = small(tmp_path, recipients=[str(key.to_public()), str(listed)])
    for identity in (key, *others):
        assert check(Folder(tmp_path), NAME, [str(identity)]) == known


def test_nobody_else_opens_it(tmp_path: Path, key: Any) -> None:
    small(tmp_path, recipients=[str(key.to_public())])
    other = str(seal.pyrage().x25519.Identity.generate())
    for look in (check, read_manifest):
        with pytest.raises(ArchiveSealed, match="no identity was given"):
            look(Folder(tmp_path), NAME)
        with pytest.raises(ArchiveSealed, match="none of the identities that were given opens it"):
            look(Folder(tmp_path), NAME, [other])


def test_what_is_no_recipient_or_identity_is_said_without_telling_secrets(tmp_path: Path, key: Any) -> None:
    damaged = str(key)[:-1] + ("Q" if str(key)[-1] != "Q" else "P")
    (tmp_path / "bad.txt").write_text(damaged + "\n")
    for recipient, problem in (
        ("age1nonsense", "`age1nonsense` is no recipient"),
        (str(tmp_path / "none.txt"), "is not a recipient and no file of such"),
        (str(tmp_path / "bad.txt"), "is no recipient"),
    ):
        with pytest.raises(ArchiveSealed, match=problem) as refused:
            small(tmp_path, recipients=[recipient])
        assert damaged[20:] not in str(refused.value)
    assert not [path for path in tmp_path.iterdir() if "onsb" in path.name]
    small(tmp_path, recipients=[str(key.to_public())])
    for identity in (damaged, str(tmp_path / "bad.txt"), str(tmp_path / "none.txt")):
        with pytest.raises(ArchiveSealed) as refused:
            check(Folder(tmp_path), NAME, [identity])
        assert damaged[20:] not in str(refused.value)


def test_no_byte_of_a_sealed_archive_can_change(tmp_path: Path, key: Any) -> None:
    small(tmp_path, recipients=[str(key.to_public())])
    whole = (tmp_path / NAME).read_bytes()
    for at in range(0, len(whole), 13):
        for damaged in (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], whole[:at]):
            (tmp_path / "Damaged.onsb").write_bytes(damaged)
            with pytest.raises((BackupCorrupt, ArchiveSealed)):  # the second: its header names no key of ours
                check(Folder(tmp_path), "Damaged.onsb", [str(key)])


def test_a_full_disk_is_said_of_a_sealed_archive_too(tmp_path: Path, key: Any) -> None:
    with small_disk(tmp_path / "disk") as disk:
        with (
            pytest.raises(ArchiveNotWritten, match="no space left") as full,
            Writer(Folder(disk), NAME, recipients=[str(key.to_public())]) as writer,
        ):
            for number in range(8):
                writer.add_bytes(f"files/{number}", os.urandom(2**20))
            writer.finish(About(server="shop"))
        assert full.value.kind == "full"
        assert list(disk.iterdir()) == []


class Unreadable(FolderInlet):
    """A file on a disk that fails."""

    def read(self, size: int) -> bytes:
        if self._file.tell() > 100_000:
            raise OSError(errno.EIO, "the disk failed")
        return super().read(min(size, 4096))


@pytest.mark.parametrize("sealed", [True, False])
def test_a_disk_that_fails_is_no_damage_of_the_archive(
    tmp_path: Path, key: Any, sealed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Writer(Folder(tmp_path), NAME, recipients=[str(key.to_public())] if sealed else []) as writer:
        writer.add_bytes("files/x", os.urandom(2**20))
        writer.finish(About(server="shop"))
    monkeypatch.setattr(folder, "FolderInlet", Unreadable)
    with pytest.raises(OSError, match="the disk failed"):
        check(Folder(tmp_path), NAME, [str(key)])


def test_files_of_keys_are_named_from_the_project_on(tmp_path: Path, key: Any, key_file: str) -> None:
    recipient = str(key.to_public())
    assert seal.in_project([recipient, "ssh-ed25519 A b", str(key)], tmp_path) == (
        recipient,
        "ssh-ed25519 A b",
        str(key),
    )
    assert seal.in_project(["key.txt", "/etc/key"], tmp_path) == (key_file, "/etc/key")


# ---- the program


@needs_age
def test_age_opens_what_is_sealed_here(tmp_path: Path, key: Any, key_file: str) -> None:
    known = small(tmp_path, recipients=[str(key.to_public())])
    subprocess.run(["age", "-d", "-i", key_file, "-o", tmp_path / PLAIN, tmp_path / NAME], check=True)
    assert check(Folder(tmp_path), PLAIN) == known


@needs_age
def test_what_age_seals_is_opened_here(tmp_path: Path, key: Any, key_file: str) -> None:
    known = small(tmp_path, PLAIN)
    subprocess.run(["age", "-r", str(key.to_public()), "-o", tmp_path / NAME, tmp_path / PLAIN], check=True)
    assert check(Folder(tmp_path), NAME, [key_file]) == known


@needs_age
def test_keys_that_age_made_are_taken(tmp_path: Path) -> None:
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "key.txt").write_text(made)
    (recipient,) = [line.rpartition(" ")[2] for line in made.splitlines() if "public key" in line]
    known = small(tmp_path, recipients=[recipient])
    assert check(Folder(tmp_path), NAME, [str(tmp_path / "key.txt")]) == known


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="the program `ssh-keygen` is not installed")
def test_ssh_keys_do_as_well(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
    public = (tmp_path / "id.pub").read_text().strip()
    known = small(tmp_path, recipients=[public])
    assert check(Folder(tmp_path), NAME, [str(tmp_path / "id")]) == known
