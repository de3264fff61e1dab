"""Archives in a bucket of a store that speaks S3 over HTTP, with its credentials from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from onserver.backup.archive import Writer
from onserver.backup.bucket import Bucket
from onserver.backup.manifest import About
from onserver.backup.reading import Reader, check, read_manifest
from onserver.errors import ArchiveNotFound, ArchiveNotWritten, SourceFailed
from tests.object_store import ObjectStore, object_store

NAME = "Shop[0001].onsb"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    with object_store() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.address)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        yield running


def write(place: Bucket, name: str, megabytes: int) -> None:
    with Writer(place, name) as writer:
        for number in range(megabytes):
            writer.add_bytes(f"files/{number}", os.urandom(2**20))
        writer.finish(About(server="shop"))


def test_an_archive_goes_into_a_bucket_and_comes_back(store: ObjectStore) -> None:
    place = Bucket("s3://bucket/backups/shop")
    write(place, NAME, 20)  # in two parts
    assert list(store.objects) == [f"backups/shop/{NAME}"]
    assert store.uploads == {}
    known = check(place, NAME)
    assert read_manifest(place, NAME) == known
    with Reader(place, NAME, known) as reader:
        assert sum(len(chunk) for _ in reader for chunk in reader.chunks()) == 20 * 2**20
    store.objects["backups/shop/below/other"] = b"not ours"
    place.replace("history.json", b"{}")
    assert [(found.name, found.size) for found in place.found()] == [
        (NAME, len(store.objects[f"backups/shop/{NAME}"])),
        ("history.json", 2),
    ]
    assert place.path_of(NAME) == f"s3://bucket/backups/shop/{NAME}"
    place.remove(NAME)
    with pytest.raises(ArchiveNotFound):
        check(place, NAME)
    assert place.read_small(NAME) is None


def test_nothing_is_overwritten_and_nothing_left_half(store: ObjectStore) -> None:
    place = Bucket("s3://bucket")
    store.objects[NAME] = b"there"
    with pytest.raises(ArchiveNotWritten, match="file exists"):
        write(place, NAME, 1)
    with pytest.raises(RuntimeError), Writer(place, "Shop[0002].onsb") as writer:
        for number in range(40):
            writer.add_bytes(f"files/{number}", os.urandom(2**20))
        raise RuntimeError
    assert store.objects == {NAME: b"there"}
    assert store.uploads == {}  # it was aborted, and not only forgotten


def test_a_store_that_refuses_is_said(store: ObjectStore) -> None:
    place = Bucket("s3://bucket")
    store.refuses = 403
    with pytest.raises(ArchiveNotWritten) as denied:
        write(place, NAME, 1)
    assert denied.value.kind == "denied"
    assert "secret" not in str(denied.value)
    for ask in (place.found, lambda: place.read_small(NAME), lambda: check(place, NAME), lambda: place.remove(NAME)):
        with pytest.raises(SourceFailed):
            ask()
    with Writer(_open(place, store), NAME) as writer, pytest.raises(ArchiveNotWritten):
        store.refuses = 403
        for number in range(40):
            writer.add_bytes(f"files/{number}", os.urandom(2**20))
        writer.finish(About(server="shop"))
    assert store.objects == {}


def _open(place: Bucket, store: ObjectStore) -> Bucket:
    store.refuses = 0
    return place
