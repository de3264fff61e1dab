"""What a worker reads of its machine: levels with slack, pressure, room on a disk, clocks that are changed, sleep."""

from __future__ import annotations

from pathlib import Path

import pytest

from onserver.cluster.member import Member
from onserver.life.herald import Herald
from onserver.life.marks import Clocks, Level, Pressure, is_remote, read_pressure, read_room, uptime
from onserver.redis.store import Store
from onserver.server import Server
from onserver.settings import Settings


def test_a_level_is_told_at_the_first_look_and_when_it_changes() -> None:
    level = Level(20)
    looks = [(value, level.look(value), level.over) for value in (0, 19, 20, 25, 18.5, 18, 19, 21)]
    assert looks == [
        (0, True, False), (19, False, False), (20, True, True), (25, False, True), (18.5, False, True),
        (18, True, False), (19, False, False), (21, True, True),
    ]  # fmt: skip


def test_a_mark_of_nought_is_never_passed() -> None:
    level = Level(0)
    assert [level.look(value) for value in (0, 100)] == [True, False]
    assert level.over is False


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("some avg10=1.50 avg60=0 avg300=0 total=1\nfull avg10=0.25 avg60=0 avg300=0 total=1\n", Pressure(1.5, 0.25)),
        ("some avg10=3.00 avg60=0.00 avg300=0.00 total=9\n", Pressure(3.0, 0.0)),
    ],
)
def test_pressure_is_read_as_the_kernel_writes_it(tmp_path: Path, text: str, read: Pressure) -> None:
    (tmp_path / "memory").write_text(text)
    assert read_pressure(tmp_path / "memory") == read


def test_a_kernel_that_tells_no_pressure_is_not_watched(tmp_path: Path) -> None:
    assert read_pressure(tmp_path / "memory") is None


def test_room_on_a_disk(tmp_path: Path) -> None:
    room = read_room(tmp_path)
    assert room is not None
    assert room.free_bytes > 0
    assert 0 < room.percent <= 100
    assert room.disk == tmp_path.stat().st_dev
    assert read_room(tmp_path / "not there") is None


class Time:
    """Three clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall, self.boot, self.steady = 1e9, 5000.0, 4000.0

    def pass_(self, seconds: float) -> None:
        self.wall, self.boot, self.steady = self.wall + seconds, self.boot + seconds, self.steady + seconds

    def sleep(self, seconds: float) -> None:
        self.wall, self.boot = self.wall + seconds, self.boot + seconds

    def clocks(self) -> Clocks:
        return Clocks(5.0, lambda: self.wall, lambda: self.boot, lambda: self.steady)


def test_a_wall_clock_that_is_changed_is_told_once_and_by_how_much() -> None:
    time = Time()
    clocks = time.clocks()
    time.pass_(100)
    assert clocks.jumped() is None
    time.wall += 3600
    time.pass_(2)
    assert clocks.jumped() == pytest.approx(3600)
    assert clocks.jumped() is None
    time.wall -= 3600
    assert clocks.jumped() == pytest.approx(-3600)
    time.wall += 4
    assert clocks.jumped() is None, "what is less is set by whoever keeps time"


def test_sleep_is_no_jump() -> None:
    time = Time()
    clocks = time.clocks()
    time.sleep(900)
    time.pass_(3)
    assert clocks.jumped() is None
    assert clocks.slept() == pytest.approx(900)
    assert clocks.slept() is None


def test_the_clock_of_redis_is_told_from_answers_that_are_late() -> None:
    clocks = Time().clocks()
    assert clocks.heard(1_000_000, 10.0, 10.1) is None
    assert clocks.heard(1_002_000, 12.0, 12.1) is None
    assert clocks.heard(1_012_000, 14.0, 22.1) is None, "the answer took eight seconds"
    assert clocks.heard(1_014_000, 24.0, 24.1) is None
    assert clocks.heard(1_076_000, 26.0, 26.1) == pytest.approx(59.9, abs=0.2)
    assert clocks.heard(1_018_000, 28.0, 28.1) == pytest.approx(-59.9, abs=0.2)
    clocks.forget()
    assert clocks.heard(9_000_000, 30.0, 30.1) is None, "another Redis has another clock"


def test_time_since_boot_goes_on() -> None:
    before = uptime()
    assert uptime() >= before > 0


def test_a_disk_on_another_machine_is_not_asked(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/vda / ext4 rw 0 0\nbox:/b /srv/back\\040ups nfs4 rw 0 0\ntmpfs /srv/back\\040ups/here tmpfs rw 0 0\n"
    )
    remote = {
        path: is_remote(Path(path), mounts) for path in ("/srv", "/srv/back ups/shop", "/srv/back ups/here/x", "/")
    }
    assert remote == {"/srv": False, "/srv/back ups/shop": True, "/srv/back ups/here/x": False, "/": False}
    assert not is_remote(tmp_path, tmp_path / "no list")
    assert not is_remote(Path("/proc"))


# ---- what a herald makes of it


def test_sleep_is_told_once_by_logind_or_else_afterwards(store: Store) -> None:
    server = Server(settings=Settings(name=store.name, redis=store.address.url()))
    member, time = Member.join(store, server.settings, "worker", "w1"), Time()
    herald = Herald(server, store)
    herald._clocks = time.clocks()

    def look() -> list[str]:
        herald.heard(member.beat(), uptime())
        return [event.name for event in herald.flush(member) if event.code < 100]

    assert look() == []
    herald.asleep()
    assert look() == ["background"]
    time.sleep(600)
    assert look() == [], "the one who has told that it would sleep tells that it is awake"
    herald.awake()
    assert look() == ["foreground"]
    store.command("DEL", *(store.key(f"told:{name} {herald._host}") for name in ("background", "foreground")))
    time.sleep(600)
    assert look() == ["background", "foreground"], "nobody has told it"
    server.close()
