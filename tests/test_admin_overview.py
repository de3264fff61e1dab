"""The overview of the admin page: its sentence, what it tells to look at, and its numbers, as a page and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver.process.gates import pause_queue, resume_queue
from onserver.process.maintenance import begin_maintenance, end_maintenance
from onserver.redis.address import Address
from onserver.server import Server
from onserver.views.members import members
from onserver.views.standing import LONG_HELD_SECONDS, look
from tests.admin_browser import browser
from tests.admin_forms import sent
from tests.inline_worker import make_server, working


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"ao{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


def data(ann: TestClient) -> Any:
    return ann.get("/", headers={"accept": "application/json"}).json()["data"]


def kinds(server: Server) -> set[str]:
    return {concern.kind for concern in look(server).concerns}


def test_a_server_that_never_ran_says_how_to_start_it(server: Server, ann: TestClient) -> None:
    page = ann.get("/").text
    assert "No worker has ever connected." in page
    assert "<code data-copy>onserver worker</code>" in page
    assert "Redis answers" in page
    assert data(ann)["ever"] is False


def test_a_server_that_runs_is_healthy(server: Server, ann: TestClient) -> None:
    with working(server):
        seen = data(ann)
        assert (seen["epoch"]["state"], seen["workers"], seen["executors"], seen["concerns"]) == ("running", 1, 1, [])
        page = ann.get("/").text
        assert "Healthy. One worker, 0 processes run, nothing has failed within the hour." in page
        assert "No worker has ever connected." not in page
        assert "Tout va bien. Un worker" in ann.get("/", headers={"accept-language": "fr"}).text


def test_it_tells_what_to_look_at(server: Server, ann: TestClient) -> None:
    with working(server):
        pause_queue(server, "mail", by="bob")
        begin_maintenance("new disks")
        assert kinds(server) == {"paused", "maintenance"}
        page = ann.get("/").text
        assert "It runs; 2 things to look at." in page
        assert "Queue mail is paused by bob." in page
        assert "new disks" in page
        assert 'action="/act/maintenance.off"' in page
        resume_queue(server, "mail")
        end_maintenance()
        assert kinds(server) == set()


def test_a_worker_that_is_silent_a_lock_held_long_and_dead_letters_are_told_of(server: Server, ann: TestClient) -> None:
    store = server.store
    with working(server):
        (member,) = members(store)
        holder = next(name.decode() for name in store.command("SMEMBERS", store.key("live")))
        long_ago = store.now_ms() - int(LONG_HELD_SECONDS + 5) * 1000
        store.command("SADD", store.key(f"locks:{holder}"), f"TOKEN {holder}/0.0 0 st:l:rates")
        store.command("HSET", store.key("st:l:rates"), "o", f"{holder}/0.0", "at", long_ago)
        store.command("ZADD", store.key("dead"), store.now_ms(), 7)
        store.command("ZADD", store.key("members"), store.now_ms() - 30_000, member.number)
        found = {concern.kind: concern.facts for concern in look(server).concerns}
        assert found["lock"]["name"] == "rates"
        assert found["dead"] == {"count": 1}
        assert found["silent"]["seconds"] > 29
        assert look(server).concerns[0].level == "bad"
        assert "rates" in ann.get("/").text
        store.command("DEL", store.key("st:l:rates"), store.key("dead"), store.key(f"locks:{holder}"))


def test_the_charts_have_a_line_and_a_table(server: Server, ann: TestClient) -> None:
    store = server.store
    slot = store.now_ms() // 10_000
    for back in range(5, 0, -1):
        store.command("RPUSH", store.key("series:10s"), f"{slot - back} 20 1 30 1 2 {back} 0 1000000 5000 1")
    seen = data(ann)["series"]
    assert (seen["span"], seen["step_ms"]) == ("15m", 10_000)
    assert seen["values"]["queued"][-5:] == [5.0, 4.0, 3.0, 2.0, 1.0]
    page = ann.get("/").text
    assert page.count("<polyline") == 6
    assert page.count("as a table") == 6
    assert 'aria-label="In queues, last 1, at most 5' in page
    assert ann.get("/?span=7d").status_code == 200
    assert ann.get("/?span=1y").status_code == 400


def test_who_may_not_change_anything_sees_no_button(server: Server) -> None:
    for ann in (browser(server, ["viewer"]), browser(server, read_only=True)):
        assert "/act/" not in ann.get("/").text


def test_new_connections_are_rejected_and_taken_again(server: Server, ann: TestClient) -> None:
    with working(server):
        assert sent(ann, "/", "connections.reject").status_code == 303
        assert "New connections of remote clients are rejected by ann." in ann.get("/").text
        assert sent(ann, "/", "connections.accept").status_code == 303
        assert 'action="/act/connections.reject"' in ann.get("/").text


def test_every_link_leads_to_a_page(server: Server, ann: TestClient) -> None:
    with working(server):
        pause_queue(server, "mail", by="bob")
        found = set(re.findall(r'href="(/[^"]*)"', ann.get("/").text))
        assert found
        for address in found:
            assert ann.get(address.replace("&amp;", "&")).status_code == 200, address
        resume_queue(server, "mail")
