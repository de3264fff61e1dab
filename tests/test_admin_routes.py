"""All routes of the admin page: who may, who may not, and what each answer has. It walks what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.routing import Route

from onserver.admin import Admin
from onserver.admin.page import Page
from onserver.admin.shield import HEADERS, POLICY
from onserver.admin.tokens import Tokens
from onserver.redis.address import Address
from onserver.server import Server
from onserver.settings import Settings
from onserver.steer.actions import ACTIONS
from onserver.steer.granted import PRIVILEGES, READING
from tests.admin_browser import browser, program, stranger
from tests.admin_rows import ROWS
from tests.inline_worker import make_server

#: All routes by which something is written. A new one is written here, and is then refused to whom it has to be.
WRITES = {"/login", "/logout", "/display", "/act/{name}"}
#: Without a login: what is the same for everybody, and the way in.
OPEN = {"/static/{version}/{name:path}", "/login"}
FILLED = {"number": "1", "id": "1", "version": "x"}


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"ar{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


def path_of(route: str) -> str:
    return re.sub(r"{(\w+)(?::\w+)?}", lambda match: FILLED.get(match[1], "x"), route)


def routes(app: Admin, method: str) -> list[Route]:
    return [one for one in app.routes() if isinstance(one, Route) and method in (one.methods or ())]


def contents(server: Server) -> dict[bytes, Any]:
    """All that a server has in Redis, but for what the page itself writes down: logins, and what was refused."""
    names = server.store.command("KEYS", server.store.key("*"))
    ours = (server.store.key("admin:").encode(), server.store.key("audit").encode(), server.store.key("once:").encode())
    return {name: server.store.command("DUMP", name) for name in names if not name.startswith(ours)}


def test_all_writes_are_known(server: Server) -> None:
    every = [one for one in Admin(server).routes() if isinstance(one, Route)]
    writing = {one.path for one in every if (one.methods or set()) - {"GET", "HEAD"}}
    assert writing == WRITES
    assert {method for one in every for method in one.methods or ()} == {"GET", "HEAD", "POST"}
    assert all(isinstance(one, Route) for one in Admin(server).routes())


def test_without_a_login_there_is_the_way_in_and_nothing_else(server: Server) -> None:
    app = Admin(server)
    client = stranger(app)
    for route in routes(app, "GET"):
        if route.path in OPEN:
            continue
        path = path_of(route.path)
        assert client.get(path).headers.get("location", "").startswith("/login"), path
        assert client.get(path, headers={"accept": "application/json"}).status_code == 401, path
        assert program(server, "ons_wrong", app=app).get(path).status_code == 401, path


def test_a_page_is_shown_to_whom_has_its_privilege_alone(server: Server) -> None:
    app = Admin(server)
    for page in app.pages:
        path = path_of(page.path)
        others = [name for name in PRIVILEGES if name != page.privilege]
        assert browser(server, others, app=app).get(path).status_code == 403, path
        assert page.privilege in READING, f"{path}: a page only shows something"


def test_owners_see_every_page_and_looking_changes_nothing(server: Server) -> None:
    app = Admin(server)
    ann = browser(server, app=app)
    before = contents(server)
    for page in app.pages:
        path = path_of(page.path)
        for headers in ({}, {"accept": "application/json"}):
            answer = ann.get(path, headers=headers)
            assert answer.status_code == (404 if "{" in page.path else 200) or answer.status_code == 200, (
                f"{path}: {answer.status_code} {answer.text}"
            )
        assert not ann.head(path).content, path
    assert contents(server) == before


def test_a_page_cannot_be_posted_to(server: Server) -> None:
    app = Admin(server)
    ann = browser(server, app=app)
    for page in app.pages:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert ann.request(method, path_of(page.path)).status_code == 405, page.path


def test_every_action_is_refused_to_whom_it_has_to_be(server: Server) -> None:
    app, closed = Admin(server), Admin(server, read_only=True)
    tokens = Tokens(server.store)
    every = tokens.make("all", PRIVILEGES, 600, by="ann")[0]
    others = {one: [other for other in PRIVILEGES if other != one] for one in {a.privilege for a in ACTIONS.values()}}
    lacking = {one: browser(server, names, app=app) for one, names in others.items()}
    weak = {one: program(server, tokens.make(one, names, 600, by="x")[0], app=app) for one, names in others.items()}
    nobody, ann, viewer = stranger(app), browser(server, app=app), browser(server, ["viewer"], app=app)
    wrong, reader = program(server, "ons_wrong", app=app), browser(server, app=app, read_only=True)
    on_closed, program_on_closed = browser(server, app=closed), program(server, every, app=closed)
    before, data = contents(server), {"confirm": "yes"}
    for action in ACTIONS.values():
        path = f"/act/{action.name}"
        got = {
            "nobody": nobody.post(path, data=data),
            "nobody, as a program": nobody.post(path, data=data, headers={"accept": "application/json"}),
            "a wrong token": wrong.post(path, json=data),
            "all other privileges": lacking[action.privilege].post(path, data=data),
            "a token with all others": weak[action.privilege].post(path, json=data),
            "from another site": ann.post(path, data=data, headers={"sec-fetch-site": "cross-site"}),
            "by GET": ann.get(path),
        }
        if action.privilege not in READING:
            got |= {
                "a viewer": viewer.post(path, data=data),
                "a login that is read-only": reader.post(path, data=data),
                "a page that is read-only": on_closed.post(path, data=data),
                "a token, where it is read-only": program_on_closed.post(path, json=data),
            }
        status = {"nobody": 303, "nobody, as a program": 401, "a wrong token": 401, "by GET": 405}
        for who, answer in got.items():
            assert answer.status_code == status.get(who, 403), f"{action.name}, {who}: {answer.status_code}"
    assert contents(server) == before


def test_every_action_is_carried_out_in_a_browser() -> None:
    assert {action for action, _ in ROWS} == set(ACTIONS)  # tests/test_admin_actions_browser.py walks the table


def test_every_answer_is_protected(server: Server) -> None:
    app = Admin(server)
    ann = browser(server, app=app)
    style = re.search(r'href="([^"]+\.css)"', ann.get("/login?again=1").text)
    assert style
    answers = [
        *(ann.get(path_of(one.path)) for one in routes(app, "GET") if "live" not in one.path),
        ann.get("/nowhere"), ann.post("/act/nothing.at_all"), ann.post("/login"), ann.request("PUT", "/login"),
        stranger(app).get("/act/x", headers={"accept": "application/json"}), ann.get("/static/x/nothing.css"),
    ]  # fmt: skip
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS), answer.url
        assert answer.headers["cache-control"] in ("no-store", "no-cache"), answer.url
        assert not [name for name in answer.headers if name.startswith("access-control")], answer.url
        assert "<script>" not in answer.text, answer.url
        assert not re.search(r'\s(?:style|on\w+)="', answer.text), answer.url
    assert "immutable" in ann.get(style[1]).headers["cache-control"]
    tag = ann.get("/static/x/admin.css").headers["etag"]
    assert ann.get("/static/x/admin.css", headers={"if-none-match": tag}).status_code == 304


def test_the_policy_is_the_one_that_was_promised() -> None:
    assert POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def test_nothing_is_answered_to_another_origin(server: Server) -> None:
    answer = browser(server).options(
        "/", headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
    )
    assert answer.status_code in (404, 405)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=-1", "limit=100000", "cursor=%00", "q=" + "x" * 5000, "a=%ff", "&" * 500]
)
def test_what_an_address_asks_for_is_bounded(server: Server, query: str) -> None:
    app = Admin(server)
    ann = browser(server, app=app)
    for page in app.pages:
        answer = ann.get(f"{path_of(page.path)}?{query}")
        assert answer.status_code in (200, 400, 404), f"{page.path}?{query}: {answer.status_code} {answer.text}"


def test_without_redis_each_answer_says_so(tmp_path: Path) -> None:
    settings = Settings(name="gone", redis=f"unix://{tmp_path}/nobody.sock", redis_connect_seconds=0.05)
    with Server(settings=settings) as away:
        app = Admin(away)
        client = stranger(app)
        client.cookies.set(app.identity.cookie_name(secure=False), "x")
        for path in ("/login", *(path_of(page.path) for page in app.pages)):
            shown = client.get(path)
            assert shown.status_code == 503, path
            assert shown.headers["retry-after"] == "1"
            assert "nobody.sock" in shown.text
        told = client.post("/act/process.abort", headers={"accept": "application/json"})
        assert (told.status_code, told.json()["error"]["code"]) == (503, 1201)
        assert client.get("/nowhere").status_code == 404


def test_each_page_has_a_name_and_a_key_of_its_own(server: Server) -> None:
    pages = Admin(server).pages
    for what in ("name", "path"):
        found = [getattr(page, what) for page in pages]
        assert len(set(found)) == len(found), what
    keys = [page.key for page in pages if page.key]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 1 for key in keys)
    assert all(isinstance(page, Page) for page in pages)
