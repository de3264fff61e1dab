"""Hooks and events on the admin page: a lane for each hook, why it did not run, what happened, and what can be done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver import (
    Process,
    on_backup_shutdown,
    on_backup_startup,
    on_server_close_connection,
    on_server_open_connection,
    on_server_shutdown,
    on_server_startup,
    on_system_event,
    on_web_authentication,
    registry,
)
from onserver.admin.pages.hooks import EXAMPLES
from onserver.errors import BadDeclaration, HookNotFound
from onserver.life.events import tell_event, tell_own
from onserver.life.hook import BACKUP_STARTUP, OPEN_CONNECTION, STARTUP
from onserver.life.hook_arguments import Backup
from onserver.life.hook_call import call_hooks
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.server import Server
from onserver.testing import OnServer
from onserver.values import encode
from onserver.views.hook_lanes import Lane, find_declared, lanes
from tests.admin_browser import browser
from tests.inline_worker import make_server, working

JSON = {"accept": "application/json"}


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"ah{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


@pytest.fixture
def declared() -> Iterator[None]:
    """Hooks of these tests, and no others."""
    known = registry.kept()
    registry.keep({})

    @on_server_startup(name="hooked.load")
    def load() -> None:
        """Load the rates."""

    @on_server_startup(name="hooked.late", after="hooked.load")
    def late() -> None: ...

    @on_server_shutdown(name="hooked.flush")
    def flush() -> None: ...

    @on_backup_startup(name="hooked.guard", by_hand=True, timeout=20)
    def guard(backup: Backup) -> int | None:
        return backup.veto(201, "month-end close")

    @on_backup_startup(name="hooked.second")
    def second(_backup: Backup) -> int | None:
        return 0

    @on_backup_shutdown(name="hooked.told")
    def told(_result: object) -> None:
        raise ValueError("no mail today")

    @on_system_event(name="hooked.heard", run_on="every", by_hand=True)
    def heard(_event: object) -> str:
        return "a secret answer"

    @on_server_open_connection(name="hooked.door")
    def admit(_connection: object) -> None: ...

    @on_server_close_connection(name="hooked.door")
    def left(_connection: object) -> None: ...

    yield
    registry.keep(known)


@pytest.fixture
def worker(server: Server, declared: None) -> Iterator[OnServer]:
    with working(server) as opened:
        yield opened


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


def data(ann: TestClient, path: str = "/hooks") -> Any:
    answer = ann.get(path, headers=JSON)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def lane(server: Server, name: str, kind: str = "") -> Lane:
    return next(one for one in lanes(server.store) if one.declared.name == name and kind in ("", one.declared.kind))


def note(
    server: Server, kind: str, hook: str, outcome: str = "done", value: object = None, *, epoch: int | None = None,
    delivery: int = 1,
) -> None:  # fmt: skip
    """Write the record of a run down, as a worker does."""
    store = server.store
    refused = outcome in ("veto", "timeout")
    payload = encode({"value": value, "reason": "month-end close"} if refused else value)
    before = store.command("HGET", store.key("server"), "epoch") or b"0"
    if epoch is not None:
        store.command("HSET", store.key("server"), "epoch", epoch)
    store.run("note_hook", store.nonce(), "", 0, kind, hook, delivery, "w1", 12, outcome, payload)
    store.command("HSET", store.key("server"), "epoch", before)


# -- lanes


def test_without_hooks_all_seven_are_shown_with_code(server: Server, ann: TestClient) -> None:
    page = ann.get("/hooks").text
    assert "These are the seven" in page
    assert len(EXAMPLES) == 7
    for name, code in EXAMPLES:
        assert unescape(page).count(code) == 1, name
    assert "Nothing has happened yet." in page
    assert data(ann) == {"lanes": [], "events": []}


@pytest.mark.parametrize(("name", "code"), EXAMPLES)
def test_the_code_that_is_shown_declares_a_hook(name: str, code: str) -> None:
    known = registry.kept()
    try:
        names = f"Backup, BackupResult, Connection, SystemEvent, session, {name}"
        exec(f"from onserver import {names}\n{code}", {"__name__": "tasks.shown"})  # it is our own
    finally:
        registry.keep(known)


@pytest.mark.usefixtures("worker")
def test_each_hook_has_a_lane_in_the_order_in_which_they_run(server: Server, ann: TestClient) -> None:
    assert [(one["kind"], one["name"]) for one in data(ann)["lanes"]] == [
        ("on_server_startup", "hooked.load"), ("on_server_startup", "hooked.late"),
        ("on_server_shutdown", "hooked.flush"), ("on_backup_startup", "hooked.guard"),
        ("on_backup_startup", "hooked.second"), ("on_backup_shutdown", "hooked.told"),
        ("on_system_event", "hooked.heard"), ("on_server_open_connection", "hooked.door"),
        ("on_server_close_connection", "hooked.door"),
    ]  # fmt: skip
    guard = next(one for one in data(ann)["lanes"] if one["name"] == "hooked.guard")
    assert (guard["by_hand"], guard["timeout"], guard["alive"]) == (True, 20.0, True)
    assert next(one for one in data(ann)["lanes"] if one["name"] == "hooked.heard")["run_on"] == "every"
    page = ann.get("/hooks").text
    assert "Load the rates." in page
    assert [one["name"] for one in data(ann, "/hooks?kind=on_backup_shutdown")["lanes"]] == ["hooked.told"]
    assert [one["name"] for one in data(ann, "/hooks?q=THE%20RATES")["lanes"]] == ["hooked.load"]
    assert "No hook fits." in ann.get("/hooks?q=nothing+like+it").text
    assert ann.get("/hooks?kind=on_fire").status_code == 400


def test_what_workers_say_of_hooks_goes_with_their_code(server: Server, declared: None) -> None:
    with working(server):
        assert lane(server, "hooked.load").alive
    assert [one for one in lanes(server.store) if one.alive] == []
    assert not [orphan for orphan in find_orphans(server.store) if "sides:" in str(orphan)]


@pytest.mark.usefixtures("worker")
def test_a_run_is_shown_with_all_that_is_known_of_it(server: Server, ann: TestClient) -> None:
    call_hooks(server, BACKUP_STARTUP, Backup(number=3))
    note(server, "on_system_event", "hooked.heard", value="a secret answer")
    note(server, STARTUP, "hooked.gone", delivery=2)
    page = ann.get("/hooks").text
    assert "month-end close" in page
    assert re.search(r'data-state="refused".*?<strong class="mono">201</strong>', page, re.DOTALL)
    assert "a secret answer" in page
    assert "delivery 2" in page
    (run,) = next(one for one in data(ann)["lanes"] if one["name"] == "hooked.guard")["runs"]
    assert (run["outcome"], run["value"], run["reason"], run["epoch"]) == ("veto", 201, "month-end close", 1)
    assert "Un hook a refusé" in ann.get("/hooks", headers={"accept-language": "fr"}).text
    viewer = browser(server, ["viewer"])
    assert "a secret answer" not in viewer.get("/hooks").text
    assert "a secret answer" not in viewer.get("/hooks", headers=JSON).text
    assert "a secret answer" not in viewer.get("/hooks/runs").text
    assert "a secret answer" not in viewer.get("/hooks/runs", headers=JSON).text
    assert data(viewer, "/hooks/runs?hook=hooked.guard")["runs"][0]["value"] == 201


@pytest.mark.usefixtures("worker")
def test_why_a_hook_did_not_run(server: Server, ann: TestClient) -> None:
    def why(name: str, kind: str = "") -> Any:
        found = lane(server, name, kind).why
        return found and found.reason

    assert [why("hooked.load"), why("hooked.flush"), why("hooked.guard"), why("hooked.told"), why("hooked.heard")] == [
        "added", "not_stopped", "no_backup", "no_backup_ended", "no_event",
    ]  # fmt: skip
    assert [why("hooked.door", OPEN_CONNECTION), why("hooked.door", "on_server_close_connection")] == [
        "no_client", "none_left",
    ]  # fmt: skip
    page = ann.get("/hooks").text
    for text in (
        "It did not run in epoch 1: the server had started already when it was added.", "no backup was begun yet",
        "the server has not stopped since it was added; epoch 1 goes on", "no remote client has connected yet",
        "nothing has happened that it hears", "no connection that was accepted has ended yet",
    ):  # fmt: skip
        assert text in page
    note(server, STARTUP, "hooked.load", "failed", {"type": "ValueError", "message": "no"})
    assert (why("hooked.load"), why("hooked.late")) == (None, "before_failed")
    note(server, BACKUP_STARTUP, "hooked.guard", "veto", 201)
    assert (why("hooked.guard"), why("hooked.second")) == (None, "refused_before")
    assert "hooked.guard, which is before it, refused: month-end close" in ann.get("/hooks").text
    note(server, BACKUP_STARTUP, "hooked.guard")
    note(server, BACKUP_STARTUP, "hooked.second")
    assert why("hooked.second") is None
    note(server, STARTUP, "hooked.taken_out")
    assert why("hooked.taken_out") == "no_worker"
    store = server.store
    store.command("HSET", store.key("server"), "previous", "crashed", "epoch", 2)
    assert why("hooked.flush") == "crashed"
    assert "that ended with a crash" in ann.get("/hooks").text
    store.command("HSET", store.key("server"), "state", "starting")
    assert why("hooked.load") == "turn"
    store.command("HSET", store.key("server"), "state", "running", "epoch", 1, "previous", "none")


@pytest.mark.usefixtures("worker")
def test_one_that_runs_just_now_says_so(server: Server, ann: TestClient) -> None:
    store = server.store
    store.command("HSET", store.key("hooks:1"), "on_server_startup hooked.load", "77")
    assert lane(server, "hooked.load").running == 77
    assert 'data-state="running"' in ann.get("/hooks").text
    store.command("DEL", store.key("hooks:1"))


# -- runs


def test_runs_are_filtered_and_come_in_pages(server: Server, ann: TestClient) -> None:
    for index in range(7):
        note(server, STARTUP, "a.load", epoch=index)
    note(server, BACKUP_STARTUP, "a.guard", "veto", 9, epoch=3)
    found = data(ann, "/hooks/runs?limit=3")
    assert [run["hook"] for run in found["runs"]] == ["a.guard", "a.load", "a.load"]
    seen, cursor = len(found["runs"]), found["cursor"]
    while cursor:
        found = data(ann, f"/hooks/runs?limit=3&cursor={cursor}")
        seen, cursor = seen + len(found["runs"]), found["cursor"]
    assert seen == 8
    counts = {"outcome=veto": 1, "hook=a.load": 7, "epoch=3": 2, "epoch=0": 1, "kind=on_backup_startup": 1}
    for query, count in counts.items():
        assert len(data(ann, f"/hooks/runs?{query}")["runs"]) == count, query
    for query in ("outcome=x", "kind=x", "epoch=x", "cursor=x", "cursor=1-", "limit=201"):
        assert ann.get(f"/hooks/runs?{query}").status_code == 400, query
    assert "No run fits." in ann.get("/hooks/runs?hook=nobody").text


def test_no_runs(server: Server, ann: TestClient) -> None:
    assert "No run of a hook is kept." in ann.get("/hooks/runs").text
    assert data(ann, "/hooks/runs") == {"runs": [], "cursor": None}


# -- events


def test_events_are_filtered_and_come_in_pages(server: Server, ann: TestClient) -> None:
    for index in range(30):
        tell_own(server.store, f"door.{'opened' if index % 2 else 'closed'}", {"door": index}, who="bob")
    tell_event(server.store, "maintenance.off", {"by": "eve"})
    assert data(ann)["events"][0]["name"] == "maintenance.off"
    assert len(data(ann)["events"]) == 20
    assert "More events" in ann.get("/hooks").text
    assert len(data(ann, "/hooks/events?event=door.opened")["events"]) == 15
    assert len(data(ann, "/hooks/events?event=1000&limit=200")["events"]) == 30
    assert [event["code"] for event in data(ann, "/hooks?event=142")["events"]] == [142]
    found, seen = data(ann, "/hooks/events?limit=10"), 0
    while found["events"]:
        seen += len(found["events"])
        if not found["cursor"]:
            break
        found = data(ann, f"/hooks/events?limit=10&cursor={found['cursor']}")
    assert seen == 31
    assert "the server takes new work again" in ann.get("/hooks/events?event=maintenance.off").text
    assert "by eve" in ann.get("/hooks/events").text
    told = {"code": 0, "reason": "", "number": 4711, "path": "", "seconds": 0.5}
    tell_event(server.store, "backup.ended", told)
    assert "/processes/4711" not in ann.get("/hooks").text  # it is the number of an archive
    assert "No such event is kept." in ann.get("/hooks/events?event=window").text
    for query in ("cursor=x", "limit=0", "event=" + "x" * 65):
        assert ann.get(f"/hooks/events?{query}").status_code == 400, query


def test_what_users_say_in_events_is_for_those_who_may_see_values(server: Server) -> None:
    tell_own(server.store, "door.opened", {"pin": "xyzzy", "number": "<b>"}, who="bob")
    ann, viewer = browser(server), browser(server, ["viewer"])
    for path in ("/hooks", "/hooks/events"):
        assert "xyzzy" in ann.get(path).text
        assert "<b>" not in ann.get(path).text
        assert "xyzzy" not in viewer.get(path).text
        assert "admin.data" in viewer.get(path).text
        assert "xyzzy" not in viewer.get(path, headers=JSON).text


# -- what can be done


def test_who_may_not_change_anything_sees_no_button(server: Server, worker: OnServer) -> None:
    for eve in (browser(server, ["viewer"]), browser(server, read_only=True)):
        assert "/act/" not in eve.get("/hooks").text


@pytest.mark.usefixtures("worker")
def test_a_hook_that_says_so_is_run_by_hand_and_no_other(server: Server, ann: TestClient) -> None:
    page = ann.get("/hooks").text
    forms = re.findall(r'action="/act/hook\.run".*?name="hook" value="([^"]*)"', page, re.DOTALL)
    assert forms == ["on_backup_startup:hooked.guard", "on_system_event:hooked.heard"]
    assert "about to be done" in ann.post("/act/hook.run", data={"hook": forms[0]}).text
    store = server.store
    done = ann.post("/act/hook.run", data={"hook": forms[0], "confirm": "yes"}, headers=JSON).json()["data"]
    number = done["data"]["process"]
    assert Process[Any](server, number).record().procedure == forms[0]
    assert store.command("HGET", store.key(f"p:{number}"), "n") == b"on_backup_startup hooked.guard"
    for word in ("hooked.load", "on_server_startup:hooked.load"):
        refused = ann.post("/act/hook.run", data={"hook": word, "confirm": "yes"}, headers=JSON)
        assert refused.status_code == 422
        assert "@on_server_startup(by_hand=True)" in refused.json()["error"]["message"]
    assert ann.post("/act/hook.run", data={"hook": "nobody", "confirm": "yes"}, headers=JSON).status_code == 404


@pytest.mark.usefixtures("worker")
def test_a_hook_is_found_by_its_name_its_end_or_with_its_kind(server: Server) -> None:
    store = server.store
    assert find_declared(store, "guard").side == "on_backup_startup:hooked.guard"
    assert find_declared(store, "on_server_open_connection:door").kind == OPEN_CONNECTION
    with pytest.raises(HookNotFound, match=r"on_server_close_connection:hooked\.door"):
        find_declared(store, "hooked.door")


def test_a_test_event_is_sent_by_its_form(server: Server, ann: TestClient) -> None:
    page = ann.get("/hooks").text
    assert 'action="/act/event.send"' in page
    assert {'name="event"' in page, 'name="payload"' in page} == {True}
    said = ann.post("/act/event.send", data={"event": "door.opened", "payload": '{"door": 3}'}, follow_redirects=True)
    assert "Event door.opened is told." in said.text
    assert data(ann)["events"][0]["payload"] == {"door": 3}
    refused = ann.post("/act/event.send", data={"event": "worker.joined"}, follow_redirects=True)
    assert "that name is onserver" in unescape(refused.text)


def test_a_hook_of_the_web_cannot_be_run_by_hand() -> None:
    with pytest.raises(BadDeclaration, match="by_hand"):
        on_web_authentication(by_hand=True)(lambda _request: True)


@pytest.mark.usefixtures("worker")
def test_every_link_leads_to_a_page(server: Server, ann: TestClient) -> None:
    call_hooks(server, BACKUP_STARTUP, Backup(number=3))
    tell_event(server.store, "maintenance.off", {"by": "eve"})
    found = {
        address
        for path in ("/hooks", "/hooks/runs?limit=1", "/hooks/events?limit=1")
        for address in re.findall(r'href="(/[^"#]*)', ann.get(path).text)
        if not address.startswith("/members/")
    }
    assert len(found) > 10
    for address in found:
        assert ann.get(unescape(address)).status_code == 200, address
