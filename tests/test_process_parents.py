"""What a run starts carries its number, and is found from it: without a scan, the newest thousand, as long as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import time
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from onserver import Process, execute_many, execute_on_server, mailbox, procedure, process
from onserver.backup.cut import Cut
from onserver.celery_app.app import make_app
from onserver.celery_app.desk import open_desk
from onserver.celery_app.message import Stored
from onserver.cli.invocation import Invocation
from onserver.cli.ps import ps
from onserver.cluster.sweep import trim
from onserver.process.record import State, read_record
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.server import Server
from onserver.session.context import Run, entered
from onserver.values import encode_call
from onserver.views.family import Family, Relative, family_of
from tests.admin_browser import browser
from tests.floor import Executor, Floor, open_floor
from tests.inline_worker import make_server, working

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")
JSON = {"accept": "application/json"}


@procedure(name="parents.child")
def child(number: int = 0) -> int:
    return number


@procedure(name="parents.starts")
def starts(count: int) -> list[int]:
    first = execute_on_server(child)
    return [first.number, *(one.number for one in execute_many(child, range(count)))]


@procedure(name="parents.fails")
def fails() -> int:
    execute_on_server(child)
    raise ValueError("no")


@procedure(name="parents.calls")
def calls() -> int:
    mailbox("box").call(child, 1)
    mailbox("box").call(child, 2)
    return process().number


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"pp{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def floor(redis_address: Address) -> Iterator[Floor]:
    with open_floor(redis_address) as floor:
        yield floor


def running(floor: Floor, executor: Executor, number: int) -> Run:
    """The run of what this executor has claimed."""
    return Run(
        number=number, delivery=1, holder=executor.holder, procedure="parents.child", name="", root=None,
        session=floor.server.session(), caller=None, started=time(),
    )  # fmt: skip


def family(server: Server, number: int, limit: int = 50) -> Family:
    record = read_record(server.store, number)
    assert record
    return family_of(server.store, record, limit)


def kept(server: Server, number: int) -> list[int]:
    return [int(text) for text in server.store.command("LRANGE", server.store.key(f"kids:{number}"), 0, -1)]


def test_what_a_run_starts_knows_it_and_is_found_from_it(server: Server) -> None:
    with working(server):
        parent = execute_on_server(starts, 3)
        children = parent.result(timeout=20)
        for number in children:
            assert Process.get(number).wait(timeout=20) == State.DONE
    found = family(server, parent.number)
    assert found.parent is None
    assert found.children == [Relative(number, "parents.child", "done") for number in reversed(children)]
    assert family(server, parent.number, 2) == Family(None, found.children[:2], 2)
    assert family(server, children[2]) == Family(Relative(parent.number, "parents.starts", "done"), [])


def test_what_is_started_outside_of_runs_carries_nothing(floor: Floor) -> None:
    number = floor.put(child)
    assert floor.store.command("HMGET", floor.store.key(f"p:{number}"), "pa", "hc") == [None, None]
    assert read_record(floor.store, number).parent is None  # type: ignore[union-attr]
    assert not floor.store.command("EXISTS", floor.store.key(f"kids:{number}"))


def test_the_newest_thousand_are_kept_and_all_are_counted(floor: Floor) -> None:
    executor, number = floor.executor(), floor.put(child)
    assert executor.claim() == number
    with entered(running(floor, executor, number)):
        numbers = floor.many(child, [(n,) for n in range(1050)])
        numbers.append(floor.put(child))
    assert kept(floor.server, number) == numbers[-1000:]
    found = family(floor.server, number)
    assert [one.number for one in found.children] == numbers[:-51:-1]
    assert found.more == 1051 - 50


def test_a_start_that_answers_another_is_no_child(floor: Floor) -> None:
    before = floor.put(child, name="one", unique=True)
    executor, number = floor.executor("other"), floor.put(child, queue="other")
    assert executor.claim() == number
    with entered(running(floor, executor, number)):
        assert floor.put(child, name="one", unique=True) == before
        floor.put(child, 1, key="k")
        floor.put(child, 1, key="k")
    assert len(kept(floor.server, number)) == 1
    assert not floor.field(before, "pa")


def test_they_live_as_long_as_the_record_of_the_run(server: Server) -> None:
    store = server.store

    def lives(number: int) -> tuple[int, int]:
        return store.command("TTL", store.key(f"p:{number}")), store.command("TTL", store.key(f"kids:{number}"))

    with working(server):
        one = execute_on_server(fails)
        assert one.wait(timeout=20) == State.FAILED
        record, kids = lives(one.number)
        assert record - 1 <= kids <= record
        assert record > 0
    one.replay()  # nobody is there to run it again
    assert lives(one.number) == (-1, -1)
    one.abort()
    assert lives(one.number)[1] > 0
    store.run("forget", f"#{one.number}")
    assert lives(one.number) == (-2, -2)
    assert not list(find_orphans(store))


def test_what_is_started_after_its_run_has_ended_leaves_nothing(floor: Floor) -> None:
    executor, number = floor.executor(), floor.put(child)
    run = running(floor, executor, executor.claim())
    executor.end(number)
    with entered(run):
        later = floor.put(child)
    assert (
        0
        < floor.store.command("TTL", floor.store.key(f"kids:{number}"))
        <= floor.store.command("TTL", floor.store.key(f"p:{number}")) + 1
    )
    floor.store.run("forget", f"#{number}")
    with entered(run):
        floor.put(child)
    assert not floor.store.command("EXISTS", floor.store.key(f"kids:{number}"))
    assert family(floor.server, later).parent == Relative(number)
    assert not floor.orphans()


def test_the_history_drops_them_with_their_run(redis_address: Address) -> None:
    with make_server(f"pp{uuid4().hex[:8]}", f"unix://{redis_address.path}", keep_count=1) as server, working(server):
        parent = execute_on_server(starts, 1)
        for number in parent.result(timeout=20):
            Process.get(number).wait(timeout=20)
        assert kept(server, parent.number)
        trim(server.store, server.settings)
        assert not server.store.command("EXISTS", server.store.key(f"kids:{parent.number}"))


def test_a_backup_has_them(floor: Floor) -> None:
    executor, number = floor.executor(), floor.put(child)
    with entered(running(floor, executor, executor.claim())):
        floor.put(child)
    with Cut(floor.store) as cut:
        assert f"kids:{number}".encode() in b"".join(cut.entries())


def test_a_mailbox_is_of_the_run_that_had_it_made(server: Server) -> None:
    with working(server):
        number = execute_on_server(calls).result(timeout=20)
        box = mailbox("box").process
        assert box is not None
        assert kept(server, number) == [box.number]
        assert family(server, box.number).parent == Relative(number, "parents.calls", "done")
        mailbox("box").kill()


def test_a_task_that_is_sent_by_a_run_is_its_child_and_its_retry_is_not(floor: Floor) -> None:
    make_app(floor.server)
    desk = open_desk(floor.server)
    executor, number = floor.executor(), floor.put(child)
    assert executor.claim() == number
    with entered(running(floor, executor, number)):
        sent = desk.put("default", message(uuid4().hex, 0))
        assert desk.put("default", message(desk.task_id_of(number), 1)) == number  # the next attempt of the run itself
    assert kept(floor.server, number) == [sent]
    assert floor.field(sent, "pa") == str(number)
    assert not floor.field(number, "pa")


def message(identifier: str, retries: int) -> Stored:
    return Stored(
        procedure=child.name, task_id=identifier, body=encode_call((), {}), headers=b"", due_ms=0, priority=5,
        retries=retries, timeout_ms=0,
    )  # fmt: skip


# -- where they are shown


def test_the_page_leads_from_one_to_the_other(server: Server) -> None:
    with working(server):
        parent = execute_on_server(starts, 1)
        children = parent.result(timeout=20)
        for number in children:
            Process.get(number).wait(timeout=20)
    ann = browser(server)
    page = ann.get(f"/processes/{parent.number}").text
    table = page.partition("What it has started")[2]
    for number in children:
        assert f'href="/processes/{number}"' in table
    assert "Parent" not in page
    assert f'<dt>Parent</dt><dd><a href="/processes/{parent.number}">' in ann.get(f"/processes/{children[0]}").text
    data = ann.get(f"/processes/{parent.number}", headers=JSON).json()["data"]
    assert data["children"] == [
        {"number": number, "name": "parents.child", "state": "done"} for number in reversed(children)
    ]
    assert (data["more_children"], data["parent"]) == (0, None)
    rows = ann.get("/processes?state=done", headers=JSON).json()["data"]["rows"]
    assert {row["number"]: row["parent"] for row in rows} == {
        parent.number: None, **dict.fromkeys(children, parent.number)
    }  # fmt: skip


def test_the_command_shows_them_of_one_process(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with working(server):
        parent = execute_on_server(starts, 0)
        [number] = parent.result(timeout=20)
        Process.get(number).wait(timeout=20)

    def found(_: Invocation) -> Server:
        return server

    monkeypatch.setattr(Invocation, "server", found)

    def told(*words: Any) -> str:
        return CliRunner().invoke(ps, [*map(str, words)]).stdout

    assert told(parent.number).endswith(f"has started #{number} parents.child (done)\n")
    assert told(number).endswith(f"started by #{parent.number} parents.starts (done)\n")
    data = json.loads(told(parent.number, "--json"))["data"]
    assert data[0]["children"] == [{"number": number, "name": "parents.child", "state": "done"}]
    assert "children" not in told(f"{parent.number};{number}", "--json")
