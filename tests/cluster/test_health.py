"""How a worker is, seen from outside: a file, an HTTP port, and what systemd is told."""

import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onserver.errors import BadSetting
from onserver.life.health import Health
from onserver.life.notify import Notifier
from onserver.life.probe import Probe
from onserver.settings import MemberSettings, Settings
from onserver.testing.cluster import open_cluster
from tests.cluster.conftest import Open
from tests.cluster.jobs import TASKS
from tests.cluster.redis_program import redis_program


class Manager:
    """What stands for systemd: the socket that it would listen on."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.told: list[str] = []

    def heard(self, *words: str) -> bool:
        """Whether it was told these words, once or more."""
        while True:
            try:
                self.told += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return set(words) <= set(self.told)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """In the abstract name space: a path under pytest's folders may be too long for a socket."""
    made = Manager(f"@onserver-test-{os.getpid()}-{tmp_path.name}"[:100])
    yield made
    made.close()


def look(port: int, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, msgspec.json.decode(error.read()) if error.code == 503 else {}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- what is told to systemd


def test_nobody_is_told_where_nobody_listens(tmp_path: Path) -> None:
    Notifier({}).tell(READY=1)
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY=1)


@pytest.mark.parametrize("abstract", [False, True])
def test_a_datagram_has_a_line_for_each_word(tmp_path: Path, abstract: bool) -> None:
    here = Path.cwd()
    os.chdir(tmp_path)  # the name of a socket may have 107 characters
    try:
        manager = Manager(f"@onserver-test-{os.getpid()}" if abstract else "manager")
        Notifier({"NOTIFY_SOCKET": manager.address}).tell(READY=1, STATUS="two\nlines")
        assert manager.heard("READY=1", "STATUS=two lines")
        manager.close()
    finally:
        os.chdir(here)


def health(folder: Path, said: list[str], **given: Any) -> Health:
    settings = Settings(name="t", project=folder, member=MemberSettings(lease_seconds=10.0))
    return Health(settings, "w1", say=said.append, **given)


def test_a_start_asks_for_time_and_an_end_is_said(tmp_path: Path, manager: Manager) -> None:
    worker = health(tmp_path, [], environ={"NOTIFY_SOCKET": manager.address})
    worker.turn("starting", member=7)
    assert manager.heard("EXTEND_TIMEOUT_USEC=30000000", "WATCHDOG=1", "STATUS=starting · member 7")
    assert not manager.heard("READY=1")
    worker.turn("running", member=7)
    assert manager.heard("READY=1", "STATUS=running · member 7")
    worker.reloads()
    assert manager.heard("RELOADING=1")
    assert any(word.startswith("MONOTONIC_USEC=") for word in manager.told)
    manager.told.clear()
    worker.again()
    assert manager.heard("READY=1"), "at once: the manager waits for it"
    worker.turn("draining", member=7)
    assert manager.heard("STOPPING=1", "STATUS=draining · member 7")
    worker.close()


# ---- the file


def test_the_file_is_there_while_the_worker_is_well(tmp_path: Path) -> None:
    said: list[str] = []
    worker = health(tmp_path, said, file="run/{node}.alive")
    file = tmp_path / "run" / "w1.alive"
    worker.turn("starting")
    worker.beat()
    assert not file.exists()
    worker.turn("running")
    assert file.read_text() == "running\n", "at once, and not with the next beat"
    os.utime(file, (1, 1))
    worker.beat()
    assert file.stat().st_mtime > 1
    worker.turn("draining")
    worker.beat()
    assert file.read_text() == "draining\n"
    worker.close()
    assert not file.exists()
    assert list(file.parent.iterdir()) == []
    assert said == []


def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("no folder")
    said: list[str] = []
    worker = health(tmp_path, said, file="taken/file")
    worker.turn("running")
    for _ in range(3):
        worker.beat()
    worker.close()
    assert len(said) == 1
    assert said[0].startswith(f"cannot write {tmp_path}/taken/file: ")


# ---- the port


def test_the_port_answers_what_is_known(tmp_path: Path) -> None:
    worker = health(tmp_path, [], address="127.0.0.1:0")
    assert worker.probe is not None
    port = worker.probe.port
    worker.turn("starting", member=7)
    worker.beat()
    assert look(port, "/ready")[0] == 503
    assert look(port, "/live")[0] == 200
    worker.turn("running", member=7, epoch=3)
    status, facts = look(port, "/ready?from=a+probe")
    assert status == 200
    assert facts.pop("beat_seconds") >= 0
    assert facts == {"ready": True, "live": True, "node": "w1", "phase": "running", "member": 7, "epoch": 3}
    assert look(port, "/other")[0] == 404
    worker.close()
    with pytest.raises(OSError, match="refused"):
        look(port, "/live")


def test_an_address_that_cannot_be_listened_on_is_a_wrong_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for address in (f"127.0.0.1:{taken.getsockname()[1]}", "nowhere", "127.0.0.1:x", "127.0.0.1:99999"):
            with pytest.raises(BadSetting, match=r"worker\.health.*cannot be listened on"):
                Probe(address, dict)


def test_children_do_not_keep_the_port() -> None:
    probe = Probe("127.0.0.1:0", dict)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)  # lives until its parent has looked
        os._exit(0)
    os.close(reader)
    probe.close()
    again = Probe(f"127.0.0.1:{probe.port}", dict)
    again.close()
    os.close(writer)
    os.waitpid(pid, 0)


# ---- workers


@pytest.mark.parametrize("pool", ["", pytest.param("solo", marks=pytest.mark.long)])
def test_a_worker_tells_all_three_from_its_start_to_its_end(
    cluster_of: Open, tmp_path: Path, manager: Manager, pool: str
) -> None:
    file, port = tmp_path / "alive", free_port()
    settings = {"worker.health": f"127.0.0.1:{port}", "worker.health_file": str(file)}
    cluster = cluster_of(1, pool=pool, settings=settings, NOTIFY_SOCKET=manager.address)
    cluster.wait_for(lambda: manager.heard("READY=1", "WATCHDOG=1"))
    cluster.wait_for(lambda: look(port, "/ready")[0] == 200)
    cluster.wait_for(file.exists)
    written = file.stat().st_mtime_ns
    cluster.wait_for(lambda: file.stat().st_mtime_ns > written)
    if not pool:
        cluster.worker(0).signal(signal.SIGUSR2)
        cluster.wait_for(lambda: manager.heard("RELOADING=1"))
        manager.told.clear()
        cluster.wait_for(lambda: manager.heard("READY=1"))
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait() == 0
    assert manager.heard("STOPPING=1")
    assert not file.exists()


def test_a_worker_without_redis_is_alive_and_not_ready(manager: Manager, tmp_path: Path) -> None:
    port = free_port()
    settings = {"worker.health": f"127.0.0.1:{port}"}
    with (
        redis_program(tmp_path / "redis") as redis,
        open_cluster(redis.url, tmp_path, tasks=TASKS, settings=settings) as cluster,
    ):
        cluster.start(1, NOTIFY_SOCKET=manager.address)
        cluster.wait_for(lambda: look(port, "/ready")[0] == 200)
        redis.kill()
        cluster.wait_for(lambda: look(port, "/ready")[0] == 503)
        manager.heard()
        manager.told.clear()
        cluster.wait_for(lambda: manager.heard("WATCHDOG=1"))
        assert look(port, "/live")[0] == 200
        redis.start()
        cluster.wait_for(lambda: look(port, "/ready")[0] == 200)
