import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from onserver.errors import BadSetting, BrokerUnavailable, NoRedis
from onserver.redis import stamp
from onserver.redis.binary import ServerBinary
from onserver.redis.embedded import Embedded
from onserver.redis.home import FileLock, is_locked
from onserver.redis.keeper import Running
from onserver.redis.link import Link
from onserver.redis.place import home_of
from onserver.redis.search import find_server
from onserver.redis.serving import CLEAN_STOP, answers
from onserver.redis.store import Store
from onserver.testing.wait import wait_for
from tests.measure import at_best

_ROOT = Path(__file__).parents[1]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Embedded]:
    """An embedded Redis that a test may do anything to."""
    with Embedded(tmp_path / "project", appendfsync="always", linger_seconds=0) as embedded:
        yield embedded
    _wait_until_gone(embedded)


def _wait_until_gone(embedded: Embedded) -> None:
    wait_for(lambda: not is_locked(embedded.home.keeper), what="the keeper to end")
    wait_for(lambda: not is_locked(embedded.home.server), what="the server to end")


def _running(embedded: Embedded) -> Running:
    return wait_for(embedded.running, what="keeper and server")


def _program(project: Path, body: str) -> subprocess.Popen[str]:
    code = (
        "import sys, pathlib\n"
        "from onserver.redis.embedded import Embedded\n"
        f"embedded = Embedded(pathlib.Path({str(project)!r}), linger_seconds=0.1)\n" + body
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(_ROOT / "src")},
    )


def test_it_is_a_private_append_only_server_that_evicts_nothing(own: Embedded) -> None:
    with Link(own.start()) as link:
        for name, value in {
            "appendonly": b"yes",
            "appendfsync": b"always",
            "maxmemory-policy": b"noeviction",
            "hash-max-listpack-value": b"1024",
            "port": b"0",
            "save": b"",
        }.items():
            assert link.command("CONFIG", "GET", name) == [name.encode(), value]
    assert own.home.socket.stat().st_mode & 0o777 == 0o700
    assert own.home.data.stat().st_mode & 0o777 == 0o700


def test_it_starts_quickly(own: Embedded) -> None:
    own.start()

    def start_again() -> float:
        own.close()
        _wait_until_gone(own)
        began = time.monotonic()
        own.start()
        return time.monotonic() - began

    at_best(start_again, 1.0)  # 0.12 s on an idle machine


def test_it_ends_after_its_last_user_in_good_order_and_keeps_the_data(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path, linger_seconds=0)
    with Link(embedded.start()) as link:
        link.command("SET", "kept", "1")
    embedded.close()
    _wait_until_gone(embedded)
    assert not embedded.home.socket.exists()
    assert embedded.running() is None
    with Link(embedded.start()) as link:
        assert link.command("GET", "kept") == b"1"
        assert link.command("GET", CLEAN_STOP) == b"1"
    embedded.close()
    _wait_until_gone(embedded)


def test_it_outlives_its_last_user_for_a_while(tmp_path: Path) -> None:
    first = Embedded(tmp_path, linger_seconds=60)
    first.start()
    keeper = _running(first).keeper
    first.close()
    with Embedded(tmp_path, linger_seconds=60) as second:
        second.start()
        assert _running(second).keeper == keeper
    os.kill(keeper, signal.SIGTERM)
    _wait_until_gone(first)


def test_who_reads_the_process_ids_while_a_server_is_replaced_has_the_whole_old_ones(own: Embedded) -> None:
    own.start()
    first = _running(own)
    with own.home.running.open("rb") as opened_before:
        os.kill(first.server, signal.SIGKILL)
        wait_for(lambda: _running(own).server != first.server, what="the keeper to start another")
        assert Running(**json.loads(opened_before.read())) == first


def test_a_killed_program_does_not_keep_it(tmp_path: Path) -> None:
    program = _program(tmp_path, "embedded.start(); print('up', flush=True); sys.stdin.read()")
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == "up\n"
        watcher = Embedded(tmp_path)
        assert answers(watcher.home)
        program.kill()
    _wait_until_gone(watcher)


def test_programs_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    programs = [
        _program(tmp_path, "embedded.start(); print(embedded.running().server, flush=True); sys.stdin.read()")
        for _ in range(5)
    ]
    servers = {program.stdout.readline() for program in programs if program.stdout}
    for program in programs:
        with program:
            program.kill()
    assert len(servers) == 1
    _wait_until_gone(Embedded(tmp_path))


def test_a_program_that_starts_while_the_keeper_ends_gets_a_server(tmp_path: Path) -> None:
    for _ in range(8):
        embedded = Embedded(tmp_path, linger_seconds=0)
        with Link(embedded.start()) as link:
            assert link.command("PING") == b"PONG"
        embedded.close()  # the keeper ends now, and the next round starts
    _wait_until_gone(Embedded(tmp_path))


def test_a_killed_server_comes_back_for_the_program_that_lives(own: Embedded) -> None:
    with Store(own.start(), "shop") as store:
        store.command("SET", store.key("kept"), "1")
        os.kill(_running(own).server, signal.SIGKILL)
        assert store.command("GET", store.key("kept")) == b"1"


def test_a_killed_keeper_takes_its_server_along_and_a_program_that_lives_gets_both_back(own: Embedded) -> None:
    address = own.start()
    with Store(address, "shop") as store:
        store.on_refused.append(own.revive)
        store.command("SET", store.key("kept"), "1")
        before = _running(own)
        os.kill(before.keeper, signal.SIGKILL)
        wait_for(lambda: store.command("GET", store.key("kept")) == b"1" and _running(own).keeper != before.keeper)
        assert _running(own).server != before.server


def test_numbers_go_on_after_a_stop_in_good_order_and_jump_after_a_crash(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path, appendfsync="always", linger_seconds=0)
    with Store(embedded.start(), "shop") as store:
        store.command("HSET", store.key("numbers"), "process", 7)
    embedded.close()
    _wait_until_gone(embedded)
    changed: list[str] = []
    with Store(embedded.start(), "shop") as store:
        store.on_changed.append(lambda: changed.append("clean"))
        assert store.command("HGET", store.key("numbers"), "process") == b"7"
        os.kill(_running(embedded).server, signal.SIGKILL)
        assert store.command("HGET", store.key("numbers"), "process") == b"1000007"
    assert changed == ["clean", "clean"]
    embedded.close()
    _wait_until_gone(embedded)


def test_children_of_a_program_hold_it_too(own: Embedded) -> None:
    own.start()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.read(read, 1)
        os._exit(0)
    own.close()
    probe = FileLock(own.home.users)
    assert not probe.take(), "the keeper could take the lock and end the server"
    probe.close()
    assert answers(own.home)
    os.write(write, b"x")
    os.waitpid(child, 0)
    _wait_until_gone(own)
    os.close(read)
    os.close(write)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for that of a socket, whatever the folder of this run is called."""
    with TemporaryDirectory(prefix="on-") as folder:
        yield Path(folder)


def test_a_long_path_has_its_socket_in_a_private_folder(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = short / "run"
    run.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    project = tmp_path / ("long" * 25)
    home = home_of(project)
    assert home.folder == project / ".onserver" / "redis"
    assert home.socket.is_relative_to(run)
    assert home == home_of(project)
    embedded = Embedded(project, linger_seconds=0)
    for _ in range(2):  # nothing is left of it, and it comes again
        assert embedded.start().path == str(home.socket)
        assert home.socket.parent.stat().st_mode & 0o777 == 0o700
        embedded.close()
        _wait_until_gone(embedded)
        assert not home.socket.parent.exists()


def test_a_project_that_cannot_be_written_to_has_it_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    project = tmp_path / "project"
    project.write_text("no folder can be made in here, not even by root")
    assert home_of(project).folder.is_relative_to(tmp_path / "state")


def test_a_folder_that_somebody_else_made_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(NoRedis, match="another user"):
        home_of(tmp_path / ("long" * 25))


def test_the_server_of_the_wheel_comes_before_path() -> None:
    found = find_server()
    assert (found.engine, found.source) == ("valkey", "wheel")
    assert found.numbers >= (9,)


def test_a_server_can_be_named(tmp_path: Path) -> None:
    wheel = find_server()
    assert find_server(str(wheel.path)).source == "setting redis_server"
    with pytest.raises(BadSetting, match="no Redis or Valkey server"):
        find_server(sys.executable)
    with pytest.raises(BadSetting, match="no Redis or Valkey server"):
        find_server(str(tmp_path / "nothing"))


def _pretend(path: Path, version: str) -> Path:
    path.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0:0 malloc=libc bits=64 build=0'\n")
    path.chmod(0o755)
    return path


def test_without_a_wheel_path_is_searched_for_one_that_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onserver.redis.search.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoRedis):
        find_server()
    _pretend(tmp_path / "redis-server", "6.2.14")
    with pytest.raises(NoRedis, match=r"6\.2\.14"):
        find_server()
    _pretend(tmp_path / "redis-server", "7.0.15")
    assert find_server() == ServerBinary(tmp_path / "redis-server", "redis", "7.0.15", "PATH")


@pytest.mark.parametrize(
    ("written", "by", "readable"),
    [
        (("valkey", "9.1.2"), ("valkey", "9.1.2"), True),
        (("valkey", "9.0.0"), ("valkey", "9.1.2"), True),
        (("valkey", "9.1.2"), ("valkey", "9.0.0"), False),
        (("valkey", "8.0.0"), ("redis", "8.2.0"), False),
        (("redis", "7.0.15"), ("valkey", "9.1.2"), True),
        (("redis", "8.2.3"), ("valkey", "9.1.2"), False),
        (("redis", "7.0.15"), ("redis", "7.2.0"), True),
    ],
)
def test_who_can_read_whose_data(written: tuple[str, str], by: tuple[str, str], readable: bool) -> None:
    binary = ServerBinary(Path("server"), *by, "PATH")
    assert stamp.readable(stamp.Stamp(*written, "server", "PATH"), binary) is readable


def test_data_of_another_engine_is_opened_by_the_program_that_wrote_it(own: Embedded, tmp_path: Path) -> None:
    own.start()
    found = own.binary
    assert found is not None
    older = ServerBinary(tmp_path / "redis-server", "redis", "7.0.15", "PATH")
    assert stamp.choose(own.home, older).path == found.path


def test_data_that_nobody_here_can_read_is_left_alone_with_a_remedy(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path, linger_seconds=0)
    embedded.start()
    embedded.close()
    _wait_until_gone(embedded)
    written = json.loads(embedded.home.stamp.read_text())
    embedded.home.stamp.write_text(json.dumps({**written, "version": "99.0.0"}))
    with pytest.raises(BrokerUnavailable, match=r"valkey 99\.0\.0 wrote") as refused:
        embedded.start()
    assert "valkey 99.0.0 again" in refused.value.remedy
    embedded.close()
    _wait_until_gone(embedded)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path, linger_seconds=0)
    with Link(embedded.start()) as link:
        link.command("SET", "a", "b" * 1000)
    embedded.close()
    _wait_until_gone(embedded)
    (manifest,) = (embedded.home.data / "appendonlydir").glob("*.manifest")
    manifest.write_text("nonsense\n")
    with pytest.raises(BrokerUnavailable, match="could not be started") as refused:
        embedded.start()
    assert str(embedded.home.log) in refused.value.remedy
    embedded.close()
    _wait_until_gone(embedded)
