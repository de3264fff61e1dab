"""When a connection looks for its answers instead of sleeping: in a row of exchanges, and not otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest

from onserver.process.inbox import Awaited, End, Inbox, Watch
from onserver.redis import streak, wire
from onserver.redis.address import Address
from onserver.redis.answers import Silent
from onserver.redis.link import Link
from onserver.redis.store import Store
from onserver.redis.streak import GAP_SECONDS, LOOK_SECONDS, PAUSE, RUNS, Streak
from onserver.testing.proxy import Proxy
from tests.inline_worker import make_server

_QUICK = 0.0001


def exchanges(row: Streak, count: int, start: float, *, took: float = _QUICK, gap: float = _QUICK) -> list[float]:
    """Make so many; until when each of their answers was looked for, counted from its begin."""
    found = []
    for number in range(count):
        now = start + number * (took + gap)
        until = row.begins(now)
        found.append(until and until - now)
        row.ends(now + took)
    return found


def test_after_some_in_a_row_answers_are_looked_for() -> None:
    found = exchanges(Streak(), RUNS + 3, 100.0)
    assert found == [*[0.0] * RUNS, *[pytest.approx(LOOK_SECONDS)] * 3]


def test_a_pause_ends_the_row() -> None:
    row = Streak()
    exchanges(row, RUNS + 3, 100.0)
    assert exchanges(row, RUNS, 100.1) == [0.0] * RUNS
    assert not any(exchanges(row, 100, 200.0, gap=2 * GAP_SECONDS))


def test_an_answer_that_does_not_come_in_time_is_slept_for_and_so_are_many_after_it() -> None:
    row = Streak()
    exchanges(row, RUNS, 100.0)
    slow = exchanges(row, 1, 100.0 + RUNS * 2 * _QUICK, took=2 * LOOK_SECONDS)
    assert slow == [pytest.approx(LOOK_SECONDS)]
    after = exchanges(row, PAUSE + RUNS + 2, 100.0 + RUNS * 2 * _QUICK + 2 * LOOK_SECONDS + _QUICK)
    assert [bool(until) for until in after] == [*[False] * (PAUSE + RUNS), True, True]


def test_where_answers_take_long_nothing_is_looked_for() -> None:
    assert not any(exchanges(Streak(), 100, 100.0, took=2 * LOOK_SECONDS))


def test_one_processor_is_left_to_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0}, raising=False)
    assert not streak.pays()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    assert streak.pays()


# ---- on a connection


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Each look of any connection, on a machine of two processors and without a hurry."""
    found: list[float] = []
    look = wire.Wire.look
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1}, raising=False)
    monkeypatch.setattr(streak, "GAP_SECONDS", 60.0)
    monkeypatch.setattr(streak, "LOOK_SECONDS", 60.0)

    def noted(self: wire.Wire, until: float) -> None:
        found.append(until)
        look(self, until)

    monkeypatch.setattr(wire.Wire, "look", noted)
    yield found
    assert all(before <= after for before, after in pairwise(found))


def test_who_asks_one_thing_after_the_other_looks_for_answers(redis_address: Address, looks: list[float]) -> None:
    with Link(redis_address, connect_seconds=20, command_seconds=20, eager=True) as link:
        assert [link.command("ECHO", n) for n in range(RUNS + 5)] == [str(n).encode() for n in range(RUNS + 5)]
        assert len(looks) == 5
        assert link.pipeline([("ECHO", "a"), ("ECHO", "b")]) == [b"a", b"b"]
        assert len(looks) == 6


def test_a_connection_of_ones_own_sleeps(redis_address: Address, looks: list[float]) -> None:
    with Store(redis_address, "streak") as store, store.link() as link:
        for n in range(2 * RUNS):
            link.command("ECHO", n)
        assert looks == []
        for n in range(2 * RUNS):
            store.command("ECHO", n)
        assert len(looks) >= RUNS - 1


def test_silence_ends_at_the_deadline_as_ever(redis_address: Address, tmp_path: Path, looks: list[float]) -> None:
    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        Link(proxy.address, connect_seconds=20, command_seconds=20, eager=True) as link,
    ):
        for n in range(RUNS):
            link.command("ECHO", n)
        proxy.black_hole()
        with pytest.raises(Silent):
            link.command("PING", timeout=0.2)
        assert len(looks) == 1
        assert not link.connected


# ---- while results are waited for


def subscribed(address: Address) -> Link:
    link = Link(address, connect_seconds=20, command_seconds=20, eager=True)
    link.command("SUBSCRIBE", "news")
    return link


def test_who_alone_waits_for_messages_in_a_row_looks_for_them(redis_address: Address, looks: list[float]) -> None:
    with subscribed(redis_address) as link, Link(redis_address) as other:
        for n in range(2 * RUNS):
            other.command("PUBLISH", "news", n)
            assert link.receive(20)[2] == str(n).encode()
        assert looks == []
        for n in range(RUNS + 5):
            other.command("PUBLISH", "news", n)
            assert link.hear(20)[2] == str(n).encode()
        assert len(looks) == 6  # what was not waited for alone is no part of the row; the subscription is


def test_a_message_that_has_arrived_with_another_is_not_looked_for(redis_address: Address, looks: list[float]) -> None:
    with subscribed(redis_address) as link, Link(redis_address) as other:
        for n in range(RUNS):
            other.command("PUBLISH", "news", n)
            link.hear(20)
        other.pipeline([("MULTI",), *[("PUBLISH", "news", n) for n in range(5)], ("EXEC",)])
        for _ in range(5):
            link.hear(20)
            assert monotonic() < looks[-1]


class Told(Awaited):
    """Something whose end is told, and cannot be looked up."""

    def look(self, address: str) -> End | None:
        raise AssertionError(address)


@pytest.mark.parametrize(("eager", "others", "looked"), [(True, 0, True), (True, 1, False), (False, 0, False)])
def test_one_caller_looks_for_results_and_several_or_the_thread_of_coroutines_do_not(
    onserver_redis: str, looks: list[float], eager: bool, others: int, looked: bool
) -> None:
    server = make_server("streak", onserver_redis)
    with server.store.link() as link:
        inbox = server.part(Inbox)
        inbox.attach(Told(), Watch())
        inbox.connect()
        inbox._waiting.update({Watch(): None for _ in range(others)})
        looks.clear()
        for _ in range(2 * RUNS - 1):
            one, watch = Told(), Watch(eager=eager)
            client, token = inbox.early_address(one).split()
            link.command("PUBLISH", server.store.key(f"c:{client}"), f"{token} 1 done x")
            inbox.attach(one, watch)
            inbox.wait(watch, 20)
            assert watch.ended.popleft() is one
            assert one.end == End("done", b"x")
        assert bool(looks) == looked


def test_silence_while_a_message_is_looked_for_ends_in_time_and_leaves_the_connection(
    redis_address: Address, tmp_path: Path, looks: list[float]
) -> None:
    with Proxy(redis_address, tmp_path / "proxy") as proxy, subscribed(proxy.address) as link:
        with Link(redis_address) as other:
            for n in range(RUNS):
                other.command("PUBLISH", "news", n)
                link.hear(1)
            before = len(looks)
            proxy.black_hole()
            with pytest.raises(Silent):
                link.hear(1)
        assert len(looks) == before + 1
        assert link.connected


class Looked(Awaited):
    """Something of whose end nobody is told: it has to be looked up."""

    def look(self, address: str) -> End | None:
        return End("done", address.encode())


def interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_result_that_is_looked_for_is_found_after_a_broken_connection_and_after_ctrl_c(
    redis_address: Address, tmp_path: Path, looks: list[float], monkeypatch: pytest.MonkeyPatch, interrupt: bool
) -> None:
    with Proxy(redis_address, tmp_path / "proxy") as proxy:
        server = make_server("streak", f"unix://{proxy.address.path}")
        inbox = server.part(Inbox)
        inbox.attach(Told(), Watch())
        inbox.connect()
        with server.store.link() as link:
            for _ in range(RUNS):
                one = Told()
                client, token = inbox.early_address(one).split()
                link.command("PUBLISH", server.store.key(f"c:{client}"), f"{token} 1 done x")
                assert list(inbox.ends((one,), 20)) == [one]
        assert looks
        happens: Callable[[], None] = interrupted if interrupt else proxy.reset
        look = wire.Wire.look

        def broken(self: wire.Wire, until: float) -> None:
            monkeypatch.setattr(wire.Wire, "look", look)
            happens()
            look(self, until)

        monkeypatch.setattr(wire.Wire, "look", broken)
        lost = Looked()
        inbox.early_address(lost)
        if interrupt:
            with pytest.raises(KeyboardInterrupt):
                list(inbox.ends((lost,), 20))
            assert not inbox._reading.locked()
            assert not inbox._waiting
        assert list(inbox.ends((lost,), 20)) == [lost]
        assert lost.end is not None
        assert lost.end.state == "done"
