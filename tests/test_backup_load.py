"""What a cut has saved comes back, key by key, wherever it is put; and a restore is whole, or says how far it is."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver.backup.cut import Cut
from onserver.backup.load import Loaded, finish, load, standing, undo
from onserver.errors import BackupCorrupt, CutLost, MaintenanceMode, RestoreRefused
from onserver.life.epoch import read
from onserver.process.maintenance import begin_maintenance, end_maintenance
from onserver.process.put import Sender
from onserver.redis.address import Address
from onserver.redis.embedded import Embedded
from onserver.redis.keys import find_orphans, scan
from onserver.redis.store import Store
from onserver.server import Server
from tests.cut_writers import settings_of
from tests.filled_server import fill, once_only, plain, snapshot, urgent
from tests.floor import Floor, open_floor

COUNT = 60
MANY = 50_000


@pytest.fixture
def floor(redis_address: Address) -> Iterator[Floor]:
    with open_floor(redis_address) as floor:
        yield floor


@pytest.fixture
def other(redis_address: Address) -> Iterator[Server]:
    """Another server, of which nothing is there yet."""
    with Server(settings=settings_of(redis_address.path, f"t{uuid4().hex[:8]}")) as server:
        yield server


def saved(store: Store) -> list[bytes]:
    with Cut(store) as cut:
        return list(cut.entries())


def restore(store: Store, pieces: list[bytes], **options: Any) -> Loaded:
    return load(store, pieces, path="a.onsb", **options)


def empty(floor: Floor) -> None:
    """Nothing runs, and no worker is up: as after a stop."""
    store = floor.store
    store.run("bury_member", floor.member.number, 3, 60, "the test ends it", "")
    assert store.command("SCARD", store.key("workers")) == 0


def left(store: Store, prefix: str) -> list[str]:
    return [name for names in scan(store, prefix) for name in names]


def number_of(store: Store, hash_name: str, field: str) -> int:
    return int(store.command("HGET", store.key(hash_name), field) or 0)


# -- the same again


def test_what_is_restored_elsewhere_is_the_same_key_by_key(floor: Floor, other: Server) -> None:
    """Line, history, names, times and lifetimes: what is derived is made as it was."""
    fill(floor, COUNT)
    before = snapshot(floor.store)
    loaded = restore(other.store, saved(floor.store), run=True)
    assert snapshot(other.store) == before
    assert loaded.counts["processes"] >= COUNT
    assert loaded.lost == 0
    assert standing(other.store) is None
    assert other.store.birth == floor.store.birth  # ids of Celery that were told are those of the same processes
    assert [str(orphan) for orphan in find_orphans(other.store)] == []
    assert left(other.store, "restore:") == left(other.store, "cut") == []


@pytest.mark.long
def test_fifty_thousand_processes_are_the_same_elsewhere(tmp_path: Path) -> None:
    """On a Redis that does not wait for the disk at each of them."""
    with (
        Embedded(tmp_path, linger_seconds=0) as embedded,
        open_floor(embedded.start()) as floor,
        Store(embedded.start(), "another") as other,
    ):
        fill(floor, MANY)
        before = snapshot(floor.store)
        restore(other, saved(floor.store), run=True)
        assert snapshot(other) == before


def test_another_redis_gets_the_same_and_gives_it_back(floor: Floor, other: Server, tmp_path: Path) -> None:
    """Debian's Redis, where it is installed, has other encodings and another version than the embedded one."""
    debian = shutil.which("redis-server")
    if debian is None:
        pytest.skip("there is no redis-server on this machine: install Debian's to restore into it")
    fill(floor, COUNT)
    before = snapshot(floor.store)
    pieces = saved(floor.store)
    with (
        Embedded(tmp_path, server=debian, linger_seconds=0) as embedded,
        Store(embedded.start(), "moved house") as store,
    ):
        restore(store, pieces, run=True)
        assert snapshot(store) == before
        back = saved(store)
    restore(other.store, back, run=True)
    assert snapshot(other.store) == before


def test_a_restored_server_goes_on(floor: Floor, other: Server) -> None:
    named = fill(floor, COUNT)
    restore(other.store, saved(floor.store), run=True)
    with other.as_current():
        again = Floor(other)
        assert again.executor("other").claim() == named["urgent"]
        executor = again.executor()
        first = executor.claim()
        assert executor.end(first, claim=True) == first + 1
        assert again.put(plain, 1) > number_of(floor.store, "numbers", "process") + 900_000
        assert other.storage["rates"] == {"EUR": 1.5, "text": "ü" * 200}
        assert other.storage["hits"] == 7


# -- what lived


def test_what_lived_comes_back_paused_and_goes_on_when_it_is_resumed(floor: Floor, other: Server) -> None:
    named = fill(floor, COUNT)
    executor = floor.executor("other")
    running = executor.claim()
    assert running == named["urgent"]
    loaded = restore(other.store, saved(floor.store))
    assert loaded.alive == COUNT // 2 + len(named) + 1  # that of the mailbox
    with other.as_current():
        again = Floor(other)
        assert {again.state(number) for number in named.values()} == {"paused"}
        assert again.field(running, "pb") == again.field(named["unique"], "pb") == "restore"
        assert again.field(named["paused"], "pb") == "ann"
        assert again.field(running, "o") == ""
        idle = again.executor("other")
        assert idle.claim() == 0
        for number in (running, named["delayed"], named["unique"]):
            other.store.run("resume", other.store.nonce(), number, 60)
        assert again.state(named["delayed"]) == "delayed"
        assert idle.given() == running
        assert again.field(running, "d") == ""  # that run counts as none
        assert again.put(plain, 1, name="the nightly one", unique=True) == named["unique"]
        assert again.orphans() == []


def test_what_must_not_run_twice_and_ran_at_the_instant_is_lost(floor: Floor, other: Server) -> None:
    executor = floor.executor()
    ran, waits = floor.put(once_only, 1), floor.put(once_only, 2)
    assert executor.claim() == ran
    loaded = restore(other.store, saved(floor.store), run=True)
    assert (loaded.alive, loaded.lost) == (1, 1)
    with other.as_current():
        again = Floor(other)
        assert [again.state(ran), again.state(waits)] == ["lost", "queued"]
        assert again.executor().claim() == waits
        assert again.orphans() == []


# -- the start behind it


@pytest.mark.parametrize("state", ["running", "stopped", "failed"])
def test_the_next_start_finds_the_restored_storage(floor: Floor, state: str) -> None:
    """Whatever the end before it was: after a clean one it would have been emptied."""
    fill(floor, COUNT)
    pieces = saved(floor.store)
    with floor.server.storage.use() as root:
        del root["rates"]
    empty(floor)
    floor.store.command("HSET", floor.store.key("server"), "state", state)
    epoch = read(floor.store).number
    restore(floor.store, pieces)
    again = Floor(floor.server)
    assert read(floor.store).previous == "restored"
    assert read(floor.store).number == epoch + 1
    assert again.server.storage["rates"]["EUR"] == 1.5
    assert number_of(floor.store, "server", "emptying") == 0


def test_epochs_go_on_behind_those_of_the_archive(floor: Floor, other: Server) -> None:
    """So no hook of a later life is taken for one that has run; the present life keeps its number and its hooks."""
    store = floor.store
    store.command("HSET", store.key("server"), "epoch", 40)
    store.command("HSET", store.key("hooks:1"), "load", "ok 7")
    store.command("HSET", store.key("hooks:40"), "load", "ok 70")
    pieces = saved(store)
    with other.as_current():
        first = Floor(other)
        other.store.command("HSET", other.store.key("hooks:1"), "load", "failed 1")
        begin_maintenance()
        restore(other.store, pieces)
        assert read(other.store).number == 1
        assert other.store.command("HGET", other.store.key("hooks:1"), "load") == b"failed 1"
        assert other.store.command("HGET", other.store.key("hooks:40"), "load") == b"ok 70"
        empty(first)
        Floor(other)
        assert read(other.store).number == 41


def test_a_running_server_is_restored_in_maintenance_only(floor: Floor) -> None:
    fill(floor, COUNT)
    before, pieces = snapshot(floor.store), saved(floor.store)
    with floor.server.storage.use() as root:
        root["rates"] = "spoiled"
    floor.put(plain, 99)
    with pytest.raises(RestoreRefused, match="maintenance on"):
        restore(floor.store, pieces, run=True)
    assert floor.server.storage["rates"] == "spoiled"
    assert standing(floor.store) is None
    assert left(floor.store, "restore:") == []
    change, numbers = number_of(floor.store, "server", "change"), number_of(floor.store, "numbers", "process")
    begin_maintenance("restoring")
    restore(floor.store, pieces, run=True)
    end_maintenance()
    assert snapshot(floor.store) == before
    assert floor.server.storage["rates"]["EUR"] == 1.5  # the cache has heard of it
    assert number_of(floor.store, "server", "change") > change
    assert floor.put(plain, 100) > numbers
    assert floor.executor("other").claim() > 0
    assert floor.orphans() == []


def test_nothing_is_restored_under_what_runs_or_is_locked(floor: Floor) -> None:
    fill(floor, COUNT)
    pieces = saved(floor.store)
    begin_maintenance("restoring")
    executor = floor.executor("other")
    number = executor.claim()
    with pytest.raises(RestoreRefused, match=f"process {number} runs"):
        restore(floor.store, pieces)
    executor.end(number)
    with floor.server.storage.use("rates"), pytest.raises(RestoreRefused, match="locked"):
        restore(floor.store, pieces)
    assert standing(floor.store) is None
    restore(floor.store, pieces)


def test_only_a_part_is_restored(floor: Floor) -> None:
    named = fill(floor, COUNT)
    pieces = saved(floor.store)
    with floor.server.storage.use() as root:
        root["rates"], root["new"] = "spoiled", 1
    store = floor.store
    store.run("resume", store.nonce(), named["paused"], 60)
    made = floor.put(plain, 99)
    begin_maintenance()
    restore(store, pieces, only=["storage"])
    assert floor.server.storage["rates"]["EUR"] == 1.5
    assert "new" not in floor.server.storage
    assert floor.state(made) == floor.state(named["paused"]) == "queued"
    with pytest.raises(RestoreRefused, match="there is no part `sotrage`"):
        restore(store, pieces, only=["sotrage"])
    with floor.server.storage.use() as root:
        root["new"] = 2
    restore(store, pieces, only=["processes"], run=True)
    assert floor.server.storage["new"] == 2
    assert floor.state(made) == ""
    assert floor.state(named["paused"]) == "paused"


# -- half of one


def test_a_damaged_stream_changes_nothing(floor: Floor, other: Server) -> None:
    fill(floor, COUNT)
    pieces = saved(floor.store)
    whole = b"".join(pieces)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[:-20], b"".join(pieces[:-1]), bytes(flipped), b"", whole + pieces[-1]):
        with pytest.raises(BackupCorrupt):
            restore(other.store, [damaged])
        assert snapshot(other.store) == {}
        assert standing(other.store) is None
        assert left(other.store, "restore:") == []


STAGES = [
    ("in_restore_staging", "staging"),
    ("before_restore_switch", "staging"),
    ("after_restore_switch", "clearing"),
    ("in_restore_clearing", "clearing"),
    ("in_restore_renaming", "renaming"),
    ("in_restore_renaming:2", "renaming"),
    ("in_restore_settling", "settling"),
    ("in_restore_settling:2", "settling"),
    ("before_restore_end", "ending"),
]
PROGRAM = """
import sys
from onserver.backup import load
from onserver.redis.address import parse
from onserver.redis.store import Store
load._KEYS, load._PROCESSES = 40, 20
with Store(parse(sys.argv[1]), sys.argv[2]) as store, open(sys.argv[3], "rb") as file:
    load.load(store, [file.read()], path="a.onsb", run=True)
"""


def killed_at(point: str, store: Store, pieces: list[bytes], folder: Path) -> None:
    """A program that restores is killed on its way."""
    (folder / "keys").write_bytes(b"".join(pieces))
    environ = os.environ | {"ONSERVER_CRASH_AT": point, "ONSERVER_TESTING": "1"}
    words = [f"unix://{store.address.path}", store.name, str(folder / "keys")]
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *words], env=environ, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("point", "stage"), STAGES)
def test_a_killed_restore_is_seen_and_is_undone_or_finished(
    floor: Floor, tmp_path: Path, point: str, stage: str
) -> None:
    fill(floor, COUNT)
    after, pieces = snapshot(floor.store), saved(floor.store)
    with floor.server.storage.use() as root:
        root["rates"], root["only now"] = "spoiled", 1
    floor.many(plain, [(number,) for number in range(50)])
    before = snapshot(floor.store)
    empty(floor)
    killed_at(point, floor.store, pieces, tmp_path)
    found = standing(floor.store)
    assert found is not None
    assert (found.stage, found.path, found.undoable) == (stage, "a.onsb", stage == "staging")
    with pytest.raises(RestoreRefused, match="has begun and not ended"):
        restore(floor.store, pieces)
    if found.undoable:
        assert snapshot(floor.store) == before
        with pytest.raises(RestoreRefused, match="not read to its end"):
            finish(floor.store)
        undo(floor.store)
        assert snapshot(floor.store) == before
    else:
        with pytest.raises(RestoreRefused, match="only be finished"):
            undo(floor.store)
        finish(floor.store)
        assert snapshot(floor.store) == after
    assert standing(floor.store) is None
    assert left(floor.store, "restore:") == left(floor.store, "cut") == []
    restore(floor.store, pieces, run=True)
    assert snapshot(floor.store) == after


def test_nobody_writes_while_keys_go_to_their_place(floor: Floor, tmp_path: Path) -> None:
    """Also who does not ask: a program with a lock to take, a leader with something due, a backup."""
    fill(floor, COUNT)
    after, pieces = snapshot(floor.store), saved(floor.store)
    begin_maintenance()
    executor = floor.executor("default")
    killed_at("in_restore_settling", floor.store, pieces, tmp_path)
    half = snapshot(floor.store)
    with pytest.raises(MaintenanceMode, match=r"the server is being restored\b"), floor.server.storage.use("rates"):
        pass
    with pytest.raises(MaintenanceMode, match="the server is being restored"):
        floor.server.storage.counter("hits").add(1)
    with pytest.raises(MaintenanceMode, match="the server is being restored"):
        Sender(floor.server).put(
            replace(urgent.order, operator=True), (1,), {}
        )  # an operator, whom maintenance lets in
    with pytest.raises(MaintenanceMode, match="the server is being restored"):
        end_maintenance()
    with pytest.raises(CutLost, match="the server is being restored"):
        saved(floor.store)
    floor.store.command("INCRBY", floor.store.key("clock"), 7_200_000)
    assert executor.claim() == 0
    assert floor.due() == 1.0
    assert floor.member.beat() is not None
    assert snapshot(floor.store) == half
    floor.store.command("DEL", floor.store.key("clock"))
    finish(floor.store)
    assert snapshot(floor.store) == after
    assert floor.executor("other").claim() > 0
