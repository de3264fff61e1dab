"""The log between backups: every change is in a file, and a restore goes on with it up to an instant."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from onserver.backup import change_log, segments
from onserver.backup.change_log import ChangeLog, LogWriter
from onserver.backup.cut import Cut
from onserver.backup.load import load
from onserver.backup.replay import Replayed, look, replay
from onserver.backup_settings import BackupSettings
from onserver.cluster.member import Beat, Member
from onserver.errors import BadSetting, ChangesNotLogged, RestoreRefused
from onserver.redis.address import Address
from onserver.redis.store import Store
from onserver.server import Server
from onserver.testing import wait_for
from tests.cut_writers import settings_of
from tests.filled_server import Content, snapshot

WAITING = 100_001


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with Server(settings=settings_of(redis_address.path, f"t{uuid4().hex[:8]}")) as server, server.as_current():
        yield server


@pytest.fixture
def other(redis_address: Address) -> Iterator[Server]:
    with Server(settings=settings_of(redis_address.path, f"t{uuid4().hex[:8]}")) as server:
        yield server


@contextmanager
def logged(server: Server, folder: Path, fsync: str = "commit") -> Iterator[list[str]]:
    """Changes are logged while the block runs, and all of them are in files when it has ended. What the writer said."""
    said: list[str] = []
    stop = threading.Event()
    writer = threading.Thread(target=LogWriter(server.store, folder, fsync, said.append).run, args=(stop,))
    writer.start()
    try:
        wait_for(lambda: waiting(server.store), what="logging has begun")
        yield said
        wait_for(lambda: waiting(server.store) == 1, what="all is in files")
    finally:
        stop.set()
        writer.join(30)
    assert not writer.is_alive()


def waiting(store: Store) -> int:
    return int(store.command("XLEN", store.key("journal")))


def now_ms(store: Store) -> int:
    seconds, micro = store.command("TIME")
    return int(seconds) * 1000 + int(micro) // 1000


def change(server: Server, step: int) -> None:
    """One of everything that changes a storage; values with all bytes."""
    storage = server.storage
    with storage.use() as root:
        root["rates"], root[f"new {step}"] = {"EUR": step}, bytes(range(256))
        root.pop(f"new {step - 1}", None)
    with storage.use("rates") as rates:
        rates["USD"] = step + 0.5
    storage.counter("hits").add(step)


def state(store: Store) -> dict[str, Content]:
    return {key: content for key, content in snapshot(store).items() if key.startswith("st:")}


def backup(server: Server, number: int) -> list[bytes]:
    with Cut(server.store, number) as cut:
        return list(cut.entries())


def restored(server: Server, pieces: list[bytes], folder: Path, name: str, until_ms: int | None = None) -> Replayed:
    """Restore an archive and what is logged behind it."""
    found: list[Replayed] = []

    def amend(prefix: str) -> None:
        found.append(replay(server.store, prefix, folder, name, until_ms=until_ms))

    load(server.store, pieces, path="a.onsb", amend=amend)
    return found[0]


def names(folder: Path) -> list[str]:
    return [path.name.partition("[")[2] for path in sorted(folder.glob("*.journal"))]


# -- to an instant


@pytest.mark.parametrize("fsync", ["commit", "second", "never"])
def test_an_archive_and_its_log_are_the_storage_at_any_instant(
    server: Server, other: Server, tmp_path: Path, fsync: str
) -> None:
    with logged(server, tmp_path, fsync) as said:
        change(server, 0)
        first = backup(server, 1)
        change(server, 1)
        change(server, 2)
        then, at = state(server.store), now_ms(server.store)
        wait_for(lambda: now_ms(server.store) > at)
        second = backup(server, 2)
        change(server, 3)
        empty(server)
        change(server, 4)
        last = state(server.store)
    assert said == []
    assert names(tmp_path) == ["0000-0001].journal", "0001-0002].journal", "0002-0003].journal"]
    assert not any(file.damage for file in look(tmp_path, server.name))
    assert restored(other, first, tmp_path, server.name, at).changes == 6
    assert state(other.store) == then
    assert restored(other, first, tmp_path, server.name).notes == ()
    assert state(other.store) == last
    restored(other, second, tmp_path, server.name, at)
    assert state(other.store) == then
    restored(other, second, tmp_path, server.name)
    assert state(other.store) == last


def empty(server: Server) -> None:
    while server.store.run("empty_storage", "st:", 2, ""):
        pass


def test_a_change_of_many_entries_is_one_whatever_a_round_reads(
    server: Server, other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_log, "_LINES", 2)
    pieces = backup(server, 1)
    with logged(server, tmp_path), server.storage.use() as root:
        root.update({f"entry {number}": number for number in range(3_500)})
    (file,) = look(tmp_path, server.name)
    assert (file.changes, file.damage) == (1, "")
    restored(other, pieces, tmp_path, server.name)
    assert state(other.store) == state(server.store)


def test_nothing_is_logged_unless_it_is_asked_for(server: Server) -> None:
    change(server, 0)
    assert waiting(server.store) == 0
    server.store.run("log_on")
    change(server, 1)
    assert waiting(server.store) == 5
    server.store.run("log_off")
    change(server, 2)
    assert waiting(server.store) == 0


# -- what goes wrong


PROGRAM = """
import sys, threading
from pathlib import Path
from onserver.backup.change_log import LogWriter
from onserver.redis.address import parse
from onserver.redis.store import Store
with Store(parse(sys.argv[1]), sys.argv[2]) as store:
    LogWriter(store, Path(sys.argv[3]), "commit", print).run(threading.Event())
"""


def test_a_writer_that_is_killed_loses_nothing(server: Server, other: Server, tmp_path: Path) -> None:
    """What it had written and not let go is written once more by the next one, and counts once."""
    environ = os.environ | {"ONSERVER_CRASH_AT": "in_log:2", "ONSERVER_TESTING": "1"}
    pieces = backup(server, 1)
    words = [f"unix://{server.store.address.path}", server.name, str(tmp_path)]
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *words], env=environ) as writer:
        wait_for(lambda: waiting(server.store))
        for step in range(50):
            change(server, step)
            if writer.poll() is not None:
                break
        assert writer.wait(60) == -signal.SIGKILL
    change(server, 50)
    with logged(server, tmp_path):
        change(server, 51)
    assert len(names(tmp_path)) == 2
    assert restored(other, pieces, tmp_path, server.name).notes == ()
    assert state(other.store) == state(server.store)


def test_a_damaged_tail_is_cut_at_the_last_whole_change_and_said(server: Server, other: Server, tmp_path: Path) -> None:
    pieces = backup(server, 1)
    states = [state(server.store)]
    with logged(server, tmp_path):
        for _ in range(4):
            server.storage.counter("hits").add(1)
            states.append(state(server.store))
    (path,) = tmp_path.glob("*.journal")
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    told = restored(other, pieces, tmp_path, server.name)
    assert (told.changes, len(told.notes)) == (3, 1)
    assert "it was cut off" in told.notes[0]
    assert state(other.store) == states[3]
    path.write_bytes(whole[:-3] + b"\x00\x00\x00")
    assert "its checksum is another" in restored(other, pieces, tmp_path, server.name).notes[0]
    assert state(other.store) == states[3]


def test_changes_that_are_missing_are_missed(server: Server, other: Server, tmp_path: Path) -> None:
    """Nothing is restored then: neither behind a gap, nor up to it."""
    pieces = backup(server, 1)
    with logged(server, tmp_path):
        change(server, 0)
    server.store.run("log_off")
    change(server, 1)
    with logged(server, tmp_path):
        change(server, 2)
    before = state(other.store)
    with pytest.raises(RestoreRefused, match=r"misses 3 changes"):
        restored(other, pieces, tmp_path, server.name)
    assert state(other.store) == before
    later = backup(server, 2)
    first, *_ = sorted(tmp_path.glob("*.journal"))
    first.write_bytes(first.read_bytes()[:40])
    restored(other, later, tmp_path, server.name)
    assert state(other.store) == state(server.store)
    with pytest.raises(RestoreRefused, match="misses"):
        restored(other, pieces, tmp_path, server.name)


def test_numbers_that_jump_at_a_restart_of_redis_are_no_gap(server: Server, other: Server, tmp_path: Path) -> None:
    pieces = backup(server, 1)
    with logged(server, tmp_path):
        change(server, 0)
        server.store.command("HINCRBY", server.store.key("server"), "change", 1_000_000)
        change(server, 1)
    restored(other, pieces, tmp_path, server.name)
    assert state(other.store) == state(server.store)


def test_a_log_does_not_lead_over_a_restore(server: Server, other: Server, tmp_path: Path) -> None:
    pieces = backup(server, 1)
    with logged(server, tmp_path):
        change(server, 0)
        at = now_ms(server.store)
        wait_for(lambda: now_ms(server.store) > at)
        load(server.store, pieces)
        change(server, 1)
        later = backup(server, 2)
        change(server, 2)
    with pytest.raises(RestoreRefused, match="the server was restored behind change"):
        restored(other, pieces, tmp_path, server.name)
    assert restored(other, pieces, tmp_path, server.name, at).changes == 3
    restored(other, later, tmp_path, server.name)
    assert state(other.store) == state(server.store)


def test_changes_are_refused_when_nobody_writes_them_down(server: Server, tmp_path: Path) -> None:
    store = server.store
    store.run("log_on")
    server.storage.counter("hits").add(1)
    before = state(store)
    for _ in range(WAITING // 1_000):
        store.pipeline([("XADD", store.key("journal"), "*", "m", "on", "c", 0, "a", 0, "n", 0)] * 1_000)
    with pytest.raises(ChangesNotLogged, match="1274"):
        server.storage.counter("hits").add(1)
    with pytest.raises(ChangesNotLogged), server.storage.use() as root:
        root["hits"] = 5
    assert state(store) == before
    with logged(server, tmp_path, "never"):
        wait_for(lambda: waiting(store) < WAITING - 1)
        server.storage.counter("hits").add(1)


def test_a_folder_that_takes_nothing_is_said_once_and_holds_nothing_up(
    server: Server, other: Server, tmp_path: Path
) -> None:
    pieces = backup(server, 1)
    folder = tmp_path / "mounted"
    with logged(server, folder) as said:
        change(server, 0)
        wait_for(lambda: said)
        change(server, 1)
        folder.mkdir()
    assert len(said) == 1
    assert "No such file or directory" in said[0]
    restored(other, pieces, folder, server.name)
    assert state(other.store) == state(server.store)


# -- the leader, and the files


def beat(member: Member, *, leader: bool) -> Beat:
    return dataclasses.replace(member.beat(), leader=leader)


def with_settings(server: Server, **settings: Any) -> Server:
    return Server(settings=replace(server.settings, backup=BackupSettings(**settings)))


def test_the_leader_writes_and_who_leads_no_more_does_not(server: Server, tmp_path: Path) -> None:
    with with_settings(server, log=True, folder=str(tmp_path)) as logging, with_settings(server) as silent:
        member = Member.join(server.store, server.settings, "worker", "test")
        duty = ChangeLog(logging, server.store, print)
        duty.heard(beat(member, leader=False))
        change(server, 0)
        assert names(tmp_path) == []
        duty.heard(beat(member, leader=True))
        wait_for(lambda: waiting(server.store))
        change(server, 1)
        wait_for(lambda: waiting(server.store) == 1 and names(tmp_path))
        duty.heard(beat(member, leader=False))
        wait_for(lambda: "onserver-log" not in [thread.name for thread in threading.enumerate()])
        change(server, 2)
        assert waiting(server.store) > 1
        ChangeLog(silent, server.store, print).heard(beat(member, leader=True))
        assert waiting(server.store) == 0


def test_a_bucket_takes_no_log(server: Server) -> None:
    with (
        with_settings(server, log=True, folder="s3://shop/backups") as logging,
        pytest.raises(BadSetting, match="bucket"),
    ):
        ChangeLog(logging, server.store, print)


def test_files_of_archives_that_are_gone_are_removed(server: Server, tmp_path: Path) -> None:
    with logged(server, tmp_path):
        for number in (1, 2, 3):
            change(server, number)
            backup(server, number)
        change(server, 4)
    assert len(segments.segments(tmp_path, server.name)) == 4
    gone = segments.remove_segments(tmp_path, server.name, 2)
    assert [name.partition("[")[2] for name in gone] == ["0000-0001].journal", "0001-0002].journal"]
    assert names(tmp_path) == ["0002-0003].journal", "0003-0004].journal"]
