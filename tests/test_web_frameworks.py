"""The adapters with the frameworks that they are for: FastAPI and Starlette, plain WSGI, Flask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import flask
import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from onserver import Session, session
from onserver.redis.address import Address
from onserver.web import SessionMiddleware, WSGISessionMiddleware, requires, web_session, web_sessions
from onserver.web.flask import OnServerSessions
from onserver.web.starlette import SessionMiddleware as RequestSessions
from tests.floor import Floor, open_floor
from tests.test_web_sessions import record_of, web_count


@pytest.fixture
def floor(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with open_floor(redis_address) as floor:
        yield floor
        assert floor.orphans() == []


# -- FastAPI and Starlette, by the pure middleware


def fast() -> FastAPI:
    app = FastAPI()
    app.add_middleware(SessionMiddleware)

    @app.get("/plain")
    def plain() -> str:
        return "nobody asks for a session"

    @app.get("/in-a-thread")
    def in_a_thread() -> str:
        return session().user_name

    @app.get("/in-a-coroutine")
    async def in_a_coroutine() -> str:
        await asyncio.sleep(0)
        return session().user_name

    @app.post("/sign-in/{name}")
    async def sign_in(name: str) -> bool:
        return await asyncio.to_thread(lambda: session().set_privileges({"userName": name}))

    @app.post("/sign-out")
    def sign_out() -> bool:
        return session().close()

    @app.get("/depends")
    async def depends(mine: Annotated[Session, Depends(web_session)]) -> bool:
        return mine is session()

    @app.get("/guarded", dependencies=[Depends(requires("invoices.create"))])
    async def guarded() -> None: ...

    @app.get("/required")
    def required() -> None:
        session().require("invoices.create")

    @app.websocket("/socket")
    async def socket(talk: WebSocket) -> None:
        identity = session().id
        await talk.accept()
        await talk.send_text(identity)
        await talk.close()

    return app


@pytest.fixture
def client(floor: Floor) -> Iterator[TestClient]:
    with TestClient(fast()) as client:
        yield client


def test_a_request_has_its_session_in_threads_and_coroutines(client: TestClient) -> None:
    assert client.post("/sign-in/ann").json() is True
    for path in ("/in-a-thread", "/in-a-coroutine"):
        answer = client.get(path)
        assert answer.json() == "ann"
        assert answer.headers["vary"] == "Cookie"
        assert "set-cookie" not in answer.headers
    assert client.get("/depends").json() is True


def test_a_request_that_does_not_look_says_nothing_of_cookies(floor: Floor, client: TestClient) -> None:
    answer = client.get("/plain")
    assert {"vary", "set-cookie"} & set(answer.headers) == set()
    assert web_count(floor) == 0


def test_signing_out_removes_the_cookie(floor: Floor, client: TestClient) -> None:
    client.post("/sign-in/ann")
    assert client.cookies
    assert "Max-Age=0" in client.post("/sign-out").headers["set-cookie"]
    assert not client.cookies
    assert client.get("/in-a-thread").json() == ""
    assert web_count(floor) == 0


@pytest.mark.parametrize("path", ["/guarded", "/required"])
def test_a_missing_privilege_is_403(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 403
    assert "invoices.create" in answer.text


def test_a_websocket_has_a_session_and_gets_its_cookie(floor: Floor, client: TestClient) -> None:
    with client.websocket_connect("/socket") as talk:
        identity = talk.receive_text()
    assert record_of(floor, identity).kind == "web"
    with client.websocket_connect("/socket", headers={"cookie": f"4DSID_{floor.server.name}={identity}"}) as talk:
        assert talk.receive_text() == identity


def test_many_requests_at_once_have_each_their_own(floor: Floor) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"]
        await asyncio.to_thread(lambda: session().set_privileges({"userName": name}))
        for _ in range(5):
            await asyncio.sleep(0)
            assert session().user_name == name
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async def ask(path: str) -> list[Any]:
        said: list[Any] = []

        async def keep(message: Any) -> None:
            said.append(message)

        async def nothing() -> Any: ...

        await SessionMiddleware(app)({"type": "http", "path": path, "headers": []}, nothing, keep)
        return said

    async def all_of_them() -> list[list[Any]]:
        return await asyncio.gather(*(ask(f"/{number}") for number in range(20)))

    cookies = {dict(said[0]["headers"])[b"set-cookie"] for said in asyncio.run(all_of_them())}
    assert len(cookies) == 20
    assert web_count(floor) == 20


def test_a_mounted_application_stays_in_the_session_of_the_request(floor: Floor) -> None:
    async def show(_: Request) -> JSONResponse:
        return JSONResponse([session().id, session().record.web])

    inner = SessionMiddleware(Starlette(routes=[Route("/", show)]), web="crm")
    outer = Starlette(routes=[Mount("/crm", inner), Route("/", show)])
    with TestClient(SessionMiddleware(outer)) as client:
        here, there = client.get("/").json(), client.get("/crm/").json()
    assert here == there
    with TestClient(inner) as client:
        assert client.get("/").json()[1] == "crm"
        assert list(client.cookies) == [f"4DSID_{floor.server.name}_crm"]


def test_an_answer_in_pieces_is_in_the_session(floor: Floor) -> None:
    async def pieces() -> Any:
        for _ in range(2):
            yield session().user_name

    async def show(_: Request) -> StreamingResponse:
        session().set_privileges({"userName": "ann"})
        return StreamingResponse(pieces())

    with TestClient(SessionMiddleware(Starlette(routes=[Route("/", show)]))) as client:
        assert client.get("/").text == "annann"


# -- Starlette's request.session


def test_two_requests_that_change_different_keys_keep_both(floor: Floor) -> None:
    both = asyncio.Barrier(2)

    async def change(request: Request) -> PlainTextResponse:
        request.session["seen"] = request.session.get("seen", [])
        if request.query_params:
            await asyncio.wait_for(both.wait(), 20)  # both have read it before one of them writes
        request.session[request.query_params.get("key", "first")] = 1
        return PlainTextResponse("")

    async def show(request: Request) -> JSONResponse:
        request.session["seen"].append(1)  # inside of a value
        return JSONResponse(request.session)

    app = RequestSessions(Starlette(routes=[Route("/", change), Route("/show", show)]))

    async def ask(path: str, query: str = "", cookie: str = "") -> dict[bytes, bytes]:
        said: list[Any] = []

        async def keep(message: Any) -> None:
            said.append(message)

        async def body() -> Any:
            return {"type": "http.request", "body": b""}

        headers = [(b"cookie", cookie.encode())]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": headers}
        await app(scope, body, keep)
        return {**dict(said[0]["headers"]), b"": said[1]["body"]}

    async def talk() -> bytes:
        cookie = (await ask("/"))[b"set-cookie"].decode().partition(";")[0]
        await asyncio.gather(ask("/", "key=a", cookie), ask("/", "key=b", cookie))
        await ask("/show", "", cookie)
        return (await ask("/show", "", cookie))[b""]

    assert json.loads(asyncio.run(talk())) == {"seen": [1, 1], "first": 1, "a": 1, "b": 1}


# -- plain WSGI


def test_wsgi_has_the_session_until_the_last_piece(floor: Floor) -> None:
    def app(environ: Any, start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/in":
            session().set_privileges({"userName": "ann"})
        if environ["PATH_INFO"] == "/denied":
            session().require("invoices.create")
        start("200 OK", [("Content-Type", "text/plain"), ("Vary", "Accept")])
        return (session().user_name.encode() for _ in range(2))

    client = Client(WSGISessionMiddleware(app))
    assert client.get("/").data == b""
    assert client.get("/in").data == b"annann"
    assert client.get("/").headers.getlist("Vary") == ["Accept"], "it has begun before it looked"
    denied = client.get("/denied")
    assert (denied.status, denied.headers["Vary"]) == ("403 Forbidden", "Cookie")
    assert session() is None, "the request is over"


def test_wsgi_takes_a_token_of_the_url(floor: Floor) -> None:
    owner = floor.server.sessions.open("web", user="ann")

    def app(environ: Any, start: Any) -> Iterable[bytes]:
        name = session().user_name
        start("200 OK", [])
        return [name.encode()]

    client = Client(WSGISessionMiddleware(app))
    assert client.get(f"/?$4DSID={owner.create_otp()}").data == b"ann"
    assert client.get("/").data == b"ann"


# -- Flask


def flask_app() -> flask.Flask:
    app = flask.Flask("shop")
    OnServerSessions(app)

    @app.get("/plain")
    def plain() -> str:
        return "nobody asks for a session"

    @app.get("/keep")
    def keep() -> str:
        flask.session["kept"] = (1, datetime(2026, 11, 26, tzinfo=UTC), b"x")
        return session().id

    @app.get("/show")
    def show() -> str:
        return repr(flask.session.get("kept"))

    @app.get("/in")
    def sign_in() -> str:
        flask.session["user_id"] = 7
        return session().id

    @app.get("/out")
    def sign_out() -> str:
        flask.session.clear()
        return ""

    @app.get("/stay")
    def stay() -> str:
        flask.session.permanent = True
        return session().id

    @app.get("/required")
    def required() -> str:
        session().require("invoices.create")
        return ""

    return app


def test_flask_keeps_types_in_the_session_of_the_request(floor: Floor) -> None:
    client = flask_app().test_client()
    identity = client.get("/keep").text
    cookie = client.get_cookie("session")
    assert cookie
    assert cookie.value == identity
    assert client.get("/show").text == "(1, datetime.datetime(2026, 11, 26, 0, 0, tzinfo=datetime.timezone.utc), b'x')"
    with client.session_transaction() as kept:
        kept["kept"] = "by a test"
    assert client.get("/show").text == "'by a test'"


def test_flask_signs_in_under_a_new_id_and_out_by_clearing(floor: Floor) -> None:
    client = flask_app().test_client()
    planted = client.get("/keep").text
    client.get("/in")
    cookie = client.get_cookie("session")
    assert cookie
    assert cookie.value != planted
    assert floor.server.sessions.find(planted) is None
    client.get("/out")
    assert client.get_cookie("session") is None
    assert web_count(floor) == 0


def test_flask_permanent_sessions_last_as_long_as_flask_says(floor: Floor) -> None:
    client = flask_app().test_client()
    answer = client.get("/stay")
    assert f"Max-Age={31 * 86_400}" in answer.headers["Set-Cookie"]
    assert record_of(floor, answer.text).idle_ms == 31 * 86_400_000


def test_flask_asks_for_nothing_that_nobody_looks_at(floor: Floor) -> None:
    client = flask_app().test_client()
    assert "Set-Cookie" not in client.get("/plain").headers
    client.get("/keep")
    answer = client.get("/plain")
    assert {"Set-Cookie", "Vary"} & set(answer.headers.keys()) == set()


def test_flask_answers_403_for_a_missing_privilege(floor: Floor) -> None:
    assert flask_app().test_client().get("/required").status_code == 403


def test_the_sessions_of_a_web_server_are_made_once(floor: Floor) -> None:
    assert web_sessions(floor.server) is web_sessions()
    assert web_sessions(web="crm") is not web_sessions()
