"""Which processes `ps` and its kin find, and how little they read for it."""

import threading
import warnings
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from onserver import Server, execute_many, execute_on_server, procedure
from onserver.errors import NoWorker, ProcedureNotFound, ProcessNotFound
from onserver.redis.address import Address
from onserver.testing import wait_for
from onserver.views.finding import every, find, full_name, matching, named, numbers_in
from onserver.views.processes import Row, Seen
from tests.inline_worker import make_server, working

MANY = 3000
gate = threading.Event()


@procedure(name="found.waits")
def waits(n: int) -> int:
    return n


@procedure(name="found.other")
def other() -> None: ...


@procedure(name="found.holds")
def holds() -> None:
    gate.wait(20)


@procedure(name="found.fails")
def fails() -> None:
    raise ValueError("no")


@pytest.fixture(scope="module")
def many(embedded: Any) -> Iterator[Server]:
    """A server on which many processes wait, and no worker is."""
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{embedded.home.socket}") as made, warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)
        made.store.command("HSET", made.store.key("procedures"), "found.waits", "{}", "found.other", "{}")
        execute_many(waits, [(n,) for n in range(MANY)])
        execute_on_server(other.options(name="the last one"))
        execute_on_server(other.options(name="later", delay=3600))
        execute_on_server(other.options(name="aside", queue="another")).pause()
        yield made


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made:
        yield made


def reads(server: Server) -> int:
    """How many records have been read in all."""
    text: str = server.store.command("INFO", "commandstats").decode()
    return int(text.partition("cmdstat_hmget:calls=")[2].partition(",")[0])


def test_the_first_page_is_read_and_no_more(many: Server) -> None:
    seen, before = Seen(many.store), reads(many)
    rows = find(seen, "", 50, ended=False, page=50)
    assert len(rows) == 51
    assert reads(many) - before <= 200


def test_a_page_holds_something_of_each_place(many: Server) -> None:
    names = {row.name for row in find(Seen(many.store), "", 2 * MANY, ended=False)}
    assert names == {"found.waits", "the last one", "later", "aside"}


def test_what_runs_is_on_the_first_page_however_much_waits(many: Server) -> None:
    with working(many, "special"):
        running = execute_on_server(holds.options(queue="special"))
        wait_for(lambda: running.state == "running", 20)
        assert running.number in {row.number for row in find(Seen(many.store), "", 50, ended=False)}
        gate.set()
        running.result(timeout=20)


def test_what_is_farther_back_is_found_by_its_name(many: Server) -> None:
    (row,) = find(Seen(many.store), "the last*", 50, ended=False)
    assert (row.number, row.state) == (MANY + 1, "queued")
    assert len(find(Seen(many.store), "found.*", 10_000, ended=False)) == MANY + 3


def test_by_state_only_the_places_of_that_state_are_looked_at(many: Server) -> None:
    def names(*states: str) -> list[str]:
        return [row.name for row in find(Seen(many.store), "", 50, ended=False, states=frozenset(states))]

    before = reads(many)
    assert names("delayed") == ["later"]
    assert names("paused") == ["aside"]
    assert names("running") == names("failed") == []
    assert names("delayed", "paused") == ["later", "aside"]
    assert reads(many) - before < 100


def test_every_process_of_a_procedure(many: Server) -> None:
    assert len(list(every(Seen(many.store), "found.waits"))) == MANY
    assert [row.name for row in every(Seen(many.store), "found.other")] == ["the last one", "later", "aside"]


def test_a_number_alone_is_read_alone(many: Server) -> None:
    before = reads(many)
    assert [row.number for row in find(Seen(many.store), "7; #9", 50, ended=False)] == [7, 9]
    assert reads(many) - before <= 10


def test_names_and_numbers(many: Server) -> None:
    seen = Seen(many.store)
    assert named(seen, "#12") == named(seen, "12") == 12
    assert named(seen, "the last one") == MANY + 1
    with pytest.raises(ProcessNotFound, match=r"several are\. Did you mean #1 or #2"):
        named(seen, "waits")
    with pytest.raises(ProcessNotFound, match="Did you mean later"):
        named(seen, "latter")
    with pytest.raises(ProcessNotFound, match="See those that live"):
        named(seen, "zzzzzz")
    assert full_name(many.store, "found.waits") == "found.waits"
    with pytest.raises(ProcedureNotFound, match=r"Did you mean `found\.waits`"):
        full_name(many.store, "found.wait")


def test_of_the_ended_the_last_ones_come_first(server: Server) -> None:
    with working(server):
        for process in execute_many(waits, [(n,) for n in range(10)]):
            process.result(timeout=20)
        failed = execute_on_server(fails)
        failed.wait(timeout=20)
    seen = Seen(server.store)
    assert find(seen, "", 50, ended=False) == []
    last = server.store.command("ZREVRANGE", server.store.key("ended"), 0, 2)
    assert [row.number for row in find(seen, "", 2, ended=True)] == sorted(map(int, last))
    assert [row.number for row in find(seen, "", 50, ended=False, states=frozenset({"failed"}))] == [failed.number]


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("", True), ("17", True), ("#17", True), ("18", False), ("render", True), ("ren*", False), ("shop.ren*", True),
     ("nothing; shop.?ender", True), ("totals", True), ("nothing", False)],
)  # fmt: skip
def test_patterns(pattern: str, fits: bool) -> None:
    row = Row(17, "totals", "shop.render", "procedure", "", "running", None, 0.0, "", 0, "default", "")
    assert matching(pattern)(row) is fits


def test_numbers_in_a_pattern() -> None:
    assert numbers_in("7;#9 ; 7") == [7, 9]
    assert numbers_in("7;x") == numbers_in("") == []
