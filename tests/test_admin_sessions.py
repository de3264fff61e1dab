"""Sessions on the admin page: who is there, what each may do and why, and what can be done to them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from onserver import Server, execute_on_server, procedure
from onserver.redis.address import Address
from onserver.registry import keep, kept
from onserver.session.context import serving
from onserver.session.session import Session
from onserver.session.users import Users
from onserver.settings import MemberSettings, Settings, SigningSettings
from onserver.views.sessions import counts, listed
from tests.admin_browser import browser
from tests.admin_forms import boxes, confirmed, forms, sent, told
from tests.inline_worker import KEY, working

JSON = {"accept": "application/json"}
ROLES: dict[str, Any] = {
    "privileges": [
        {"privilege": "guest", "includes": ["shop.look"]},
        {"privilege": "shop.look"},
        {"privilege": "invoices.read"},
        {"privilege": "invoices.create", "includes": ["invoices.read"]},
        {"privilege": "reports"},
    ],
    "roles": [{"role": "clerk", "privileges": ["invoices.create"]}],
    "permissions": {"allowed": []},
}


@pytest.fixture
def server(redis_address: Address, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "roles.json").write_text(json.dumps(ROLES))
    settings = Settings(
        name=f"as{uuid4().hex[:8]}", redis=f"unix://{redis_address.path}", signing=SigningSettings(key=KEY),
        member=MemberSettings(lease_seconds=60.0),
    )  # fmt: skip
    with Server(project=tmp_path, settings=settings) as made, made.as_current():
        yield made


@pytest.fixture
def ann(server: Server) -> TestClient:
    return browser(server)


@pytest.fixture
def shopper(server: Server) -> Session:
    opened = server.sessions.open(
        "web", user="Bea", login="bea", ip="10.0.0.7", agent="Mozilla/5.0 (X11)", host_type="browser", web="shop"
    )
    opened.set_privileges({"roles": ["clerk"], "privileges": ["reports"]})
    return opened


def data(ann: TestClient, address: str) -> Any:
    return ann.get(address, headers=JSON).json()["data"]


def ids(ann: TestClient, query: str = "") -> list[str]:
    return [row["id"] for row in data(ann, f"/sessions{query}")["rows"]]


# -- the list


def test_without_web_sessions_it_says_when_they_appear(server: Server, ann: TestClient) -> None:
    assert "There is no session." in ann.get("/sessions").text
    with working(server):
        page = ann.get("/sessions").text
        assert "Only the stored-procedure session exists. Web sessions appear" in page
        assert "storedProcedure" in page
        assert "Choose session" not in page  # nobody drops that one
        assert data(ann, "/sessions")["kinds"]["storedProcedure"] == 1


def test_a_list_has_who_from_where_since_when_and_in_which_state(
    server: Server, ann: TestClient, shopper: Session
) -> None:
    page = ann.get("/sessions").text
    for text in ("Bea", "10.0.0.7", "Mozilla/5.0 (X11)", f'href="/sessions/{shopper.id}"', "active"):
        assert text in page
    assert "Only the stored-procedure session" not in page
    (row,) = data(ann, "/sessions")["rows"]
    assert (row["user"], row["kind"], row["state"], row["granted"]) == ("Bea", "web", "active", ["reports", "clerk"])


def test_sessions_are_found_by_kind_state_and_words(server: Server, ann: TestClient, shopper: Session) -> None:
    desk = server.sessions.open("remote", user="Cal", machine="desk 3", system_user="cal")
    soon = server.sessions.open("web", idle_seconds=60)
    server.store.command("HSET", server.store.key(f"s:{desk.id}"), "state", "sleeping")
    assert ids(ann, "?kind=remote") == ids(ann, "?state=sleeping") == ids(ann, "?q=DESK") == [desk.id]
    assert ids(ann, "?state=expiring") == [soon.id]
    assert ids(ann, "?state=active") == [shopper.id]
    assert ids(ann, "?q=bea;cal") == [desk.id, shopper.id]
    assert ids(ann, f"?q={shopper.id[:6].lower()}") == ids(ann, f"?q={shopper.id}") == [shopper.id]
    assert ids(ann, "?q=10.0.0&kind=remote") == ids(ann, "?state=unreachable") == []
    assert "No session fits." in ann.get("/sessions?q=nobody").text
    page = unescape(ann.get("/sessions").text)
    for chip in ("All 3", "web 2", "remote 1", "active 1", "sleeping 1", "unreachable 0", "expiring 1"):
        label, number = chip.rsplit(" ", 1)
        assert re.search(rf'>{label} <span class="count">{number}</span>', page), chip


def test_a_client_that_is_not_heard_is_unreachable(server: Server, ann: TestClient) -> None:
    desk = server.sessions.open("remote", user="Cal")
    long_ago = server.store.now_ms() - 60_000
    server.store.command("HSET", server.store.key(f"s:{desk.id}"), "state", "active", "beat", 1000, "heard", long_ago)
    assert ids(ann, "?state=unreachable") == [desk.id]
    assert counts(server).states == {"active": 0, "sleeping": 0, "unreachable": 1, "expiring": 0}
    assert "unreachable" in ann.get(f"/sessions/{desk.id}").text


def test_a_long_list_goes_on_behind_a_cursor(server: Server, ann: TestClient) -> None:
    opened = [server.sessions.open("web", user=f"u{number % 3}", idle_seconds=200).id for number in range(25)]
    for query in ("limit=10", "limit=10&state=expiring", "limit=4&q=u1"):
        found: list[str] = []
        address = f"/sessions?{query}"
        while address:
            found += [row["id"] for row in data(ann, address)["rows"]]
            further = re.search(r'<a href="([^"]*)" rel="next"', ann.get(address).text)
            address = unescape(further[1]) if further else ""
        assert len(found) == len(set(found)) == (8 if "q=" in query else 25)
        assert set(found) <= set(opened)
    for query in ("cursor=x", "cursor=1.x", "cursor=-1&state=expiring", "kind=x", "state=closed", "limit=201"):
        assert ann.get(f"/sessions?{query}").status_code == 400, query


def test_who_looks_for_what_is_rare_is_told_how_far_it_was_looked(
    server: Server, ann: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onserver.views.sessions._FARTHEST", 5)
    last = server.sessions.open("web", user="rare")
    for _ in range(7):
        server.sessions.open("web")
    page = ann.get("/sessions?q=rare").text
    assert "5 sessions were looked through; the next page goes on." in page
    found = listed(server, words="rare", limit=10)
    again = listed(server, words="rare", limit=10, cursor=found.cursor)
    assert ([one.id for one in found.rows], [one.id for one in again.rows], again.cursor) == ([], [last.id], "")


# -- one


def test_one_session_has_its_facts_and_says_why_it_may(server: Server, ann: TestClient, shopper: Session) -> None:
    page = unescape(ann.get(f"/sessions/{shopper.id}").text)
    for text in (
        shopper.id, "10.0.0.7", "shop", "reports, clerk",
        "The role clerk gives it: clerk → invoices.create → invoices.read.", "It was given to the session itself.",
        "Everybody has it: guest → shop.look.", "The storage is empty.", "It holds no lock and waits for none.",
        "Nothing runs that it has asked for.", "0 messages wait to be read.",
    ):  # fmt: skip
        assert text in page, text
    assert "Le rôle clerk le donne" in ann.get(f"/sessions/{shopper.id}", headers={"accept-language": "fr"}).text
    found = data(ann, f"/sessions/{shopper.id}")
    ways = {one["privilege"]: (one["first"], one["way"]) for one in found["privileges"]}
    assert ways["invoices.read"] == ("role", ["clerk", "invoices.create", "invoices.read"])
    assert ways["shop.look"] == ("everybody", ["guest", "shop.look"])
    assert ways["reports"] == ("privilege", ["reports"])


def test_a_session_that_is_gone_is_not_there(server: Server, ann: TestClient, shopper: Session) -> None:
    assert ann.get(f"/sessions/{'0' * 32}").status_code == ann.get("/sessions/x").status_code == 404
    server.sessions.drop(shopper.id, by="cal", reason="stolen laptop")
    answer = ann.get(f"/sessions/{shopper.id}")
    assert answer.status_code == 404
    assert "This session was dropped by cal. stolen laptop" in answer.text


def test_values_are_for_those_who_may_see_them_and_secrets_for_nobody(server: Server, shopper: Session) -> None:
    with shopper.storage.use() as root:
        root["cart"] = {"article": "red shoes", "payToken": "tok-4711"}
        root["api_token"] = "tok-4712"
    shopper.storage.counter("visits").add(3)
    server.sessions.message(shopper.id, "closing at six", by="cal")
    page = unescape(browser(server).get(f"/sessions/{shopper.id}").text)
    for text in ("red shoes", '"payToken":"•••"', "•••", "closing at six", "One message waits to be read.", "counter"):
        assert text in page, text
    assert "tok-47" not in page
    seen = browser(server, ["viewer"]).get(f"/sessions/{shopper.id}").text
    for text in ("red shoes", "closing at six", "tok-47"):
        assert text not in seen
    for text in ("cart", "visits", "One message waits to be read."):
        assert text in seen
    assert [one.text for one in shopper.messages()] == ["closing at six"]  # looking takes none


def test_open_tokens_are_counted_and_never_shown(server: Server, ann: TestClient, shopper: Session) -> None:
    tokens = [server.sessions.records.new_token(shopper.id, 60) for _ in range(2)]
    page = ann.get(f"/sessions/{shopper.id}").text
    assert re.search(r"<dt>Open one-time tokens</dt><dd>2</dd>", page)
    assert not any(token in page for token in tokens)
    assert server.sessions.records.redeem(tokens[0]) is not None
    assert data(ann, f"/sessions/{shopper.id}")["tokens"] == 1
    server.store.command("HSET", server.store.key(f"s:{shopper.id}"), "otp:old", server.store.now_ms() - 1)
    assert data(ann, f"/sessions/{shopper.id}")["tokens"] == 1
    server.sessions.records.new_token(shopper.id, 60)
    assert not server.store.command("HEXISTS", server.store.key(f"s:{shopper.id}"), "otp:old")


def test_its_locks_are_there(server: Server, ann: TestClient, shopper: Session) -> None:
    with shopper.storage.use("cart"):
        page = ann.get(f"/sessions/{shopper.id}").text
        assert "a thread of" in page
        (lock,) = data(ann, f"/sessions/{shopper.id}")["locks"]
        assert (lock["key"], lock["session"], lock["holder"]["kind"]) == ("cart", shopper.id, "thread")


# -- what can be done


def test_who_may_not_sees_no_button(server: Server, shopper: Session) -> None:
    for eve in (
        browser(server, ["viewer"]),
        browser(server, read_only=True),
        browser(server, ["admin.view", "admin.data"]),
    ):
        for address in ("/sessions", f"/sessions/{shopper.id}"):
            page = eve.get(address).text
            assert "/act/" not in page
            assert boxes(page) == []


def test_a_message_is_sent(ann: TestClient, shopper: Session) -> None:
    said = told(ann, sent(ann, f"/sessions/{shopper.id}", "session.message", text="closing\nat six"))
    assert said == f"✓ Session {shopper.id} has a message."
    (message,) = shopper.messages()
    assert (message.text.splitlines(), message.by) == (["closing", "at six"], "ann")


def test_it_lasts_longer_and_gets_roles(server: Server, ann: TestClient, shopper: Session) -> None:
    address = f"/sessions/{shopper.id}"
    told(ann, sent(ann, address, "session.set", idle_minutes="180"))
    told(ann, sent(ann, address, "session.set", at=1, user_name="Beatrix", privileges="invoices.read"))
    record = server.sessions.records.read(shopper.id)
    assert record is not None
    assert (record.idle_ms, record.user, record.granted) == (180 * 60_000, "Beatrix", ("invoices.read",))
    page = unescape(ann.get(address).text)
    assert f"onserver session set {shopper.id}" in page
    refused = told(ann, sent(ann, address, "session.set", at=1, privileges="nonsense"))
    assert refused.startswith("✗")


def test_a_token_is_shown_once_and_leads_to_the_session(server: Server, ann: TestClient, shopper: Session) -> None:
    answer = sent(ann, f"/sessions/{shopper.id}", "session.link", seconds="5m")
    assert answer.status_code == 200
    token = re.search(r"<code data-copy>([0-9A-F]{32})</code>", answer.text)
    assert token
    assert token[1] not in ann.get(f"/sessions/{shopper.id}").text
    followed = server.sessions.records.redeem(token[1])
    assert followed is not None
    assert followed.id == shopper.id


def test_sessions_are_dropped_one_or_several(server: Server, ann: TestClient, shopper: Session) -> None:
    others = [server.sessions.open("web").id for _ in range(3)]
    assert told(ann, sent(ann, f"/sessions/{others[0]}", "session.drop", reason="why not")).startswith("✓")
    dropped = server.sessions.dropped(others[0])
    assert dropped is not None
    assert (dropped.by, dropped.reason) == ("ann", "why not")
    page = ann.get("/sessions").text
    assert {value for _, value in boxes(page)} == {*others[1:], shopper.id}
    (form,) = [one for one in forms(page) if any("formaction" in button for button in one.buttons)]
    answer = ann.post(form.buttons[0]["formaction"], data={"session": others[1:]})
    assert told(ann, confirmed(ann, answer)).startswith("✓ 2 done.")
    assert [server.sessions.find(one) for one in others] == [None] * 3
    assert server.sessions.find(shopper.id) is not None


def test_a_user_is_revoked_and_dropped_everywhere(server: Server, ann: TestClient, shopper: Session) -> None:
    second = server.sessions.open("web", login="bea")
    Users(server.store).add("bea", "a long password")
    address = f"/sessions/{shopper.id}"
    assert told(ann, sent(ann, address, "user.revoke", reason="left")).startswith("✓")
    assert told(ann, sent(ann, address, "session.drop_user")).startswith("✓ 2 sessions of bea are dropped.")
    assert server.sessions.find(shopper.id) is server.sessions.find(second.id) is None


def test_the_session_of_procedures_is_not_dropped_from_here(server: Server, ann: TestClient) -> None:
    with working(server):
        (own,) = ids(ann)
        page = ann.get(f"/sessions/{own}").text
        assert "/act/session.drop" not in page
        assert "/act/session.link" not in page
        assert "/act/session.message" in page


def test_every_link_leads_to_a_page(server: Server, ann: TestClient, shopper: Session) -> None:
    with shopper.storage.use() as root:
        root["a/b?c#d"] = 1
    with shopper.storage.use("cart"):
        for address in ("/sessions", f"/sessions/{shopper.id}"):
            for link in set(re.findall(r'href="(/[^"]*)"', ann.get(address).text)):
                assert ann.get(unescape(link)).status_code == 200, link


def test_what_a_session_has_asked_for_is_there_while_it_runs(server: Server, ann: TestClient) -> None:
    known = kept()

    @procedure(name="shown.looks")
    def looks() -> str:
        (row,) = data(ann, f"/sessions/{asks.id}")["processes"]
        return f"{row['name']} {row['state']}"

    asks = server.sessions.open("web", user="Bea")
    try:
        with working(server), serving(asks):
            found: Any = execute_on_server("shown.looks").result(timeout=20)
            assert found == "shown.looks running"
    finally:
        keep(known)
