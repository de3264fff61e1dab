"""The hooks of the web: when they are asked, with what, what their answers mean (specification 6.7 to 6.9, 6.12).

Rows 1, 2, 3 and 6 of the table of contexts (1.3): `session()` in each of them is the web session of the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from onserver import (
    MobileAction,
    MobileLogin,
    RestLogin,
    Session,
    WebRequest,
    on_mobile_app_action,
    on_mobile_app_authentication,
    on_rest_authentication,
    on_web_authentication,
    on_web_connection,
    server_method,
    session,
)
from onserver.session.attempts import MOST_OF_ADDRESS, MOST_OF_NAME, SECONDS, Attempts
from onserver.session.users import Users
from onserver.testing.inline import OnServer
from onserver.web.door import told
from onserver.web.gateway import Gateway
from tests.web_project import browser, declaring, make_project, opened

PAGES = {
    "plain.html": "plain",
    "calling.html": "<!--#4DSCRIPT/shop.hello/you--> <!--#4DSCRIPT/shop.hello/me-->",
    "including.html": "{% include 'calling.html' %}",
}


@pytest.fixture
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    with declaring():

        @server_method(published=True, name="shop.hello")
        def hello(whom: str = "") -> str:
            return f"hello {whom}"

        yield opened(request, monkeypatch, make_project(tmp_path / "shop", PAGES))


@pytest.fixture
def asked(shop: OnServer) -> list[WebRequest]:
    """What `on_web_authentication` is asked; it accepts."""
    requests: list[WebRequest] = []

    @on_web_authentication
    def note(request: WebRequest) -> None:
        requests.append(request)

    return requests


# -- 6.7: when it is called, and with what


@pytest.mark.parametrize(
    ("path", "times"),
    [
        ("/4DACTION/shop.hello/you", 1),
        ("/action/shop.hello", 1),
        ("/4DACTION/shop.nothing", 1),
        ("/calling.html", 1),
        ("/including.html", 1),
        ("/missing.html", 1),
        ("/some/where", 1),
        ("/", 1),
        ("/plain.html", 0),
        ("/rest/$info", 0),
    ],
)
async def test_it_is_asked_where_code_runs_or_a_page_is_missing(
    shop: OnServer, asked: list[WebRequest], path: str, times: int
) -> None:
    async with browser(Gateway()) as ann:
        await ann.get(path)
    assert [request.url for request in asked] == [path] * times


async def test_it_is_not_asked_for_the_root_where_there_is_a_home_page(shop: OnServer, asked: list[WebRequest]) -> None:
    assert shop.server.project is not None
    (shop.server.project / "pages/index.html").write_text("home")
    async with browser(Gateway()) as ann:
        assert (await ann.get("/")).text == "home"
    assert asked == []


async def test_its_six_texts(shop: OnServer, asked: list[WebRequest]) -> None:
    async with browser(Gateway(), ip="192.0.2.44") as ann:
        await ann.post(
            "/4DACTION/shop.hello?whom=you", content=b"x=" + b"y" * 40_000, auth=("ann", "secret"),
            headers={"content-type": "application/x-www-form-urlencoded", "x-mine": "1"},
        )  # fmt: skip
    (request,) = asked
    assert request.url == "/4DACTION/shop.hello?whom=you"
    assert request.content.startswith("POST /4DACTION/shop.hello?whom=you HTTP/1.1\r\n")
    assert "\r\nx-mine: 1\r\n" in request.content
    assert "\r\n\r\nx=yyy" in request.content
    assert len(request.content.encode()) == 32 * 1024
    assert "authorization" not in request.content.lower()
    assert request.browser_ip == "::ffff:192.0.2.44"
    assert request.server_ip == "shop.example"
    assert (request.user, request.password) == ("ann", "secret")
    assert "secret" not in repr(request)


@pytest.mark.parametrize("header", ["Basic", "Basic ???", "Basic /w==", "Bearer abc", "Digest username=ann"])
async def test_a_header_that_is_no_name_and_password(shop: OnServer, asked: list[WebRequest], header: str) -> None:
    async with browser(Gateway()) as ann:
        assert (await ann.get("/action/shop.hello", headers={"authorization": header})).status_code == 200
    assert (asked[0].user, asked[0].password) == ("", "")


async def test_the_password_of_a_user_of_the_server_is_checked_and_told_to_nobody(
    shop: OnServer, asked: list[WebRequest]
) -> None:
    Users(shop.server.store).add("Ann", "the right one")
    async with browser(Gateway()) as ann:
        wrong = await ann.get("/action/shop.hello", auth=("ann", "a wrong one"))
        assert (wrong.status_code, asked) == (401, [])
        right = await ann.get("/action/shop.hello", auth=("ann", "the right one"))
        other = await ann.get("/action/shop.hello", auth=("ben", "his own"))
    assert (right.status_code, other.status_code) == (200, 200)
    assert [(request.user, request.password) for request in asked] == [("ann", ""), ("ben", "his own")]
    assert all("the right one" not in request.content for request in asked)


async def test_too_many_wrong_passwords_shut_the_door_of_a_name_and_of_an_address(
    shop: OnServer, asked: list[WebRequest]
) -> None:
    Users(shop.server.store).add("Ann", "the right one")
    Users(shop.server.store).add("Cleo", "her own one")
    path = "/action/shop.hello"
    async with browser(Gateway(), ip="192.0.2.44") as thief, browser(Gateway(), ip="192.0.2.45") as other:
        for _ in range(MOST_OF_NAME):
            assert (await thief.get(path, auth=("ann", "a guess"))).status_code == 401
        shut = await other.get(path, auth=("ann", "the right one"))
        assert shut.status_code == 429
        assert 0 < int(shut.headers["retry-after"]) <= SECONDS
        assert "www-authenticate" not in shut.headers
        for _ in range(MOST_OF_ADDRESS - MOST_OF_NAME):
            assert (await thief.get(path, auth=("cleo", "a guess"))).status_code in (401, 429)
            Attempts(shop.server.store).right("cleo")  # who comes in from elsewhere
        assert (await thief.get(path, auth=("cleo", "her own one"))).status_code == 429
        assert (await other.get(path, auth=("cleo", "her own one"))).status_code == 200
        assert (await thief.get(path)).status_code == 200  # who gives no name is asked nothing


# -- 6.7 and 6.12: what its answer means

ANSWERS = [(True, 200), (None, 200), (False, 401), (0, 401), (1, 401), ("yes", 401), (ValueError("no"), 401),
           (SystemExit(0), 401)]  # fmt: skip


@pytest.mark.parametrize(("answer", "status"), ANSWERS)
@pytest.mark.parametrize("path", ["/4DACTION/shop.hello/you", "/calling.html"])
async def test_true_and_nothing_accept_and_all_else_refuses(
    shop: OnServer, answer: Any, status: int, path: str
) -> None:
    @on_web_authentication
    async def admit(request: WebRequest) -> Any:
        await asyncio.sleep(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async with browser(Gateway()) as ann:
        answered = await ann.get(path)
    assert answered.status_code == status
    assert len(shop.calls("shop.hello")) == (0 if status == 401 else 1 + (path == "/calling.html"))
    assert answered.headers.get("www-authenticate", "").startswith("Basic" if status == 401 else "")


async def test_one_that_takes_too_long_refuses(shop: OnServer) -> None:
    @on_web_authentication(timeout=0.05)
    async def admit(request: WebRequest) -> bool:
        await asyncio.Event().wait()
        return True

    async with browser(Gateway()) as ann:
        assert (await ann.get("/action/shop.hello")).status_code == 401


async def test_without_one_everybody_is_accepted(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        assert (await ann.get("/action/shop.hello")).text == "hello "


async def test_all_of_them_have_to_accept(shop: OnServer) -> None:
    called: list[str] = []

    @on_web_authentication(name="first")
    def first(request: WebRequest) -> bool:
        called.append("first")
        return request.user == "ann"

    @on_web_authentication(name="second")
    def second(request: WebRequest) -> bool:
        called.append("second")
        return request.password == "secret"

    async with browser(Gateway()) as ann:
        statuses = [
            (await ann.get("/action/shop.hello", auth=who)).status_code
            for who in (("ben", "secret"), ("ann", "no"), ("ann", "secret"))
        ]
    assert statuses == [401, 401, 200]
    assert called == ["first", "first", "second", "first", "second"]


# -- 6.8 and 6.11: the router


async def test_it_answers_for_what_is_not_there_and_only_after_acceptance(
    shop: OnServer, asked: list[WebRequest]
) -> None:
    routed: list[WebRequest] = []

    @on_web_connection
    def route(request: WebRequest) -> object:
        routed.append(request)
        return {"/a/b": "text", "/json": {"a": 1}, "/": b"root"}.get(request.url)

    async with browser(Gateway()) as ann:
        answers = [await ann.get(path) for path in ("/a/b", "/json", "/", "/else", "/plain.html", "/4DACTION/no.no")]
    assert [(one.status_code, one.text) for one in answers[:3]] == [(200, "text"), (200, '{"a":1}'), (200, "root")]
    assert [one.status_code for one in answers[3:]] == [404, 200, 404]
    assert [one.url for one in routed] == ["/a/b", "/json", "/", "/else"]  # /4DACTION is intercepted before
    assert routed[0] == asked[0]


async def test_who_was_refused_does_not_reach_it(shop: OnServer) -> None:
    @on_web_authentication
    def admit(request: WebRequest) -> bool:
        return False

    @on_web_connection
    def route(request: WebRequest) -> str:
        return "routed"

    async with browser(Gateway()) as ann:
        assert (await ann.get("/a/b")).status_code == 401


async def test_one_that_fails_is_told_by_its_status_alone(shop: OnServer) -> None:
    @on_web_connection
    def route(request: WebRequest) -> str:
        raise LookupError("a secret: 4711")

    async with browser(Gateway()) as ann:
        answer = await ann.get("/a/b")
    assert answer.status_code == 500
    assert "4711" not in answer.text


# -- 6.9


@pytest.mark.parametrize(
    ("answer", "status"), [(True, 200), (None, 401), (False, 401), (1, 401), (ValueError("no"), 401)]
)
async def test_a_login_by_rest_needs_true(shop: OnServer, answer: Any, status: int) -> None:
    told: list[RestLogin] = []

    @on_rest_authentication
    def admit(login: RestLogin) -> Any:
        told.append(login)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with browser(Gateway()) as ann:
        headers = {"username-4D": "ann", "password-4D": "secret"}
        assert (await ann.post("/rest/$directory/login", headers=headers)).status_code == status
    assert told == [RestLogin(user="ann", password="secret", digest=False, ip="::ffff:192.0.2.7")]


async def test_a_hashed_password_is_said_to_be_one(shop: OnServer) -> None:
    told: list[RestLogin] = []

    @on_rest_authentication
    def admit(login: RestLogin) -> bool:
        told.append(login)
        return True

    async with browser(Gateway()) as ann:
        await ann.post("/rest/$directory/login", headers={"username-4D": "ann", "hashed-password-4D": "0a1b"})
    assert (told[0].password, told[0].digest) == ("0a1b", True)


# -- mobile applications


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"success": True, "userInfo": {"id": 3}, "other": 1}, 200),
        (True, 200),
        ({"success": False, "statusText": "ask your manager"}, 401),
        ({"success": "yes"}, 401),
        ({}, 401),
        (None, 401),
        (ValueError("no"), 401),
    ],
)
async def test_a_mobile_application_is_let_in_by_true(shop: OnServer, answer: Any, status: int) -> None:
    told: list[MobileLogin] = []

    @on_mobile_app_authentication
    def admit(login: MobileLogin) -> Any:
        told.append(login)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with browser(Gateway()) as ann:
        facts = {"email": "ann@example.com", "device": {"id": "7"}, "team": "not an object", "unknown": 1}
        answered = await ann.post("/mobileapp/$authenticate", json=facts)
    assert answered.status_code == status
    said = answered.json()
    assert said["success"] is (status == 200)
    assert "other" not in said
    assert told == [MobileLogin(email="ann@example.com", device={"id": "7"}, ip="::ffff:192.0.2.7")]


async def test_an_action_of_a_mobile_application_is_answered_by_its_hook(shop: OnServer) -> None:
    told: list[MobileAction] = []

    @on_mobile_app_action
    def act(asked: MobileAction) -> dict[str, object]:
        told.append(asked)
        return {"success": True, "statusText": "rated"}

    async with browser(Gateway()) as ann:
        facts = {"parameters": {"stars": 5}, "context": {"dataClass": "Film"}}
        answer = await ann.post("/mobileapp/$action/rate", json=facts)
    assert answer.json() == {"success": True, "statusText": "rated"}
    assert told == [MobileAction(action="rate", parameters={"stars": 5}, context={"dataClass": "Film"})]


@pytest.mark.parametrize("path", ["/mobileapp/$authenticate", "/mobileapp/$action/rate", "/rest/$directory/login"])
async def test_without_a_hook_there_is_no_such_path(shop: OnServer, path: str) -> None:
    async with browser(Gateway()) as ann:
        assert (await ann.post(path, json={})).status_code == 404


# -- table 1.3, rows 1, 2, 3, 6; and row 9


def _here() -> tuple[str, str] | None:
    here: Session | None = session()
    return None if here is None else (here.record.kind, here.id)


def _declare_hooks(seen: dict[int, Any]) -> None:
    @on_web_authentication
    def row_1(request: WebRequest) -> None:
        seen[1] = _here()

    @on_web_connection
    async def row_2(request: WebRequest) -> str:
        seen[2] = _here()
        return "routed"

    @on_rest_authentication
    def row_3(login: RestLogin) -> bool:
        seen[3] = _here()
        return True

    @on_mobile_app_authentication
    def row_6a(login: MobileLogin) -> bool:
        seen[6] = _here()
        return True

    @on_mobile_app_action
    def row_6b(asked: MobileAction) -> dict[str, object]:
        seen[-6] = _here()
        return {"success": True}


async def _ask_all(ann: httpx.AsyncClient) -> None:
    await ann.get("/some/where")
    await ann.post("/rest/$directory/login", headers={"username-4D": "ann"})
    await ann.post("/mobileapp/$authenticate", json={})
    await ann.post("/mobileapp/$action/rate", json={})


async def test_rows_1_2_3_6_the_session_in_a_hook_is_that_of_the_request(shop: OnServer) -> None:
    seen: dict[int, Any] = {}
    _declare_hooks(seen)

    @server_method(published=True, name="shop.whose")
    def whose() -> str:
        return session().id

    async with browser(Gateway()) as ann:
        mine = (await ann.get("/action/shop.whose")).text
        for row in (1, 2, 3, 6, -6):
            seen.pop(row, None)
        await _ask_all(ann)
        now = (await ann.get("/action/shop.whose")).text
    assert sorted(seen) == [-6, 1, 2, 3, 6]
    assert mine != now  # the login by REST has given it another id
    assert set(seen.values()) == {("web", mine), ("web", now)}


async def test_row_9_without_scalable_sessions_it_is_null(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[int, Any] = {}
    with declaring():
        settings = "web.scalable_sessions = false\nweb.rest_sessions_always = false"
        opened(request, monkeypatch, make_project(tmp_path / "shop", settings=settings))
        _declare_hooks(seen)
        async with browser(Gateway()) as ann:
            await _ask_all(ann)
            assert not ann.cookies
    assert seen == {1: None, 2: None, 3: None, 6: None, -6: None}


async def test_a_hook_may_sign_somebody_in(shop: OnServer) -> None:
    @on_web_authentication
    def admit(request: WebRequest) -> bool:
        if request.user == "ann":
            session().set_privileges({"userName": "ann", "roles": ["clerk"]})
        return True

    @server_method(published=True, requires="CreateInvoices", name="shop.invoice")
    def invoice() -> str:
        return session().user_name

    async with browser(Gateway()) as ann:
        assert (await ann.get("/action/shop.invoice")).status_code == 403
        assert (await ann.get("/action/shop.invoice", auth=("ann", "secret"))).text == "ann"
        assert (await ann.get("/action/shop.invoice")).text == "ann"


def test_a_path_puts_no_lines_into_the_header_that_hooks_are_told() -> None:
    """A server in front takes such a header away; what is behind an escape in the path it does not see."""
    scope = {
        "type": "http", "method": "GET", "path": "/a\r\nX-Remote-User: admin\r\n\r\n%", "query_string": b"b=1",
        "headers": [(b"host", b"shop.example")], "http_version": "1.1",
    }  # fmt: skip
    content = told(Request(scope), b"body").content
    assert content == "GET /a%0D%0AX-Remote-User:%20admin%0D%0A%0D%0A%25?b=1 HTTP/1.1\r\nhost: shop.example\r\n\r\nbody"
