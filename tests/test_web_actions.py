"""`/4DACTION/NAME` and `/action/NAME`: what is published runs in a worker, in the session of the web that asks."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from onserver import Session, begin_maintenance, caller, end_maintenance, procedure, process, server_method, session
from onserver.errors import PrivilegeDenied
from onserver.process.record import read_record
from onserver.testing.inline import OnServer
from onserver.web.gateway import Gateway
from tests.web_project import ROLES, browser, declaring, make_project, opened


@pytest.fixture
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    with declaring():
        declare()
        yield opened(request, monkeypatch, make_project(tmp_path / "shop", settings="web.max_body_bytes = 2000"))


def declare() -> None:
    @server_method(published=True, name="action_Session")
    def action_session() -> str:
        here: Session | None = session()
        if here is None:
            return "4DACTION --> Session is null"
        can = here.has_privilege("CreateInvoices")
        return f"4DACTION --> Session is {'' if can else 'not '}CreateInvoices"

    @server_method(published=True, name="shop.whoami", aliases=["shop.who"])
    async def whoami() -> list[object]:
        return [session().id, caller().kind, caller().session, process().number]

    @server_method(published=True, name="shop.typed")
    def typed(a: int, b: float = 0.5, many: list[int] | None = None, text: str = "") -> list[object]:
        return [a, b, many, text]

    @server_method(published=True, name="shop.rest")
    def rest(text: str = "none") -> str:
        return text

    @server_method(published=True, name="shop.page", answers="text/html")
    def page() -> str:
        return "<h1>hello</h1>"

    @server_method(published=True, name="shop.values")
    def values(kind: str) -> object:
        found = {"none": None, "bytes": b"\x00", "number": 3, "decimal": {"sum": Decimal("1.10")}, "text": "<b>"}
        return found[kind]

    @server_method(published=True, name="shop.fails")
    def fails(how: str = "") -> None:
        if how == "privilege":
            session().require("CreateInvoices")
        raise LookupError("a secret: 4711")

    @server_method(published=True, name="shop.login")
    def login(user: str) -> None:
        session().set_privileges({"userName": user, "roles": ["clerk"]})

    @server_method(published=True, requires="CreateInvoices", name="shop.invoice")
    def invoice() -> str:
        return f"by {caller().user}"

    @server_method(name="shop.hidden")
    def hidden() -> str:
        return "hidden"

    @procedure(published=True, name="shop.report")
    def report(year: int) -> str:
        return f"{year} in {session().record.kind} for {caller().kind}"

    @procedure(name="shop.private")
    def private() -> None: ...


async def test_the_example_of_the_original_answers_by_the_privilege_of_the_session(shop: OnServer) -> None:
    async with browser(Gateway()) as ann, browser(Gateway()) as ben:
        assert (await ann.get("/4DACTION/action_Session")).text == "4DACTION --> Session is not CreateInvoices"
        await ann.post("/action/shop.login", data={"user": "ann"})
        assert (await ann.get("/4DACTION/action_Session")).text == "4DACTION --> Session is CreateInvoices"
        assert (await ben.get("/4DACTION/action_Session")).text == "4DACTION --> Session is not CreateInvoices"


async def test_without_scalable_sessions_it_is_null(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with declaring():
        declare()
        opened(request, monkeypatch, make_project(tmp_path / "shop", settings="web.scalable_sessions = false"))
        async with browser(Gateway()) as ann:
            answer = await ann.get("/4DACTION/action_Session")
    assert answer.text == "4DACTION --> Session is null"
    assert "set-cookie" not in answer.headers


async def test_it_runs_as_a_process_in_the_session_of_the_cookie(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        identity, kind, asked, number = (await ann.get("/action/whoami")).json()
        again = (await ann.get("/action/shop.whoami")).json()
        assert ann.cookies.get(f"4DSID_{shop.server.name}") == identity
    assert (kind, asked) == ("web", identity)
    assert again[0] == identity
    assert again[3] > number > 0
    record = read_record(shop.server.store, number)
    assert record is not None
    assert record.procedure == "shop.whoami"


@pytest.mark.parametrize("name", ["shop.hidden", "hidden", "shop.private", "shop.nothing", "..", "%00", "a b"])
@pytest.mark.parametrize("path", ["/action/", "/4DACTION/"])
async def test_what_is_not_published_is_not_there(shop: OnServer, path: str, name: str) -> None:
    async with browser(Gateway()) as ann:
        answer, nothing = await ann.get(path + name), await ann.get("/action/nothing.at.all")
    assert answer.status_code == 404
    assert answer.content == nothing.content


async def test_a_published_procedure_is_started_and_not_waited_for(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        answer = await ann.post("/action/shop.report", data={"year": "2026"})
    number = answer.json()["process"]
    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["location"] == f"/processes/{number}"
    assert answer.json()["procedure"] == "shop.report"
    record = read_record(shop.server.store, number)
    assert record is not None
    from_process = shop.server.store.command("HGET", shop.server.store.key(f"p:{number}"), "r")
    assert b"2026 in storedProcedure for web" in from_process


async def test_a_procedure_is_not_started_by_get(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        answer = await ann.get("/action/shop.report?year=2026")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert shop.calls("shop.report") == []


async def test_what_runs_code_has_no_head(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        assert (await ann.head("/action/shop.rest")).status_code == 405
    assert shop.calls("shop.rest") == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/4DACTION/shop.rest", "none"),
        ("/4DACTION/shop.rest/", "none"),
        ("/4DACTION/shop.rest/smith", "smith"),
        ("/4DACTION/rest/a/b%20c/%E2%82%AC", "a/b c/€"),
        ("/4daction/rest/smith", "smith"),
        ("/action/rest?text=smith", "smith"),
        ("/action/rest?text=smith&$4DSID=x&$other=1", "smith"),
    ],
)
async def test_the_rest_of_the_path_is_a_text(shop: OnServer, path: str, text: str) -> None:
    async with browser(Gateway()) as ann:
        assert (await ann.get(path)).text == text


async def test_texts_become_what_the_annotations_say(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        assert (await ann.get("/action/typed?a=1&b=2&many=3&many=4&text=5")).json() == [1, 2.0, [3, 4], "5"]
        assert (await ann.post("/action/typed", data={"a": "1"})).json() == [1, 0.5, None, ""]
        assert (await ann.post("/action/typed?a=7", data={"text": "x"})).json() == [7, 0.5, None, "x"]
        assert (await ann.post("/action/typed", json={"a": 1, "many": [2]})).json() == [1, 0.5, [2], ""]
        assert (await ann.post("/action/typed", json=[1, 2])).json() == [1, 2, None, ""]


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ({"url": "/action/typed?a=x"}, 400),
        ({"url": "/action/typed?a=1&a=2"}, 400),
        ({"url": "/action/typed"}, 400),
        ({"url": "/action/typed?a=1&c=2"}, 400),
        ({"url": "/action/typed?a=%ff"}, 400),
        ({"url": "/action/typed?" + "&".join(["a=1"] * 1001)}, 400),
        ({"url": "/action/typed", "content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"url": "/action/typed", "content": b"3", "headers": {"content-type": "application/json"}}, 400),
        ({"url": "/action/typed", "content": b"[" * 1500, "headers": {"content-type": "application/json"}}, 400),
        ({"url": "/action/typed", "content": b"x", "headers": {"content-type": "text/plain"}}, 415),
        ({"url": "/action/typed", "content": b"a=" + b"1" * 2000}, 413),
        ({"url": "/action/fails"}, 500),
    ],
)
async def test_what_cannot_be_called_is_told_and_nothing_else_is(
    shop: OnServer, call: dict[str, object], status: int
) -> None:
    async with browser(Gateway()) as ann:
        answer = await ann.post(**call)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert answer.json()["error"]["status"] == status
    assert "4711" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("kind", "status", "type_", "content"),
    [
        ("none", 204, None, b""),
        ("bytes", 200, "application/octet-stream", b"\x00"),
        ("number", 200, "application/json", b"3"),
        ("decimal", 200, "application/json", b'{"sum":"1.10"}'),
        ("text", 200, "text/plain; charset=utf-8", b"<b>"),
    ],
)
async def test_a_value_is_answered_by_its_type(
    shop: OnServer, kind: str, status: int, type_: str | None, content: bytes
) -> None:
    async with browser(Gateway()) as ann:
        answer = await ann.get(f"/action/shop.values?kind={kind}")
    assert (answer.status_code, answer.headers.get("content-type"), answer.content) == (status, type_, content)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


async def test_text_is_markup_where_the_method_says_so(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        answer = await ann.get("/action/shop.page")
    assert (answer.headers["content-type"], answer.text) == ("text/html; charset=utf-8", "<h1>hello</h1>")


async def test_what_a_method_requires_is_asked_of_the_session(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        refused = await ann.get("/action/shop.invoice")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, PrivilegeDenied.code)
        assert "clerk" not in refused.text
        inside = await ann.get("/action/shop.fails?how=privilege")
        assert inside.status_code == 403
        await ann.post("/action/shop.login", json={"user": "ann"})
        assert (await ann.get("/action/shop.invoice")).text == "by ann"
    assert len(shop.calls("shop.invoice")) == 1


async def test_whoever_signs_in_gets_a_new_id(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        before = (await ann.get("/action/whoami")).json()[0]
        await ann.post("/action/shop.login", json={"user": "ann"})
        after = (await ann.get("/action/whoami")).json()[0]
        assert before != after
        thief = httpx.Cookies({f"4DSID_{shop.server.name}": before})
        async with browser(Gateway()) as other:
            other.cookies = thief
            assert (await other.get("/4DACTION/action_Session")).text == "4DACTION --> Session is not CreateInvoices"


async def test_where_everything_is_restricted_a_permission_opens_it(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    allowed = '"allowed": [{"applyTo": "shop.rest", "type": "method", "execute": ["guest"]}]'
    roles = ROLES.replace('"allowed": []', allowed).replace(
        '"restrictedByDefault": false', '"restrictedByDefault": true'
    )
    with declaring():
        declare()
        shop = opened(request, monkeypatch, make_project(tmp_path / "shop", roles=roles))
        async with browser(Gateway()) as ann:
            assert (await ann.get("/action/shop.rest")).status_code == 200
            refused = await ann.get("/action/shop.whoami")
            assert (refused.status_code, "whoami" in refused.text) == (403, False)
            assert "shop.whoami" in caplog.text, "the log has the reason"
            assert "restrictedByDefault" in caplog.text
            assert (await ann.post("/action/shop.report", data={"year": "1"})).status_code == 403
    assert shop.calls("shop.whoami") == shop.calls("shop.report") == []


async def test_row_26_a_token_brings_a_call_into_the_session_that_has_made_it(shop: OnServer) -> None:
    async with browser(Gateway()) as ann, browser(Gateway()) as phone:
        await ann.post("/action/shop.login", json={"user": "ann"})
        identity = (await ann.get("/action/whoami")).json()[0]
        found = shop.server.sessions.find(identity)
        assert found is not None
        token = found.create_otp()
        assert (await phone.get(f"/action/whoami?$4DSID={token}")).json()[0] == identity
        assert (await phone.get("/4DACTION/action_Session")).text == "4DACTION --> Session is CreateInvoices"
        async with browser(Gateway()) as late:  # it is spent
            assert (await late.get(f"/action/whoami?$4DSID={token}")).json()[0] != identity


async def test_in_maintenance_it_says_so(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        begin_maintenance("later")
        try:
            answer = await ann.get("/action/shop.rest")
        finally:
            end_maintenance()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
