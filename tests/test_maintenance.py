"""Maintenance: new work of clients is refused, whatever way it takes; what runs goes on, and operators get in."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from onserver import (
    begin_maintenance,
    end_maintenance,
    execute_many,
    execute_on_server,
    mailbox,
    maintenance,
    procedure,
    register_client,
    unregister_client,
)
from onserver.errors import BadArguments, MaintenanceMode
from onserver.life.events import read_events
from onserver.process.plan import planned, start_by_hand
from onserver.process.rules import Missed
from onserver.process.schedule import Entry
from onserver.process.timetable import Timetable
from onserver.process.timing import Timing
from onserver.redis.address import Address
from onserver.redis.resp import Word
from onserver.session.context import Run, entered
from tests.floor import Floor, open_floor
from tests.test_cli_programs import Project

#: Longer than what is merely late: six leases.
DAY = 86_400_000

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")


@procedure(name="closed.one")
def one(n: int = 0) -> int:
    return n


@pytest.fixture
def floor(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with ExitStack() as opened:
        floor = opened.enter_context(open_floor(redis_address))
        opened.enter_context(floor.server.as_current())
        yield floor


def test_every_way_of_a_client_is_refused_with_the_message(floor: Floor) -> None:
    begun = begin_maintenance("month-end\n  close äöü", reject_connections=True)
    assert begun.message == "month-end close äöü"
    ways = (
        lambda: execute_on_server(one, 1),
        lambda: execute_many(one, [1, 2]),
        lambda: execute_on_server(one.options(name="x", unique=True)),
        lambda: execute_on_server(one.options(delay=10)),
        lambda: mailbox("box").call(one, 1),
        lambda: register_client("desk"),
        lambda: asyncio.run(one.astart(1)),
    )
    for way in ways:
        with pytest.raises(MaintenanceMode) as refused:
            way()
        assert refused.value.text == "month-end close äöü"
    assert floor.store.command("HGET", floor.store.key("numbers"), "process") is None  # nothing was made
    assert floor.orphans() == []


def test_it_is_seen_replaced_and_ended(floor: Floor) -> None:
    assert maintenance() is None
    begin_maintenance()
    with pytest.raises(MaintenanceMode, match=r"^The server is in maintenance\. What"):
        execute_on_server(one, 1)
    begin_maintenance("the second word", for_seconds=60)
    now = maintenance()
    assert now is not None
    assert (now.message, now.rejects_connections) == ("the second word", False)
    assert now.until_ms - now.since_ms == 60_000
    assert register_client("desk") is True  # only new calls are refused
    unregister_client()
    assert end_maintenance() is True
    assert maintenance() is None
    assert execute_on_server(one, 1).number == 1
    assert end_maintenance() is False


def run_of(floor: Floor, holder: str, number: int) -> Run:
    own = floor.server.session()
    return Run(
        number=number, delivery=1, holder=holder, procedure="closed.one", name="", root=None, session=own, caller=None,
        started=0,
    )  # fmt: skip


def test_what_runs_goes_on_with_all_that_it_starts(floor: Floor) -> None:
    executor = floor.executor()
    number = floor.put(one)
    assert executor.claim() == number
    begin_maintenance("closed", reject_connections=True)
    with entered(run_of(floor, executor.holder, number)):
        started = execute_on_server(one, 1), *execute_many(one, [2, 3])
        mailbox("box").call(one, 4)
    assert [process.number for process in started] == [number + 1, number + 2, number + 3]
    assert executor.end(number, claim=True) == number + 1
    executor.end(number + 1)
    mailbox("box").kill()


def test_a_retry_of_what_runs_is_nobodys_new_work(floor: Floor) -> None:
    words: list[Word] = ["", floor.store.now_ms(), "default", 5, 0, "", "", "an-id", "", 0, "t", "closed.one", "b", b""]
    number = floor.store.run("put", floor.store.nonce(), *words)[0]
    executor = floor.executor()
    assert executor.claim() == number
    begin_maintenance("closed")
    words[7] = "+an-id"
    assert floor.store.run("put", floor.store.nonce(), *words)[1] == b"again"
    words[7] = "other-id"
    with pytest.raises(MaintenanceMode):
        floor.store.run("put", floor.store.nonce(), *words)


def test_it_ends_by_itself_for_callers_at_its_time_and_in_the_records_by_the_leader(floor: Floor) -> None:
    begin_maintenance(for_seconds=60)
    assert 0 < (floor.due() or 0) <= 60
    floor.store.command("INCRBY", floor.store.key("clock"), 61_000)
    execute_on_server(one, 1)
    assert floor.store.command("HEXISTS", floor.store.key("server"), "mu") == 1
    floor.due()
    assert floor.store.command("HEXISTS", floor.store.key("server"), "mu") == 0
    assert maintenance() is None


@pytest.mark.parametrize(("missed", "started"), [("skip", 0), ("once", 1), ("all", 3)])
def test_schedules_are_held_back_and_started_as_their_missed_says(floor: Floor, missed: Missed, started: int) -> None:
    said: list[str] = []
    timetable = Timetable(floor.server, floor.store, said.append)
    entry = Entry(name="daily", procedure="closed.one", timing=Timing.read("0 0 * * *"), missed=missed)
    timetable.plan(floor.code.digest, [entry])
    now = floor.store.now_ms()
    floor.advance((DAY - now % DAY) / 1000 + 43_200)  # noon, and the midnight before is decided
    timetable.turn()
    before = started_by(floor)
    begin_maintenance("closed")
    for _ in range(3):
        floor.advance(86_400)
        timetable.turn()
    assert started_by(floor) == before
    assert start_by_hand(floor.server, planned(floor.store, "daily")).number == before + 1  # an operator gets in
    assert end_maintenance()
    timetable.look()
    timetable.turn()
    assert started_by(floor) == before + 1 + started
    assert said == []


def started_by(floor: Floor) -> int:
    return int(floor.store.command("HGET", floor.store.key("numbers"), "process") or 0)


def test_whoever_listens_is_told(floor: Floor) -> None:
    begun = begin_maintenance("month-end", for_seconds=60)
    floor.advance(61)
    begin_maintenance("again")
    end_maintenance()
    end_maintenance()
    told = [event for event in read_events(floor.store) if event.name.startswith("maintenance.")]
    by = begun.by
    assert by
    assert [(event.code, dict(event.payload)) for event in told] == [
        (141, {"message": "month-end", "by": by, "until_ms": begun.until_ms}),
        (142, {"by": ""}),
        (141, {"message": "again", "by": by, "until_ms": 0}),
        (142, {"by": by}),
    ]


def test_arguments_out_of_range_are_refused(floor: Floor) -> None:
    for wrong in (0.0, -1.0, 1e9):
        with pytest.raises(BadArguments, match="for_seconds"):
            begin_maintenance(for_seconds=wrong)
    with pytest.raises(BadArguments, match="501 characters"):
        begin_maintenance("x" * 501)
    assert maintenance() is None


def test_the_verb_says_it_all_and_its_status_is_a_contract(redis_address: Address, tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", f"unix://{redis_address.path}")
    on = project.run("maintenance", "on", "--message", "month-end", "--for", "30m", "--reject-connections")
    assert (on.returncode, on.stderr) == (0, "")
    assert on.stdout == "on: new calls and new connections get ONS-4104 and “month-end”; 0 processes go on\n"
    refused = project.run("call", "add", "1", "2", "--json")
    assert refused.returncode == 3
    assert json.loads(refused.stdout)["error"]["code"] == "ONS-4104"
    status = project.run("maintenance", "status", "--json")
    told = json.loads(status.stdout)["data"]
    assert status.returncode == 3
    assert (told["on"], told["message"], told["rejects_connections"]) == (True, "month-end", True)
    assert told["until_ms"] - told["since_ms"] == 1_800_000
    assert project.run("maintenance", "off").stdout == "off: the server takes new work\n"
    assert project.run("maintenance", "off").stdout == "was off: the server takes new work\n"
    assert project.run("maintenance", "status").returncode == 0
