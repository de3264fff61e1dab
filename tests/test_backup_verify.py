"""Verifying loads what an archive has of the keys into a Redis of its own, and misses nothing that is not as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onserver.backup.archive import Writer
from onserver.backup.cut import Cut
from onserver.backup.folder import Folder
from onserver.backup.manifest import About
from onserver.backup.stream import Entry, closing, opening, written
from onserver.backup.verify import verify
from onserver.errors import BackupCorrupt, BadSetting
from onserver.redis.store import Store
from onserver.testing.wait import wait_for
from tests.leftovers import programs

NAME = "Shop[0001].onsb"
SOON = int(time.time() * 1000) + 3_600_000

ENTRIES = [
    Entry("string", "numbers", [b"text \x00\xff"], 0),
    Entry("string", "expires", [b"later"], SOON),
    Entry("string", "expired", [b"gone"], 1),
    Entry("hash", "p:1", [b"s", b"queued", b"t", b"shop.add"], SOON),
    Entry("list", "l", [b"3", b"1", b"2", b"1"], 0),
    Entry("set", "s", [b"c", b"a", b"b"], 0),
    Entry("zset", "q:default", [b"9", b"1.5", b"10", b"140737488355338", b"11", b"inf"], 0),
    Entry("string", "changed", [b"before"], SOON),
    Entry("set", "became", [b"a"], 0),
    Entry("string", "removed", [b"x"], 0),
    Entry("string", "changed", [b"after"], 0),
    Entry("list", "became", [b"another", b"type"], 0),
    Entry("none", "removed", [], 0),
    Entry("hash", "large", [b"%d" % n for n in range(24_000)], 0),
]


def archive(folder: Path, entries: list[Entry]) -> Folder:
    with Writer(Folder(folder), NAME) as writer:
        writer.add_pieces("redis", [opening(), written(entries), closing(len(entries))])
        writer.finish(About(server="shop"))
    return Folder(folder)


def test_every_type_and_lifetime_is_loaded_and_compared(tmp_path: Path) -> None:
    place = archive(tmp_path, ENTRIES)
    found = verify(place, NAME, above=tmp_path / "scratch")
    assert found.keys == len({entry.key for entry in ENTRIES}) - 1
    assert found.manifest.about.server == "shop"
    assert list((tmp_path / "scratch").iterdir()) == []
    wait_for(lambda: programs(tmp_path / "scratch") == [], what="its server and keeper to be gone")


def test_a_real_server_is_verified(store: Store, tmp_path: Path) -> None:
    for number in range(300):
        store.command("HSET", store.key(f"p:{number}"), "s", "queued", "b", os.urandom(50))
        store.command("PEXPIREAT", store.key(f"p:{number}"), SOON)
    store.command("SET", store.key("st:e:rates"), "x")
    with Writer(Folder(tmp_path), NAME) as writer:
        with Cut(store) as cut:
            writer.add_pieces("redis", cut.entries())
        writer.finish(About(server="shop"))
    assert verify(Folder(tmp_path), NAME, above=tmp_path / "scratch").keys >= 301


@pytest.mark.parametrize("what", ["cut off", "no end", "another count"])
def test_keys_that_are_not_whole_are_found_although_every_checksum_is_right(tmp_path: Path, what: str) -> None:
    pieces = [opening(), written(ENTRIES), closing(len(ENTRIES))]
    if what == "cut off":
        pieces[1] = pieces[1][:-1]
    elif what == "no end":
        pieces.pop()
    else:
        pieces[2] = closing(5)
    with Writer(Folder(tmp_path), NAME) as writer:
        writer.add_pieces("redis", pieces)
        writer.finish(About(server="shop"))
    with pytest.raises(BackupCorrupt) as caught:
        verify(Folder(tmp_path), NAME, above=tmp_path / "scratch")
    assert caught.value.member == "redis"
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_key_that_a_redis_keeps_otherwise_is_named(tmp_path: Path) -> None:
    # A set with one member twice is two texts in the archive and one in Redis: nobody has ever read such a set.
    place = archive(tmp_path, [*ENTRIES, Entry("set", "twice", [b"a", b"a"], 0)])
    with pytest.raises(BackupCorrupt, match="key `twice` is another when it is loaded"):
        verify(place, NAME, above=tmp_path / "scratch")


def test_a_key_of_a_type_that_nobody_saves_is_named(tmp_path: Path) -> None:
    place = archive(tmp_path, [*ENTRIES, Entry("stream", "odd", [b"a"], 0)])
    with pytest.raises(BackupCorrupt, match="key `odd` is a stream, which no release saves"):
        verify(place, NAME, above=tmp_path / "scratch")


def test_an_archive_without_keys_needs_no_redis(tmp_path: Path) -> None:
    with Writer(Folder(tmp_path), NAME) as writer:
        writer.add_bytes("files/x", b"x")
        writer.finish(About(server="shop"))
    assert verify(Folder(tmp_path), NAME, redis_server="/nowhere").keys == 0


def test_without_a_server_program_nothing_is_said_of_the_archive(tmp_path: Path) -> None:
    place = archive(tmp_path, ENTRIES)
    with pytest.raises(BadSetting, match="it is no Redis"):
        verify(place, NAME, redis_server="/nowhere", above=tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


KILLED = """
import sys
from pathlib import Path
from onserver.backup.folder import Folder
from onserver.backup.verify import verify
verify(Folder(Path(sys.argv[1])), "Shop[0001].onsb", above=Path(sys.argv[1]) / "scratch")
"""


def test_who_is_killed_while_verifying_leaves_the_archive_as_it_was(tmp_path: Path) -> None:
    place = archive(tmp_path, ENTRIES)
    before = (tmp_path / NAME).read_bytes()
    environment = {**os.environ, "ONSERVER_TESTING": "1", "ONSERVER_CRASH_AT": "in_verify"}
    ended = subprocess.run([sys.executable, "-c", KILLED, tmp_path], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / NAME).read_bytes() == before
    assert verify(place, NAME, above=tmp_path / "scratch").keys > 0
