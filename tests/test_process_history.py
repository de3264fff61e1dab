"""What has ended is kept for a time and by count, each kind by itself: nothing grows for ever."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from onserver import execute_many, execute_on_server, procedure
from onserver.cluster.sweep import trim
from onserver.process.record import State, read_record
from onserver.redis.address import Address
from onserver.testing.inline import OnServer
from tests.inline_worker import make_server

KEPT = 5


@procedure
def fine(n: int) -> int:
    return n


@procedure
def wrong(n: int) -> None:
    raise ValueError(n)


@procedure(dead_letter=True)
def worse(n: int) -> None:
    raise ValueError(n)


@pytest.fixture
def few(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnServer]:
    """A server that keeps five of each kind: a minute those that ended well, an hour all others."""
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    kept = {"keep_count": KEPT, "keep_seconds": 60.0, "keep_failed_seconds": 3600.0}
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}", **kept) as server:
        opened = OnServer(server)
        opened.open()
        yield opened
        opened.close()


def kept(opened: OnServer) -> list[int]:
    """Numbers of all that the history has, and only what has a record."""
    store = opened.server.store
    numbers = [int(n) for kind in ("ended", "failed", "dead") for n in store.command("ZRANGE", store.key(kind), 0, -1)]
    assert all(read_record(store, number) for number in numbers)
    return numbers


def test_each_kind_is_bounded_by_its_own_count(few: OnServer) -> None:
    done = [p.number for p in execute_many(fine, range(230))]  # first: numbers of one length stand in their order
    failed = [p.number for p in execute_many(wrong, range(KEPT + 2))]  # even where they end in one millisecond
    dead = [p.number for p in execute_many(worse, range(KEPT + 2))]
    trim(few.server.store, few.server.settings)
    assert kept(few) == done[-KEPT:] + failed[-KEPT:] + dead[-KEPT:]
    assert read_record(few.server.store, done[0]) is None
    trim(few.server.store, few.server.settings)
    assert len(kept(few)) == 3 * KEPT


def test_each_kind_is_bounded_by_its_own_time(few: OnServer) -> None:
    _, failed, dead = (execute_on_server(one, 1).number for one in (fine, wrong, worse))
    few.advance(61)
    trim(few.server.store, few.server.settings)
    assert kept(few) == [failed, dead]
    few.advance(3600)
    trim(few.server.store, few.server.settings)
    assert kept(few) == []


def test_what_lives_is_not_history(few: OnServer) -> None:
    waiting = fine.options(delay=100_000)(1)
    execute_many(fine, range(2 * KEPT))
    few.advance(7200)
    trim(few.server.store, few.server.settings)
    assert kept(few) == []
    assert waiting.state == "delayed"


def test_what_is_aborted_is_kept_as_what_has_failed(few: OnServer) -> None:
    gone = fine.options(delay=100)(1)
    gone.abort()
    trim(few.server.store, few.server.settings)
    assert kept(few) == [gone.number]
    few.advance(3601)
    trim(few.server.store, few.server.settings)
    assert kept(few) == []


def test_the_codes_of_the_original() -> None:
    codes = {state.value: state.code_4d for state in State}
    assert codes == {
        "queued": None, "delayed": 1, "running": 0, "waiting": 4, "paused": 5,
        "done": None, "failed": None, "aborted": -1, "lost": None, "dead": None,
    }  # fmt: skip
