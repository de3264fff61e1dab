"""A process as JSON and as events, for the session that started it and for nobody else."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from onserver import procedure, process, server_method, session, signal
from onserver.process.execute import execute_on_server
from onserver.process.handle import Process
from onserver.process.record import read_record
from onserver.registry import keep
from onserver.testing.inline import OnServer
from onserver.web import watching
from onserver.web.gateway import Gateway
from tests.web_project import browser, declaring, make_project


def declare() -> None:
    @procedure(published=True, name="shop.report")
    def report(year: int) -> dict[str, int]:
        process().report(1, 2, "half")
        return {"year": year}

    @procedure(published=True, name="shop.steps")
    def steps() -> str:
        for step in range(1, 4):
            process().report(step, 3, f"step {step}")
            signal(f"step {step}").wait(timeout=60)
        return "done"

    @procedure(published=True, name="shop.fails")
    def fails() -> None:
        raise LookupError("a secret: 4711")

    @procedure(published=True, name="shop.outer")
    def outer() -> int:
        return execute_on_server("shop.report", 1).number

    @server_method(published=True, name="shop.login")
    def login(user: str) -> None:
        session().set_privileges({"userName": user})


@pytest.fixture
def live(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    with declaring():
        keep({})
        declare()
        monkeypatch.setenv("ONSERVER_PROJECT", str(make_project(tmp_path / "shop")))
        opened: OnServer = request.getfixturevalue("onserver_live")
        yield opened


async def started(who: httpx.AsyncClient, path: str, body: bytes = b"[]") -> str:
    """Start a process; where it is."""
    answer = await who.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


async def ended(where: str) -> None:
    """Wait until it has ended."""
    handle: Process[Any] = Process.get(int(where.rpartition("/")[2]))
    try:
        await handle
    except LookupError:
        assert handle.state == "failed"


def events_of(text: str) -> list[dict[str, Any]]:
    """Read events as a browser does; comments are left out."""
    found: list[dict[str, Any]] = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines() if line and not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


# ---- whose it is


async def test_only_the_session_that_started_a_process_sees_it(live: OnServer) -> None:
    app = Gateway(live.server)
    async with browser(app) as ann, browser(app) as bob:
        where = await started(ann, "/action/shop.report", b"[2026]")
        await ended(where)
        told = (await ann.get(where)).json()
        assert (told["state"], told["result"], told["procedure"]) == ("done", {"year": 2026}, "shop.report")
        assert told["progress"]["note"] == "half"
        assert await started(bob, "/action/shop.report", b"[2027]") != where
        number = int(where.rpartition("/")[2])
        for path in (where, f"{where}/events"):
            others, never = await bob.get(path), await bob.get(path.replace(str(number), "99999999"))
            assert (others.status_code, never.status_code) == (404, 404)
            told, unknown = others.json()["error"], never.json()["error"]
            assert told["message"].replace(str(number), "N") == unknown["message"].replace("99999999", "N")
        async with browser(app) as stranger:
            assert (await stranger.get(where)).status_code == 404
            assert dict(stranger.cookies) == {}


async def test_what_the_server_or_nobody_started_is_nobodys(live: OnServer) -> None:
    own = execute_on_server("shop.report", 1)
    await own
    async with browser(Gateway(live.server)) as ann:
        await started(ann, "/action/shop.report", b"[1]")
        for word in (str(own.number), "0", "-1", "1e3", "01x", "٣", "9" * 40, "%00", "..", "a"):
            assert (await ann.get(f"/processes/{word}")).status_code == 404, word
            assert (await ann.get(f"/processes/{word}/events")).status_code == 404, word


async def test_what_a_process_starts_is_its_callers_too(live: OnServer) -> None:
    async with browser(Gateway(live.server)) as ann:
        where = await started(ann, "/action/shop.outer")
        await ended(where)
        inner = (await ann.get(where)).json()["result"]
        await ended(f"/processes/{inner}")
        assert (await ann.get(f"/processes/{inner}")).json()["result"] == {"year": 1}


async def test_who_logs_in_meanwhile_keeps_what_was_started(live: OnServer) -> None:
    async with browser(Gateway(live.server)) as ann:
        where = await started(ann, "/action/shop.report", b"[1]")
        await ended(where)
        before = dict(ann.cookies)
        await ann.post("/action/shop.login?user=ann")
        assert dict(ann.cookies) != before
        assert (await ann.get(where)).json()["state"] == "done"
        async with browser(Gateway(live.server)) as thief:  # who has seen the old cookie
            thief.cookies.update(before)
            assert (await thief.get(where)).status_code == 404


async def test_an_error_is_told_without_its_text(live: OnServer) -> None:
    async with browser(Gateway(live.server)) as ann:
        where = await started(ann, "/action/shop.fails")
        await ended(where)
        told = await ann.get(where)
        assert told.json()["state"] == "failed"
        assert told.json()["error"]["code"] == 2201
        assert "4711" not in told.text + (await ann.get(f"{where}/events")).text


# ---- events


async def test_events_of_a_process_that_has_ended_end_too(live: OnServer) -> None:
    async with browser(Gateway(live.server)) as ann:
        where = await started(ann, "/action/shop.report", b"[2026]")
        await ended(where)
        answer = await ann.get(f"{where}/events")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
        assert answer.text.startswith("retry: 3000\n")
        state, progress, result = events_of(answer.text)
        assert (state["event"], state["data"]["state"]) == ("state", "done")
        assert "id" not in state
        assert (progress["event"], progress["data"]["percent"]) == ("progress", 50)
        assert (result["event"], result["data"]["result"], result["id"]) == ("result", {"year": 2026}, "end")
        seen = {"Last-Event-ID": progress["id"]}
        assert [one["event"] for one in events_of((await ann.get(f"{where}/events", headers=seen)).text)] == [
            "state",
            "result",
        ]
        over = await ann.get(f"{where}/events", headers={"Last-Event-ID": "end"})
        assert (over.status_code, over.text) == (204, "")
        odd = await ann.get(f"{where}/events", headers={"Last-Event-ID": "no such id"})
        assert [one["event"] for one in events_of(odd.text)] == ["state", "progress", "result"]


def stream(live: OnServer, where: str, cookie: str, seen: str = "") -> AsyncIterator[str]:
    """What is streamed to a browser, piece by piece."""
    record = read_record(live.server.store, int(where.rpartition("/")[2]))
    mine = live.server.sessions.find(cookie)
    assert record is not None
    assert mine is not None
    return watching.events(live.server, record, mine, seen)


async def upto(pieces: AsyncIterator[str], kind: str, note: str = "") -> dict[str, Any]:
    """Read until an event of a kind comes."""
    async for piece in pieces:
        for event in events_of(piece):
            if event["event"] == kind and note in str(event["data"]):
                return event
    raise AssertionError(f"no {kind} came")


async def test_who_connects_again_gets_what_was_not_seen_and_nothing_twice(live: OnServer) -> None:
    async with browser(Gateway(live.server)) as ann:
        where = await started(ann, "/action/shop.steps")
        [cookie] = dict(ann.cookies).values()
        first = stream(live, where, cookie)
        one = await upto(first, "progress", "step 1")
        signal("step 1").trigger()
        two = await upto(first, "progress", "step 2")
        assert one["id"] != two["id"]
        signal("step 2").trigger()
        again = stream(live, where, cookie, two["id"])
        three = await upto(again, "progress")
        assert three["data"]["note"] == "step 3"  # and not step 2 once more
        signal("step 3").trigger()
        assert (await upto(again, "result"))["data"]["result"] == "done"
        with pytest.raises(AssertionError, match="no progress came"):
            await upto(again, "progress")


async def test_a_stream_shows_that_it_is_alive_and_ends_with_its_session(
    live: OnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HEARTBEAT_SECONDS", 0.05)
    async with browser(Gateway(live.server)) as ann:
        where = await started(ann, "/action/shop.steps")
        [cookie] = dict(ann.cookies).values()
        pieces = stream(live, where, cookie)
        await upto(pieces, "progress", "step 1")
        assert any([piece async for piece in one_of(pieces)])
        live.server.sessions.drop(cookie, by="test")
        with pytest.raises(AssertionError, match="no result came"):
            await upto(pieces, "result")
        threading.Thread(target=let_go, daemon=True).start()


async def one_of(pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    """Read until a comment comes."""
    async for piece in pieces:
        if piece.startswith(":"):
            yield piece
            return


def let_go() -> None:
    for step in range(1, 4):
        signal(f"step {step}").trigger()


async def test_no_more_follow_than_may(live: OnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST", 0)
    async with browser(Gateway(live.server)) as ann:
        where = await started(ann, "/action/shop.report", b"[1]")
        answer = await ann.get(f"{where}/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert (await ann.get(where)).status_code == 200
