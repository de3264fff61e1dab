"""Lists of processes in pages: each process once, in order, behind a cursor, whatever has begun or ended meanwhile."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from onserver import Server, execute_many, execute_on_server, procedure
from onserver.errors import NoWorker
from onserver.process.record import State
from onserver.redis.address import Address
from onserver.views.listing import LIVING, MOST_LOOKED, Wanted, counts, listing, read_cursor
from onserver.views.processes import Row, Seen
from tests.inline_worker import make_server, working

ENDED = frozenset(State) - LIVING


@procedure(name="listed.adds")
def adds(n: int, word: str = "") -> int:
    return n


@procedure(name="listed.fails", redact=True)
def fails(word: str = "") -> None:
    raise ValueError(word)


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with (
        make_server(f"li{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made,
        made.as_current(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NoWorker)
        yield made


def ended(server: Server, number: int, ms: int, kind: str = "ended", state: str = "done") -> None:
    """Write a process down that has ended."""
    facts = ("s", state, "t", "listed.adds", "q", "default", "a", ms, "g", ms, "f", ms)
    server.store.pipeline(
        [
            ("HSET", server.store.key(f"p:{number}"), *facts),
            ("ZADD", server.store.key(kind), ms, number),
        ]
    )


def walk(server: Server, wanted: Wanted, limit: int) -> list[Row]:
    rows, cursor, pages = list[Row](), "", 0
    while True:
        page = listing(Seen(server.store), wanted, limit, cursor)
        assert len(page.rows) <= limit
        rows += page.rows
        pages += 1
        cursor = page.cursor
        if not cursor:
            return rows
        assert pages < 1000


@pytest.mark.parametrize("limit", [1, 7, 50, 200])
@pytest.mark.parametrize("oldest", [True, False])
def test_what_has_ended_comes_by_its_end_each_once(server: Server, limit: int, oldest: bool) -> None:
    times = {n: 1000 + n // 40 for n in range(1, 321)}  # forty end in each millisecond
    for number, ms in times.items():
        kind, state = [("ended", "done"), ("failed", "aborted"), ("dead", "dead")][number % 3]
        ended(server, number, ms, kind, state)
    rows = walk(server, Wanted(states=ENDED, oldest=oldest), limit)
    assert [row.number for row in rows] == sorted(times, key=lambda n: (times[n] if oldest else -times[n], -n))


def test_many_that_end_in_one_millisecond(server: Server) -> None:
    for number in range(1, 701):
        ended(server, number, 5000)
    ended(server, 701, 4999)
    ended(server, 702, 5001)
    numbers = [row.number for row in walk(server, Wanted(states=frozenset({State.DONE})), 60)]
    assert numbers == [702, *range(700, 0, -1), 701]


def test_what_ends_while_somebody_turns_pages_moves_nothing(server: Server) -> None:
    for number in range(1, 11):
        ended(server, number, 1000 + number)
    first = listing(Seen(server.store), Wanted(states=ENDED), 4)
    ended(server, 11, 2000)
    second = listing(Seen(server.store), Wanted(states=ENDED), 4, first.cursor)
    assert [row.number for row in (*first.rows, *second.rows)] == [10, 9, 8, 7, 6, 5, 4, 3]


def test_between_times(server: Server) -> None:
    for number in range(1, 11):
        ended(server, number, 1000 + number)
    for oldest in (True, False):
        rows = walk(server, Wanted(states=ENDED, since_ms=1003, until_ms=1006, oldest=oldest), 2)
        assert sorted(row.number for row in rows) == [3, 4, 5, 6]


@pytest.mark.parametrize("limit", [1, 3, 60])
def test_what_waits_comes_once_with_its_filters(server: Server, limit: int) -> None:
    execute_many(adds, [(n,) for n in range(20)])
    later = execute_on_server(adds.options(name="later", delay=3600), 99)
    paused = execute_on_server(adds.options(queue="other"), 100)
    paused.pause()
    server.store.run("queued", 0, 10)
    every = walk(server, Wanted(), limit)
    assert len({row.number for row in every}) == len(every) == 22
    assert [row.number for row in walk(server, Wanted(states=frozenset({State.DELAYED})), limit)] == [later.number]
    assert [row.number for row in walk(server, Wanted(states=frozenset({State.PAUSED})), limit)] == [paused.number]
    assert len(walk(server, Wanted(states=frozenset({State.QUEUED})), limit)) == 20
    assert [row.number for row in walk(server, Wanted(queue="other"), limit)] == [paused.number]
    assert [row.number for row in walk(server, Wanted(pattern="later"), limit)] == [later.number]
    assert counts(server.store) == {"begun": 0, "queued": 20, "delayed": 1, "done": 0, "dead": 0}


def test_filters_of_what_has_ended(server: Server) -> None:
    with working(server):
        sums = [execute_on_server(adds, n, f"word-{n}") for n in range(3)]
        failed = execute_on_server(fails, "word-1")
        assert [one.result(timeout=10) for one in sums] == [0, 1, 2]
        assert failed.wait(timeout=10) == State.FAILED

    def found(**wanted: Any) -> set[int]:
        return {row.number for row in walk(server, Wanted(**({"states": ENDED} | wanted)), 50)}

    every = {one.number for one in (*sums, failed)}
    assert found() == every
    assert found(states=frozenset({State.FAILED})) == {failed.number}
    assert found(procedure="listed.adds") == every - {failed.number}
    assert found(procedure="adds") == set()
    assert found(kind="hook") == set()
    assert found(argument="WORD-1") == {sums[1].number}, "what is redacted is not looked through"
    assert found(pattern=f"{sums[0].number}; fails") == {sums[0].number, failed.number}
    assert found(user="nobody at all") == set()


def test_a_number_is_found_whatever_it_does(server: Server) -> None:
    ended(server, 7, 1000)
    (row,) = listing(Seen(server.store), Wanted(states=frozenset(State), pattern="#7; 8"), 50).rows
    assert (row.number, row.state, row.ended_ms) == (7, "done", 1000)


def test_a_page_looks_at_so_many_and_no_more(server: Server) -> None:
    store = server.store
    for start in range(1, MOST_LOOKED + 1001, 500):
        numbers = range(start, start + 500)
        store.pipeline([("HSET", store.key(f"p:{n}"), "s", "done", "t", "x", "q", "q", "f", n) for n in numbers])
        store.command("ZADD", store.key("ended"), *(word for n in numbers for word in (n, n)))
    page = listing(Seen(store), Wanted(states=ENDED, pattern="nothing"), 50)
    assert (list(page.rows), bool(page.cursor)) == ([], True)
    assert MOST_LOOKED <= page.looked < MOST_LOOKED + 500
    assert not listing(Seen(store), Wanted(states=ENDED, pattern="nothing"), 50, page.cursor).cursor


@pytest.mark.parametrize("text", ["x1.2", "e1", "e1.2.3", "e-1.2", "eé.1", f"e{'9' * 60}.1", "e1.²"])
def test_what_is_no_cursor(server: Server, text: str) -> None:
    assert read_cursor(text) is None
    with pytest.raises(ValueError):
        listing(Seen(server.store), Wanted(), 5, text)
