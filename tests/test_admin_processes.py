"""Processes on the admin page: the list with its filters, one with all that is kept, and the form that starts one."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver import Server, execute_on_server, procedure, process, signal
from onserver.admin.language import language
from onserver.admin.page import Look
from onserver.admin.whys import why
from onserver.errors import NoWorker
from onserver.process.gates import pause_queue, resume_queue
from onserver.process.record import State
from onserver.redis.address import Address
from onserver.steer.actor import Actor
from onserver.testing import wait_for
from tests.admin_browser import browser
from tests.admin_forms import sent, told
from tests.inline_worker import make_server, working

JSON = {"accept": "application/json"}
gate = threading.Event()


@procedure(name="shown.adds")
def adds(a: int, b: int = 2, *, word: str = "sum", exactly: bool = False) -> str:
    """Add two numbers.

    And say so.
    """
    return f"{word} {a + b} {exactly}"


@procedure(name="shown.fails")
def fails() -> None:
    raise ValueError("no <b>bold</b> step")


@procedure(name="shown.hides", redact=True)
def hides(word: str) -> None: ...


@procedure(name="shown.waits")
def waits() -> None:
    run = process()
    run.report(3, 4, "three of four")
    run.variables["colour"] = "red"
    gate.wait(20)


@procedure(name="shown.takes")
def takes(first: Any, /, *others: int, **named: Any) -> list[Any]:
    return [first, others, named]


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with (
        make_server(f"ap{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made,
        made.as_current(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NoWorker)
        yield made


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


def rows(client: TestClient, address: str = "/processes") -> list[int]:
    answer = client.get(address, headers=JSON)
    assert answer.status_code == 200, answer.text
    found = [row["number"] for row in answer.json()["data"]["rows"]]
    page = client.get(address).text
    assert [int(n) for n in re.findall(r'<tr data-key="(\d+)"', page.partition('data-live="last"')[0])] == found
    return found


def followed(client: TestClient, answer: Any) -> str:
    assert answer.status_code == 303, answer.text
    return unescape(client.get(answer.headers["location"]).text)


def links(client: TestClient, page: str) -> None:
    for address in set(re.findall(r'href="(/[^"#]*)"', page)):
        assert client.get(unescape(address)).status_code == 200, address


# -- the list


def test_where_nothing_runs_are_the_last_that_ended(server: Server, ann: TestClient) -> None:
    page = ann.get("/processes").text
    assert "Nothing is running." in page
    assert "Ended last" not in page
    with working(server):
        done = [execute_on_server(adds, n) for n in range(12)]
        for one in done:
            one.result(timeout=10)
        page = ann.get("/processes").text
        last = page.partition('data-live="last"')[2]
        assert len(re.findall(r"<tr data-key=", last)) == 10
        assert "Nothing is running." in page
        links(ann, page)


def test_filters_of_the_list(server: Server, ann: TestClient) -> None:
    adding = execute_on_server(adds, 1)
    named = execute_on_server(adds.options(name="evening sums"), 77)
    other = execute_on_server(fails.options(queue="other"))
    later = execute_on_server(fails.options(delay=3600))
    assert set(rows(ann)) == {one.number for one in (adding, named, other, later)}
    assert rows(ann, "/processes?state=delayed") == [later.number]
    assert rows(ann, "/processes?state=queued&q=evening*") == [named.number]
    assert rows(ann, "/processes?queue=other") == [other.number]
    assert rows(ann, "/processes?argument=77") == [named.number]
    assert rows(ann, f"/processes?q=%23{adding.number}") == [adding.number]
    assert rows(ann, "/processes?state=ended") == []
    assert "No process fits." in ann.get("/processes?state=ended").text
    first = ann.get("/processes?limit=3", headers=JSON).json()["data"]
    assert len(first["rows"]) == 3
    assert len(rows(ann, f"/processes?limit=3&cursor={first['cursor']}")) == 1
    links(ann, ann.get("/processes?limit=3").text)
    for chip, count in (("queued", 3), ("delayed", 1)):
        assert re.search(rf'state={chip}"[^<]*>{chip} <span class="count">{count}<', ann.get("/processes").text)


@pytest.mark.parametrize(
    "query", ["state=asleep", "cursor=x", "kind=none", "limit=0", "limit=201", "since=now", "q=%07"]
)
def test_what_no_list_can_be_filtered_by(ann: TestClient, query: str) -> None:
    answer = ann.get(f"/processes?{query}")
    assert answer.status_code == 400
    assert "in the address" in answer.text


def test_arguments_are_searched_by_who_may_see_them(server: Server) -> None:
    viewer = browser(server, ["viewer"])
    assert viewer.get("/processes?argument=77").status_code == 400
    assert 'name="argument"' not in viewer.get("/processes").text


def test_it_says_why_what_waits_does(server: Server, ann: TestClient) -> None:
    process_ = execute_on_server(adds, 1)
    assert "no worker listens on queue `default`" in ann.get("/processes").text
    french = ann.get(f"/processes/{process_.number}", headers={"accept-language": "fr"}).text
    assert "aucun worker n’écoute la file `default`" in french
    assert "Pourquoi ?" in french


def test_chosen_ones_are_paused_let_go_on_and_aborted_together(server: Server, ann: TestClient) -> None:
    many = [execute_on_server(adds, n) for n in range(3)]
    page = ann.get("/processes").text
    for name in ("process.pause", "process.resume", "process.replay", "process.abort"):
        assert f'formaction="/act/{name}"' in page
    assert page.count('form="chosen"') == 3
    two = [str(one.number) for one in many[:2]]
    assert "2 done." in followed(ann, ann.post("/act/process.pause", data={"process": two, "back": "/processes"}))
    assert [one.state for one in many] == [State.PAUSED, State.PAUSED, State.QUEUED]
    assert "2 done." in followed(ann, ann.post("/act/process.resume", data={"process": two}))
    asked = ann.post("/act/process.abort", data={"process": two, "back": "/processes?state=queued"})
    assert asked.status_code == 200
    assert all(f'name="process" value="{n}"' in asked.text for n in two)
    assert ", ".join(two) in asked.text
    done = followed(ann, ann.post("/act/process.abort", data={"process": two, "confirm": "yes"}))
    assert "2 done." in done
    assert [one.state for one in many] == [State.ABORTED, State.ABORTED, State.QUEUED]


def test_all_of_a_procedure_are_aborted_by_their_count(server: Server, ann: TestClient) -> None:
    with working(server, "special"):
        many = [execute_on_server(adds, n) for n in range(4)]
        assert "Abort all that have not ended" in ann.get("/processes?procedure=shown.adds").text
        page = ann.get("/processes?procedure=shown.adds&all=1").text
        assert "4 processes have not ended." in page
        assert 'name="count"' in page
        wrong = {"procedure": "shown.adds", "count": "3", "confirm": "shown.adds"}
        assert "4 processes" in followed(ann, ann.post("/act/process.abort_all", data=wrong))
        assert many[0].state == State.QUEUED
        right = {"procedure": "shown.adds", "count": "4", "confirm": "shown.adds"}
        assert "4 processes of shown.adds" in followed(ann, ann.post("/act/process.abort_all", data=right))
        assert {one.state for one in many} == {State.ABORTED}


def test_a_procedure_is_paused_and_let_go_on(server: Server, ann: TestClient) -> None:
    with working(server):
        address = "/processes?procedure=shown.adds"
        assert "paused" in told(ann, sent(ann, address, "procedure.pause"))
        assert "Nothing of it begins: it is paused by ann." in ann.get(address).text
        one = execute_on_server(adds, 1)
        assert one.state == State.QUEUED
        assert sent(ann, address, "procedure.resume").status_code == 303
        assert one.result(timeout=10) == "sum 3 False"
        assert "Nothing of it begins" not in ann.get(address).text


def test_a_signal_is_triggered(server: Server, ann: TestClient) -> None:
    assert "Signal evening is triggered." in told(ann, sent(ann, "/processes", "process.signal", signal="evening"))
    assert signal("evening").wait(timeout=5)


def test_who_may_not_change_anything_sees_no_button(server: Server) -> None:
    one = execute_on_server(adds, 1)
    for client in (browser(server, ["viewer"]), browser(server, read_only=True)):
        for address in ("/processes", f"/processes/{one.number}", "/processes/start?procedure=shown.adds"):
            page = client.get(address).text
            assert "/act/" not in page, address
            assert 'type="checkbox"' not in page, address


# -- one of them


def test_one_that_runs(server: Server, ann: TestClient) -> None:
    gate.clear()
    with working(server):
        one = execute_on_server(waits)
        wait_for(lambda: one.record().progress is not None and "colour" in one.variables)
        page = unescape(ann.get(f"/processes/{one.number}").text)
        for text in ("75 %", "three of four", "colour", "'red'", "Begun on", "Asked for by", "waits()"):
            assert text in page, text
        assert re.search(r'data-since="\d{13}"', page)
        assert 'action="/act/process.pause"' in page
        assert 'action="/act/process.replay"' not in page
        assert rows(ann, "/processes?state=running") == [one.number]
        answer = ann.post(
            "/act/process.abort", data={"process": str(one.number), "reason": "too long", "confirm": "yes"}
        )
        assert "asked to stop" in followed(ann, answer)
        assert one.record().level == "asked"
        assert "is to stop: asked" in ann.get(f"/processes/{one.number}").text
        gate.set()
        assert one.wait(timeout=20).ended
        links(ann, page)


def test_one_that_was_aborted_says_by_whom_and_why(server: Server, ann: TestClient) -> None:
    one, purged = execute_on_server(adds, 1), execute_on_server(adds.options(queue="other"), 1)
    sent(ann, f"/processes/{one.number}", "process.abort")
    ann.post("/act/queue.purge", data={"queue": "other", "confirm": "other"})
    assert (one.state, purged.state) == (State.ABORTED, State.ABORTED)
    assert f"ProcessAborted: #{one.number} was aborted by ann." in words_of(ann, one.number)
    assert "ProcessAborted: its queue was purged" in words_of(ann, purged.number)
    told_ = ann.get(f"/processes/{one.number}", headers=JSON).json()["data"]["error"]
    assert told_ == {"type": "ProcessAborted", "message": f"#{one.number} was aborted by ann.", "traceback": ""}


def words_of(client: TestClient, number: int) -> str:
    answer = client.get(f"/processes/{number}")
    assert answer.status_code == 200, answer.text
    return unescape(re.sub(r"<[^>]*>", "", answer.text))


def test_one_that_has_returned(server: Server, ann: TestClient) -> None:
    with working(server):
        one = execute_on_server(adds, 1, word="<sum>")
        one.result(timeout=10)
    page = ann.get(f"/processes/{one.number}").text
    for text in ("(1, word='<sum>')", "'<sum> 3 False'", "adds(a: int, b: int = 2", "And say so.", "Ended: done"):
        assert text in unescape(page), text
    assert "<sum>" not in page
    viewer = browser(server, ["viewer"])
    assert "sum&gt;" not in viewer.get(f"/processes/{one.number}").text
    assert "admin.data" in viewer.get(f"/processes/{one.number}").text
    data = viewer.get(f"/processes/{one.number}", headers=JSON).json()["data"]
    assert not {"arguments", "result", "variables"} & set(data)
    seen = ann.get(f"/processes/{one.number}", headers=JSON).json()["data"]
    assert (seen["result"], seen["arguments"]) == ("'<sum> 3 False'", "1, word='<sum>'")


def test_one_that_has_failed_is_run_again_and_dropped(server: Server, ann: TestClient) -> None:
    with working(server):
        one = execute_on_server(fails)
        assert one.wait(timeout=10) == State.FAILED
        page = ann.get(f"/processes/{one.number}").text
        assert "ValueError: no &lt;b&gt;bold" in page
        assert "Traceback (most recent call last)" in page
        assert "waits for its turn" in followed(ann, ann.post("/act/process.replay", data={"process": one.number}))
        wait_for(lambda: one.record().replays == 1 and one.record().state == State.FAILED)
        assert "Run again, asked for by ann" in ann.get(f"/processes/{one.number}").text
    assert f"Process {one.number} is dropped." in told(ann, sent(ann, f"/processes/{one.number}", "dead.drop"))
    assert ann.get(f"/processes/{one.number}").status_code == 404


def test_what_is_redacted_is_shown_nowhere(server: Server, ann: TestClient) -> None:
    one = execute_on_server(hides, "swordfish")
    for address in ("/processes", f"/processes/{one.number}", "/processes?argument=sword"):
        assert "swordfish" not in ann.get(address).text
    assert "redacted" in ann.get(f"/processes/{one.number}").text


@pytest.mark.parametrize("number", ["0", "99999", "x", "9" * 30, "-1"])
def test_one_that_there_is_not(ann: TestClient, number: str) -> None:
    assert ann.get(f"/processes/{number}").status_code == 404


# -- a new one


def test_the_form_of_a_procedure_starts_it(server: Server, ann: TestClient) -> None:
    with working(server):
        assert "shown.adds" in ann.get("/processes/start").text
        page = ann.get("/processes/start?procedure=shown.adds").text
        for field, widget in (("a", "number"), ("b", "number")):
            assert f'type="{widget}" name="arg.{field}" step="1"' in page
        assert '<select name="arg.exactly">' in page
        answer = ann.post(
            "/act/process.start",
            data={"procedure": "shown.adds", "arg.a": "40", "arg.b": "", "arg.word": "7", "arg.exactly": "true"},
        )
        number = int(answer.headers["location"].rpartition("/")[2])
        wait_for(lambda: ann.get(f"/processes/{number}", headers=JSON).json()["data"]["state"] == "done")
        assert ann.get(f"/processes/{number}", headers=JSON).json()["data"]["result"] == "'7 42 True'"


def test_arguments_by_place_and_by_name(server: Server, ann: TestClient) -> None:
    with working(server):
        fields = {"arg.first": "one", "arg.others": "[2, 3]", "arg.named": '{"x": [1]}'}
        answer = ann.post("/act/process.start", data={"procedure": "takes", **fields})
        address = answer.headers["location"]
        wait_for(lambda: ann.get(address, headers=JSON).json()["data"]["state"] == "done")
        assert ann.get(address, headers=JSON).json()["data"]["result"] == "['one', [2, 3], {'x': [1]}]"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"arg.a": "one"}, "is no whole number"),
        ({"arg.a": "1.5"}, "is no whole number"),
        ({"arg.a": "true"}, "is no whole number"),
        ({"arg.a": "1", "arg.exactly": "perhaps"}, "is no `true` or `false`"),
        ({"arg.a": "1", "arg.c": "2"}, "is no parameter"),
        ({"arg.b": "1"}, "misses `a`"),
        ({"arg.a": "1", "args": "[1]"}, "give one or the other"),
        ({"what": "1"}, "is none of its fields"),
    ],
)
def test_arguments_that_it_does_not_take(server: Server, ann: TestClient, fields: dict[str, str], problem: str) -> None:
    with working(server):
        answer = ann.post("/act/process.start", data={"procedure": "shown.adds", **fields, "back": "/processes"})
        assert problem in followed(ann, answer)
        assert rows(ann) == []


def test_a_form_of_what_there_is_not(server: Server, ann: TestClient) -> None:
    assert "No procedure is registered" in ann.get("/processes/start").text
    assert ann.get("/processes/start?procedure=nothing").status_code == 404


# -- reasons


@pytest.mark.parametrize("code", ["fr", "ja"])
def test_every_reason_is_said_in_each_language(server: Server, code: str) -> None:
    nobody = Actor(user="ann", origin="::1", where="page", privileges=frozenset())
    look = Look(server=server, actor=nobody, language=language(code))
    waiting = execute_on_server(adds, 1)
    delayed = execute_on_server(adds.options(delay=100), 1)

    def reasons() -> list[str]:
        found = browser(server).get("/processes", headers=JSON).json()["data"]["rows"]
        return [row["why"] for row in found if row["why"]]

    seen = {*reasons()}
    pause_queue(server, "default", by="bob")
    with working(server):
        wait_for(lambda: any("paused by bob" in one for one in reasons()))
        seen |= {*reasons()}
        delayed.pause()
        seen |= {*reasons()}
        resume_queue(server, "default")
        waiting.result(timeout=10)
    assert len(seen) >= 4
    for one in seen:
        assert why(look, one) != one, one
    assert why(look, "something that nobody knows") == "something that nobody knows"
