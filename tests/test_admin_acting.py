"""`POST /act/NAME`: what browsers and programs get for what they ask for, and what is refused before it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
from starlette.routing import Mount

from onserver.admin import Admin, Visitor
from onserver.admin.logins import FRESH_SECONDS
from onserver.admin.tokens import Tokens
from onserver.errors import BadField, ProcessNotFound, VersionConflict
from onserver.redis.address import Address
from onserver.server import Server
from onserver.steer import actions
from onserver.steer.actions import Action, Field, Outcome
from onserver.steer.fields import checked
from tests.admin_browser import SAME, browser, program, stranger
from tests.inline_worker import make_server

DONE: list[dict[str, str]] = []


def run(_server: Server, given: Mapping[str, str]) -> Outcome:
    if given.get("number") == "404":
        raise ProcessNotFound(404)
    if given.get("number") == "409":
        raise VersionConflict("rates", 3, 4)
    DONE.append(dict(given))
    return Outcome(
        said="Trial {number} is done.", values={"number": given.get("number", "")}, target="t", data={"x": 1}
    )


def secret(_server: Server, given: Mapping[str, str]) -> Outcome:
    return Outcome(said="Trial {number} is done.", values={"number": 1}, secret="open sesame")


def away(_server: Server, given: Mapping[str, str]) -> Outcome:
    return Outcome(said="Trial {number} is done.", values={"number": 1}, page=given.get("note") or "/")


def ends(_server: Server, given: Mapping[str, str]) -> Outcome:
    number = given["number"]
    return Outcome(said="Trial {number} is done.", values={"number": number}, instead={
        f"/processes/{number}": "/processes", f"/schedule/the {number}th": "/nowhere",
    })  # fmt: skip


def action(name: str, confirm: Any = "", does: Any = run, privilege: str = "admin.process") -> Action:
    return Action(
        name=name, privilege=privilege, run=does, confirm=confirm, title="Search",
        fields=[Field(name="number", kind="number", required=True, maximum=999), Field(name="note", maximum=9)],
        cli=lambda given: f"onserver trial {given.get('number', '')}",
    )  # fmt: skip


@pytest.fixture
def server(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    known = actions.ACTIONS
    for one in (
        action("trial.do"), action("trial.ask", "ask"), action("trial.typed", "typed"),
        action("trial.secret", does=secret), action("trial.away", does=away),
        action("trial.ends", does=ends),
        action("trial.restore", privilege="admin.restore"),
    ):  # fmt: skip
        monkeypatch.setitem(known, one.name, one)
    DONE.clear()
    with make_server(f"aa{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made:
        yield made


# -- browsers


def test_a_browser_goes_back_to_its_page_which_says_it_once(server: Server) -> None:
    ann = browser(server)
    page = "http://127.0.0.1:8765/login?again=1"
    done = ann.post("/act/trial.do", data={"number": "7", "note": "x"}, headers={"referer": page})
    assert (done.status_code, done.headers["location"]) == (303, "/login?again=1")
    assert DONE == [{"number": "7", "note": "x"}]
    assert "Trial 7 is done." in ann.get("/login?again=1").text
    assert "Trial 7 is done." not in ann.get("/login?again=1").text


def test_what_is_wrong_is_said_on_the_page_it_came_from(server: Server) -> None:
    ann = browser(server)
    for number, said in (("x", "is no number"), ("1000", "may be 999"), ("404", "No process #404"), ("409", "rates")):
        done = ann.post("/act/trial.do", data={"number": number, "back": "/login?again=1"})
        assert (done.status_code, done.headers["location"]) == (303, "/login?again=1")
        shown = ann.get("/login?again=1").text
        assert said in shown
        assert 'class="said refused"' in shown
    assert not DONE


def test_a_question_is_asked_once_more(server: Server) -> None:
    ann = browser(server)
    asked = ann.post("/act/trial.ask", data={"number": "7", "note": "<b>", "back": "/login?again=1"})
    assert asked.status_code == 200
    assert not DONE
    assert 'name="note" value="&lt;b&gt;"' in asked.text
    assert "onserver trial 7" in asked.text
    yes = ann.post("/act/trial.ask", data={"number": "7", "confirm": "yes", "back": "/login?again=1"})
    assert (yes.status_code, yes.headers["location"]) == (303, "/login?again=1")
    assert DONE == [{"number": "7"}]


def test_what_cannot_be_undone_is_typed(server: Server) -> None:
    ann = browser(server)
    asked = ann.post("/act/trial.typed", data={"number": "7"})
    assert 'name="confirm"' in asked.text
    assert "something else" not in asked.text
    assert "something else" in ann.post("/act/trial.typed", data={"number": "7", "confirm": "8"}).text
    assert not DONE
    assert ann.post("/act/trial.typed", data={"number": "7", "confirm": "7"}).status_code == 303
    assert DONE


def test_what_cannot_be_undone_asks_for_a_login_that_is_young(server: Server) -> None:
    ann = browser(server)
    old = f"local s = cjson.decode(redis.call('GET', KEYS[1])) s.at = s.at - {FRESH_SECONDS * 1000 + 1} " \
        "return redis.call('SET', KEYS[1], cjson.encode(s), 'KEEPTTL')"  # fmt: skip
    (key,) = server.store.command("KEYS", server.store.key("admin:session:*"))
    server.store.command("EVAL", old, 1, key)
    again = ann.post("/act/trial.typed", data={"number": "7", "confirm": "7", "back": "/x"})
    assert (again.status_code, again.headers["location"]) == (303, "/login?again=1&back=%2Fx")
    assert "cannot be undone" in ann.get(again.headers["location"]).text
    assert ann.post("/act/trial.ask", data={"number": "7", "confirm": "yes"}).status_code == 303  # all else goes on
    assert DONE == [{"number": "7"}]


def test_several_are_done_at_once(server: Server) -> None:
    ann = browser(server)
    done = ann.post("/act/trial.do", data={"number": ["7", "8", "7"], "back": "/login?again=1"})
    assert done.status_code == 303
    assert [one["number"] for one in DONE] == ["7", "8"]
    assert "2 done. Trial 8 is done." in ann.get("/login?again=1").text
    asked = ann.post("/act/trial.ask", data={"number": ["7", "8"]})
    assert asked.text.count('type="hidden" name="number"') == 2
    many = ann.post("/act/trial.do", data={"number": [str(n) for n in range(201)], "back": "/login?again=1"})
    assert many.status_code == 303
    assert "may have 200" in ann.get("/login?again=1").text


def test_a_secret_is_shown_this_once_and_in_no_cookie(server: Server) -> None:
    ann = browser(server)
    shown = ann.post("/act/trial.secret", data={"number": "7"})
    assert shown.status_code == 200
    assert "open sesame" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert "said" not in str(shown.headers.get("set-cookie", ""))


def test_where_rows_are_chosen_and_none_was_nothing_is_done(server: Server) -> None:
    ann = browser(server)
    for name in ("trial.do", "trial.ask", "member.reload"):
        done = ann.post(f"/act/{name}", data={"chosen": "yes", "back": "/login?again=1"})
        assert (done.status_code, done.headers["location"]) == (303, "/login?again=1")
        assert "Nothing is chosen." in ann.get("/login?again=1").text
    assert ann.post("/act/trial.do", data={"chosen": "yes"}, headers={"accept": "application/json"}).status_code == 400
    assert not DONE
    asked = ann.post("/act/trial.ask", data={"chosen": "yes", "number": ["7", "8"]})
    assert 'name="chosen"' not in asked.text
    ann.post("/act/trial.do", data={"chosen": "yes", "number": ["7", "8"]})
    assert DONE == [{"number": "7"}, {"number": "8"}]


def test_an_outcome_may_have_a_page_of_its_own(server: Server) -> None:
    ann, at = browser(server), "http://127.0.0.1:8765/login"
    assert ann.post("/act/trial.away", data={"number": "7"}, headers={"referer": at}).headers["location"] == "/"
    nowhere = ann.post("/act/trial.away", data={"number": "7", "note": "/nowhere"}, headers={"referer": at})
    assert nowhere.headers["location"] == "/login"  # there is no such page: it stays on its own


@pytest.mark.parametrize("prefix", ["", "/ops"])
def test_nobody_stays_on_a_page_that_is_there_no_more(server: Server, prefix: str) -> None:
    app = Mount(prefix, app=Admin(server)) if prefix else Admin(server)
    ann, given = browser(server, app=app, prefix=prefix), {"number": ["7", "8"]}

    def landed(at: str) -> str:
        found = ann.post(f"{prefix}/act/trial.ends", data={**given, "back": f"{prefix}{at}"}).headers["location"]
        assert found.startswith(prefix)
        return found.removeprefix(prefix)

    assert landed("/processes/7?lines=9") == landed("/processes/8") == "/processes"
    for stays in ("/processes/9", "/processes?state=failed", "/schedule/the%207th"):
        assert landed(stays) == stays


# -- programs


def test_a_program_gets_what_came_of_it(server: Server) -> None:
    secret, _ = Tokens(server.store).make("deploy", ["admin.process"], 60, by="ann")
    api = program(server, secret)
    assert api.post("/act/trial.do", json={"number": 7, "note": None}).json()["data"] == {
        "said": "Trial 7 is done.", "target": "t", "before": "", "after": "", "data": {"x": 1},
    }  # fmt: skip
    assert len(api.post("/act/trial.do", json={"number": [7, 8]}).json()["data"]) == 2
    for number, status, code in ((404, 404, 2001), (409, 409, 3108), ("x", 400, 6005), (None, 400, 6005)):
        answer = api.post("/act/trial.do", json={"number": number})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    asked = api.post("/act/trial.ask", json={"number": 7})
    assert (asked.status_code, asked.json()["error"]["code"]) == (409, 6006)
    assert "`yes`" in asked.json()["error"]["message"]
    assert api.post("/act/trial.ask", json={"number": 7, "confirm": "yes"}).status_code == 200
    assert api.post("/act/trial.typed", json={"number": 7, "confirm": 7}).status_code == 200
    assert api.post("/act/trial.never", json={}).status_code == 404
    assert api.post("/act/trial.restore", json={"number": 7}).json()["error"]["code"] == 6004


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"[1]", "application/json", 400), (b"{", "application/json", 400), (b"x", "text/plain", 415),
        (b"a=%ff", "application/x-www-form-urlencoded", 400), (b"x" * (2**24 + 1), "application/json", 413),
        (b"[" * 100_000, "application/json", 400),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read(server: Server, body: bytes, kind: str, status: int) -> None:
    secret, _ = Tokens(server.store).make("deploy", ["admin.process"], 60, by="ann")
    answer = program(server, secret).post("/act/trial.do", content=body, headers={"content-type": kind})
    assert answer.status_code == status


# -- who may not


def test_nobody_may_anything(server: Server) -> None:
    client = stranger(Admin(server))
    assert client.post("/act/trial.do", data={"number": "7"}).headers["location"].startswith("/login")
    assert client.post("/act/trial.do", data={"number": "7"}, headers={"accept": "application/json"}).status_code == 401
    assert program(server, "ons_wrong").post("/act/trial.do", json={"number": 7}).status_code == 401
    assert not DONE


def test_read_only_is_read_only(server: Server) -> None:
    own = Admin(server, read_only=True)
    for ann in (browser(server, app=own), browser(server, read_only=True), browser(server, ["viewer"])):
        assert ann.post("/act/trial.do", data={"number": "7"}).status_code == 403
    secret, _ = Tokens(server.store).make("deploy", ["admin.process"], 60, by="ann")
    assert program(server, secret, app=own).post("/act/trial.do", json={"number": 7}).status_code == 403
    assert not DONE


def test_no_action_is_done_by_get_or_from_elsewhere(server: Server) -> None:
    ann = browser(server)
    assert ann.get("/act/trial.do?number=7").status_code == 405
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        del ann.headers["sec-fetch-site"]
        assert ann.post("/act/trial.do", data={"number": "7"}, headers=headers).status_code == 403
        ann.headers.update(SAME)
    assert not DONE


def test_whoever_is_known_elsewhere_is_not_sent_to_a_login(server: Server) -> None:
    app = Admin(server, login=lambda _: Visitor(user="ann", roles=["owner"], fresh=False))
    answer = stranger(app).post("/act/trial.typed", data={"number": "7", "confirm": "7"})
    assert answer.status_code == 403
    assert "log in again" in answer.text.lower()


# -- fields


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", " a ", "a"), ("text_area", " a ", " a "), ("number", "-1.5", "-1.5"), ("seconds", "10m", "600"),
        ("seconds", "250ms", "0.25"), ("bool", "on", "true"), ("bool", "", "false"), ("choice", "b", "b"),
        ("json", '{"a": 1}', '{"a": 1}'),
    ],
)  # fmt: skip
def test_a_field_in_one_spelling(kind: Any, text: str, value: str) -> None:
    one = Action(
        name="t.t",
        privilege="admin.view",
        run=run,
        fields=[Field(name="f", kind=kind, choices=["a", "b"])],
        cli=lambda _: "",
    )
    assert checked(one, {"f": text}) == {"f": value}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("number", "1e9"), ("number", "٣"), ("number", "1_0"), ("number", "9" * 30), ("seconds", "soon"),
        ("bool", "maybe"), ("choice", "c"), ("json", "{"), ("json", "[" * 5000), ("text", "x" * 10_001),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong(kind: Any, text: str) -> None:
    one = Action(
        name="t.t",
        privilege="admin.view",
        run=run,
        fields=[Field(name="f", kind=kind, choices=["a", "b"])],
        cli=lambda _: "",
    )
    with pytest.raises(BadField):
        checked(one, {"f": text})
    with pytest.raises(BadField):
        checked(one, {"other": "x"})
