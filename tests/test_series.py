"""The time series: each time is written once, whoever leads; what is not known is None; all is bounded."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from onserver import execute_on_server, procedure
from onserver.cli.command import run
from onserver.cli.series import sparks
from onserver.cluster.member import Member
from onserver.cluster.memory import of_tree
from onserver.cluster.sweep import bury_member, trim
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.server import Server
from onserver.settings import ProcessSettings, Settings
from onserver.views.series import NAMES, Span, read
from tests.inline_worker import make_server, working

STEP = 10_000
begun, gate = threading.Event(), threading.Event()


@procedure(name="series.waits")
def waits() -> None:
    begun.set()
    gate.wait(30)


class Floor:
    """A server whose clock the test moves, and its leader."""

    def __init__(self, server: Server) -> None:
        self.server, self.store = server, server.store
        self.member = self.joined()
        self.to_begin()

    def joined(self) -> Member:
        member = Member.join(self.store, self.server.settings, "worker", "w1")
        member.beat()
        return member

    def now(self) -> int:
        seconds, micro = self.store.command("TIME")
        return int(seconds) * 1000 + int(micro) // 1000 + int(self.store.command("GET", self.store.key("clock")) or 0)

    def to_begin(self) -> int:
        """Go to a second after the beginning of the next slot. Returns its beginning."""
        begin = (self.now() // STEP + 1) * STEP
        self.advance(begin + 1000 - self.now())
        return begin

    def advance(self, ms: int) -> None:
        self.store.command("INCRBY", self.store.key("clock"), ms)
        self.store._ahead += ms / 1000

    def look(self, member: Member | None = None) -> None:
        """What the leader does with its beat."""
        member = member or self.member
        self.store.run("silent", member.number, 10**9, 0, 0)

    def ended(self, *numbers: int, kind: str = "ended", state: str = "done", wait_ms: int = 0) -> None:
        """Let these processes have ended now."""
        now = self.now()
        for number in numbers:
            record = ("s", state, "a", now - 5000, "g", now - 5000 + wait_ms, "f", now)
            self.store.command("HSET", self.store.key(f"p:{number}"), *record)
            self.store.command("ZADD", self.store.key(kind), now, number)

    def known(self, name: str, span: Span = "15m") -> list[float]:
        """The values that are known."""
        return [value for value in read(self.server, span).values[name] if value is not None]


@pytest.fixture
def floor(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with make_server(f"series{uuid4().hex[:8]}", f"unix://{redis_address.path}") as server:
        yield Floor(server)
        assert [orphan for orphan in find_orphans(server.store) if "series" in str(orphan)] == []


def test_each_slot_is_written_once_and_counts_what_ended_in_it(floor: Floor) -> None:
    begin = floor.now() // STEP * STEP
    floor.ended(1, 2, 3, wait_ms=2000)
    floor.ended(4, kind="failed", state="failed", wait_ms=100)
    floor.ended(5, kind="failed", state="aborted")
    floor.ended(6, kind="dead", state="dead")
    floor.to_begin()
    floor.ended(7)
    for _ in range(3):
        floor.look()
    series = read(floor.server, "15m")
    assert series.times_ms[-1] == begin + STEP
    assert len(series.times_ms) == 90
    assert {len(values) for values in series.values.values()} == {90}
    assert series.values["ended"][-1] == 6
    assert series.values["failed"][-1] == 2
    assert series.values["throughput"][-1] == pytest.approx(0.6)
    assert series.values["wait_p95"][-1] == pytest.approx(2.0)
    assert (series.last("worker_memory") or 0) > 1_000_000
    assert all(series.values[name][:-1] == [None] * 89 for name in NAMES)
    floor.to_begin()
    floor.look()
    assert floor.known("ended") == [6, 1]


def test_another_leader_neither_doubles_nor_loses(floor: Floor) -> None:
    floor.ended(1, 2)
    floor.to_begin()
    floor.look()
    floor.look(other := floor.joined())
    floor.ended(3)
    bury_member(floor.store, floor.server.settings, floor.member.number, "was killed")
    for _ in range(2):  # nobody leads for a while, and others work on
        floor.to_begin()
        floor.ended(4 if _ else 5)
    floor.to_begin()
    floor.look(other)
    assert floor.known("ended") == [2, 1, 1, 1]
    assert read(floor.server, "15m").values["busy"][-4:] == [0, None, None, 0]


def test_while_no_worker_is_there_nothing_is_known(floor: Floor) -> None:
    floor.ended(1)
    floor.to_begin()
    floor.look()
    floor.advance(300_000)
    floor.to_begin()
    floor.ended(2)
    floor.to_begin()
    floor.look()
    ended = read(floor.server, "15m").values["ended"]
    gap = ended[ended.index(1.0) + 1 :]
    assert gap[:-7] == [None] * (len(gap) - 7)  # but for the last minute, which is counted afterwards
    assert len(gap) > 30
    assert gap[-7:] == [0, 0, 0, 0, 0, 0, 1]
    assert floor.known("ended", "24h")[0] == 1


def test_what_left_the_history_before_it_was_counted_is_counted(floor: Floor) -> None:
    floor.ended(*range(1, 21))
    floor.ended(21, kind="failed", state="failed")
    floor.ended(22, 23, kind="failed", state="aborted")
    settings = floor.server.settings
    few = Settings(name=settings.name, process=ProcessSettings(keep_count=1))
    trim(floor.store, few)
    assert floor.store.command("ZCARD", floor.store.key("ended")) == 1
    floor.ended(24)
    floor.store.run("forget", "#24")
    floor.to_begin()
    trim(floor.store, few)
    floor.look()
    trim(floor.store, few)
    assert floor.known("ended") == [24]
    assert floor.known("failed") == [1]
    assert floor.store.command("EXISTS", floor.store.key("series:left")) == 0


def test_longer_spans_are_made_of_the_shorter_ones_and_all_is_bounded(floor: Floor) -> None:
    for number in range(1, 3 * 60 + 1):
        floor.ended(number)
        floor.to_begin()
        floor.look()
    assert sum(floor.known("ended", "1h")) == 180
    minutes = floor.known("ended", "24h")
    assert 170 <= sum(minutes) <= 180
    assert set(minutes[1:]) == {6}
    assert floor.known("throughput", "24h")[-1] == pytest.approx(0.1)
    tens = floor.known("ended", "7d")
    assert set(tens[1:]) == {60}
    for key, most in (("10s", 362), ("1m", 1442), ("10m", 1010)):
        floor.store.command("RPUSH", floor.store.key(f"series:{key}"), *["1 " + "- " * 9 + "1"] * most)
    floor.store.command("DEL", *[floor.store.key(f"series:{key}") for key in ("1m", "10m")])
    for _ in range(7):
        floor.to_begin()
        floor.look()
    assert floor.store.command("LLEN", floor.store.key("series:10s")) <= 362


def test_a_clock_that_was_set_back_does_not_stop_it(floor: Floor) -> None:
    floor.look()
    floor.advance(3_600_000)
    floor.to_begin()
    floor.look()
    floor.advance(-3_600_000)
    floor.to_begin()
    floor.look()
    assert len(floor.known("ended", "1h")) in (2, 3)
    newest = read(floor.server, "15m")
    assert newest.last("ended") == 0


def test_a_time_that_is_yet_to_be_written_is_no_gap(floor: Floor) -> None:
    floor.look()
    begin = floor.to_begin()
    assert read(floor.server, "15m").times_ms[-1] == begin - STEP
    floor.advance(6000)
    late = read(floor.server, "15m")
    assert (late.times_ms[-1], late.last("ended")) == (begin, None)


def test_workers_say_how_much_memory_they_take() -> None:
    assert of_tree() > 5_000_000


def test_how_it_stands_is_written(redis_address: Address) -> None:
    with make_server(f"series{uuid4().hex[:8]}", f"unix://{redis_address.path}") as server, working(server) as worker:
        running = execute_on_server(waits)
        execute_on_server(waits)
        execute_on_server(waits.options(delay=600))
        assert begun.wait(10)
        server.store.run("silent", worker.engine.member.number, 10**9, 0, 0)
        gate.set()
        running.result(timeout=10)
        series = read(server, "15m")
    assert {name: series.last(name) for name in ("slots", "busy", "queued", "delayed")} == {
        "slots": 1, "busy": 1, "queued": 1, "delayed": 1,
    }  # fmt: skip
    assert (series.last("memory") or 0) > 100_000


def test_the_command_prints_a_line_for_each_series(
    redis_address: Address, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    name = f"series{uuid4().hex[:8]}"
    (tmp_path / "config" / "onserver.toml").write_text(f'name = "{name}"\nredis = "unix://{redis_address.path}"\n')
    monkeypatch.chdir(tmp_path)
    with make_server(name, f"unix://{redis_address.path}") as server:
        floor = Floor(server)
        floor.look()
    words = ("--span", "15m", "--project", str(tmp_path))
    assert run(["series", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SERIES", "NOW", "HIGHEST", "UNIT", "15M"]
    assert [line.split()[0] for line in lines[1:]] == [
        "throughput", "failures", "wait_p95", "busy", "slots", "queued", "delayed", "memory", "worker_memory",
    ]  # fmt: skip
    assert re.search(r"memory +\d\S* +\d\S* +MB +·{44}█", lines[8])
    assert run(["series", "--table", *words]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert len(row.split()) == len(head.split()) + 1 == 11
    assert run(["series", "--json", *words]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["step_ms"] == STEP
    assert set(data["values"]) == set(NAMES)
    assert run(["series", "--span", "2h"]) == 2


def test_bars_go_from_nought_to_the_highest_and_show_gaps() -> None:
    assert sparks([0, 1, None, 7, 14]) == "▁▂·▅█"
    assert sparks([0, 0]) == "▁▁"
    assert sparks([None, 1, 2, None, None, 4], width=3) == "▃▅█"
    assert len(sparks([1.0] * 1440)) == 60
