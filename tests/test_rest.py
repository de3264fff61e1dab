"""REST of the gateway: paths, what guests may, functions, `$info`, quotas, and the description of it all.

Rows of the specification are named by their number: 2.11 (quotas), 3.1 (web sessions), 8.7 (force login).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from onserver import SessionSingleton, caller, procedure, published, server_method, session, shared
from onserver.errors import PrivilegeDenied
from onserver.registry import keep
from onserver.testing.inline import OnServer
from onserver.web.gateway import Gateway
from onserver.web.rest_path import LONGEST, MalformedPath, read_path
from tests.web_project import browser, declaring, make_project, opened

CLOSED = """{
  "privileges": [{"privilege": "CreateInvoices"}, {"privilege": "ReadInvoices"}],
  "roles": [{"role": "clerk", "privileges": ["CreateInvoices"]}],
  "permissions": {"allowed": [{"applyTo": "shop.read", "type": "method", "execute": ["CreateInvoices"]}]},
  "restrictedByDefault": true, "forceLogin": true
}"""
OPEN = CLOSED.replace("true", "false").replace("shop.read", "shop.other")


def declare() -> None:
    @server_method(published=True, name="shop.authentify")
    def authentify(user: str, password: str) -> bool:
        if password != "open sesame":
            return False
        return session().set_privileges({"userName": user, "roles": ["clerk"]})

    @server_method(published=True, name="shop.read")
    def read(number: int, text: str = "none") -> dict[str, object]:
        """Read an invoice."""
        return {"number": number, "text": text, "by": caller().user, "can": session().has_privilege("CreateInvoices")}

    @server_method(published=True, name="shop.closed")
    def closed() -> str:
        return "nobody is let in here"

    @server_method(published=True, name="shop.nothing")
    def nothing(*anything: Any) -> None: ...

    @server_method(published=True, name="shop.fails")
    def fails(how: str) -> None:
        raise PrivilegeDenied("ReadInvoices") if how == "privilege" else LookupError("a secret: 4711")

    @server_method(name="shop.hidden")
    def hidden() -> str:
        return "hidden"

    @procedure(published=True, name="shop.report")
    def report(year: int) -> int:
        return year

    class Basket(SessionSingleton):  # pyright: ignore[reportUnusedClass]  # REST finds it
        lines: Sequence[str] = ()

        @published
        @shared
        def add(self, line: str, times: int = 1) -> int:
            """Put something in."""
            self.lines = [*self.lines, *[line] * times]
            return len(self.lines)

        @published(requires="CreateInvoices")
        async def read(self) -> list[str]:
            return list(self.lines)

        @shared
        def empty(self) -> None:
            self.lines = []


def shop_of(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Path, roles: str
) -> Iterator[OnServer]:
    with declaring():
        keep({})
        declare()
        yield opened(
            request, monkeypatch, make_project(folder / "shop", roles=roles, settings="web.max_body_bytes = 2000")
        )


@pytest.fixture
def closed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    """A project where everybody has to log in."""
    yield from shop_of(request, monkeypatch, tmp_path, CLOSED)


@pytest.fixture
def open_(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    """A project where nobody has to."""
    yield from shop_of(request, monkeypatch, tmp_path, OPEN)


def problem(answer: httpx.Response) -> dict[str, Any]:
    [error] = answer.json()["__ERROR"]
    assert error["componentSignature"] == "ONS"
    return dict[str, Any](error)


# ---- paths


@pytest.mark.parametrize(
    ("raw", "word", "names", "key"),
    [
        (b"/rest/$catalog", "$catalog", (), None),
        (b"/rest/%24catalog/", "$catalog", (), None),
        (b"/rest/$catalog/shop.read", "$catalog", ("shop.read",), None),
        (b"/rest/$catalog/$all", "$catalog", ("$all",), None),
        (b"/rest/$singleton/Basket/add", "$singleton", ("Basket", "add"), None),
        (b"/rest/Company", "", ("Company",), None),
        (b"/rest/Company(12)/staff", "", ("Company", "staff"), "12"),
        (b"/rest/Company/name,address", "", ("Company",), None),
        ("/rest/Société".encode(), "", ("Société",), None),
        (b"/rest/Soci%C3%A9t%C3%A9", "", ("Société",), None),
    ],
)
def test_a_path_is_read(raw: bytes, word: str, names: tuple[str, ...], key: str | None) -> None:
    path = read_path(raw)
    assert (path.word, path.names, path.key) == (word, names, key)


@pytest.mark.parametrize(
    "raw",
    [b"", b"/", b"/rest", b"/rest/", b"/rest//", b"/rest//$catalog", b"/rest/$", b"/rest/$$catalog", b"/rest/$cat.log",
     b"/rest/../etc", b"/rest/%2e%2e/etc", b"/rest/$catalog/..", b"/rest/$catalog/a%2fb", b"/rest/$catalog/a%00b",
     b"/rest/%", b"/rest/%zz", b"/rest/%c3%28", b"/rest/\xff", b"/rest/Company(", b"/rest/Company()", b"/rest/12",
     b"/rest/Company(1)(2)", b"/rest/a b", b"/rest/$catalog/a;b", b"/REST/$catalog", b"/rest/%2524catalog",
     b"/rest/" + b"a" * LONGEST, b"/rest/$catalog/" + b"a" * 300, b"/rest/a%0d%0aSet-Cookie:x",
     b"/rest/Company/$entityset", b"/rest/Company/$entityset/x", b"/rest/Company(1)/$entityset/" + b"a" * 32,
     b"/rest/Company/a,", b"/rest/a,b", b"/rest/Company/a,b/c"],
)  # fmt: skip
def test_a_malformed_path_asks_for_nothing(raw: bytes) -> None:
    with pytest.raises(MalformedPath):
        read_path(raw)


def test_a_path_names_a_set_of_entities_and_attributes() -> None:
    path = read_path(b"/rest/Company/$entityset/" + b"0af4" * 8 + b"/name,address")
    assert (path.names, path.entity_set, path.attributes) == (("Company",), "0AF4" * 8, "name,address")


# ---- 3.1, 8.7: force login


async def test_a_guest_gets_descriptions_only_where_all_have_to_log_in(closed: OnServer) -> None:
    async with browser(Gateway(closed.server)) as guest:
        catalog = await guest.get("/rest/$catalog")
        assert catalog.status_code == 200
        assert {one["name"] for one in catalog.json()["methods"]} == {
            "shop.authentify", "shop.read", "shop.closed", "shop.nothing", "shop.fails",
        }  # fmt: skip
        assert (await guest.get("/rest/$getWebForm")).status_code == 404  # would be allowed, and is not there
        refused = [
            ("GET", "/rest/$info"), ("GET", "/rest/$catalog/$all"), ("POST", "/rest/$catalog"),
            ("POST", "/rest/$catalog/shop.read"), ("POST", "/rest/$catalog/shop.nothing"),
            ("POST", "/rest/$catalog/no.such"), ("GET", "/rest/Company"), ("POST", "/rest/$catalog/shop.hidden"),
            ("DELETE", "/rest/Company(1)"), ("POST", "/rest/$singleton/Basket/authentify"),
            ("POST", "/rest/$catalog/authentify/authentify"),
        ]  # fmt: skip
        for method, path in refused:
            answer = await guest.request(method, path, content=b"[1]")
            assert answer.status_code == 401, (method, path)
            assert "Log in first" in problem(answer)["message"]
        assert closed.calls("shop.read") == closed.calls("shop.nothing") == []


async def test_authentify_is_called_whatever_roles_say_and_only_set_privileges_lets_in(closed: OnServer) -> None:
    async with browser(Gateway(closed.server)) as guest:
        wrong = await guest.post("/rest/$catalog/authentify", content=b'["ann", "close sesame"]')
        assert (wrong.status_code, wrong.json()) == (200, {"result": False})
        assert (await guest.post("/rest/$catalog/shop.read", content=b"[7]")).status_code == 401
        before = dict(guest.cookies)
        right = await guest.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
        assert (right.status_code, right.json()) == (200, {"result": True})
        assert dict(guest.cookies) != before  # who signs in gets a new id
        read = await guest.post("/rest/$catalog/shop.read", content=b"[7]")
        assert read.json() == {"result": {"number": 7, "text": "none", "by": "ann", "can": True}}
        assert (await guest.post("/rest/$catalog/shop.closed")).status_code == 403  # `restrictedByDefault`
    async with browser(Gateway(closed.server)) as other:
        assert (await other.post("/rest/$catalog/shop.read", content=b"[7]")).status_code == 401


async def test_who_is_dropped_is_a_guest_again(closed: OnServer) -> None:
    async with browser(Gateway(closed.server)) as ann:
        await ann.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
        [cookie] = dict(ann.cookies).values()
        assert closed.server.sessions.drop(cookie, by="test")
        assert (await ann.post("/rest/$catalog/shop.read", content=b"[7]")).status_code == 401


# ---- functions


async def test_a_function_is_called_with_a_list_of_arguments(open_: OnServer) -> None:
    async with browser(Gateway(open_.server)) as guest:
        url = "/rest/$catalog/shop.read"
        assert (await guest.post(url, content=b'[1, "a"]')).json()["result"]["text"] == "a"
        assert (await guest.post("/rest/$catalog/read", content=b"[1]")).json()["result"]["number"] == 1
        nothing = await guest.post("/rest/$catalog/shop.nothing")
        assert (nothing.status_code, nothing.json()) == (200, {"result": None})
        for body, status in [
            (b"[]", 400), (b"[1, 2, 3]", 400), (b"{}", 400), (b"[1", 400), (b"\xff", 400), (b"1", 400),
            (b"[" * 100_000, 413), (b"[" * 1_900, 400), (b'["' + b"x" * 2_000 + b'"]', 413),
        ]:  # fmt: skip
            answer = await guest.post(url, content=body)
            assert answer.status_code == status, body[:20]
            assert problem(answer)["message"]
        assert len(open_.calls("shop.read")) == 2


async def test_what_is_not_published_or_no_function_is_not_there(open_: OnServer) -> None:
    async with browser(Gateway(open_.server)) as guest:
        for name in ("shop.hidden", "hidden", "no.such", "shop.report", "report"):
            answer = await guest.post(f"/rest/$catalog/{name}", content=b"[1]")
            assert answer.status_code == 404, name
        for path in (
            "/rest/$singleton/Box/add",
            "/rest/Company",
            "/rest/Company(1)/name",
            "/rest/$entityset/a",
            "/rest/Company/$entityset/" + "A" * 32,
        ):
            answer = await guest.get(path)
            assert answer.status_code == 404, path
            assert "There is nothing of this name" in problem(answer)["message"]
        assert open_.calls("shop.hidden") == open_.calls("shop.report") == []


async def test_a_function_is_not_called_by_any_other_method(open_: OnServer) -> None:
    async with browser(Gateway(open_.server)) as guest:
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            answer = await guest.request(method, "/rest/$catalog/shop.nothing")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
        assert (await guest.post("/rest/$catalog")).status_code == 405
        assert open_.calls("shop.nothing") == []


async def test_functions_of_a_singleton_are_called_in_the_session_of_the_request(open_: OnServer) -> None:
    async with browser(Gateway(open_.server)) as ann, browser(Gateway(open_.server)) as bob:
        add = "/rest/$singleton/Basket/add"
        assert (await ann.post(add, content=b'["chair"]')).json() == {"result": 1}
        assert (await ann.post(add, content=b'["lamp", 2]')).json() == {"result": 3}
        assert (await bob.post(add, content=b'["table"]')).json() == {"result": 1}
        refused = await ann.post("/rest/$singleton/Basket/read")
        assert (refused.status_code, problem(refused)["errCode"]) == (403, 4103)
        await ann.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
        read = await ann.post("/rest/$singleton/Basket/read")  # who signs in has the same storage
        assert read.json() == {"result": ["chair", "lamp", "lamp"]}
        for path in ("Basket/empty", "Basket/lines", "Basket/__init__", "Basket/me", "Basket", "Basket/add/add"):
            assert (await ann.post(f"/rest/$singleton/{path}", content=b'["x"]')).status_code in {400, 404}, path
        assert (await ann.post("/rest/$catalog/Basket.add", content=b'["x"]')).status_code == 404
        assert (await ann.post("/action/Basket.add", content=b'["x"]')).status_code in {400, 404}
        for body in (b"[]", b'["chair", 1, 2]', b'{"line": "chair"}', b"["):
            assert (await ann.post(add, content=body)).status_code == 400, body
        wrong = await ann.get(add)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
        assert (await ann.post("/rest/$singleton/Basket/read")).json()["result"] == ["chair", "lamp", "lamp"]
        [singleton] = (await ann.get("/rest/$catalog")).json()["singletons"]
        assert singleton["name"].endswith("Basket")
        assert [one["name"] for one in singleton["methods"]] == ["add", "read"]


async def test_roles_json_decides_on_functions_of_a_singleton(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    basket = f"{__name__}.declare.Basket"
    allowed = {"applyTo": f"{basket}.add", "type": "singletonMethod", "execute": ["CreateInvoices"]}
    whole = {"applyTo": basket, "type": "singleton", "execute": ["guest"]}
    login = {"applyTo": "shop.authentify", "type": "method", "execute": ["guest"]}
    roles = json.loads(OPEN) | {"permissions": {"allowed": [allowed, whole, login]}, "restrictedByDefault": True}
    for shop in shop_of(request, monkeypatch, tmp_path, json.dumps(roles)):
        async with browser(Gateway(shop.server)) as ann:
            add = "/rest/$singleton/Basket/add"
            assert (await ann.post(add, content=b'["chair"]')).status_code == 403
            await ann.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
            assert (await ann.post(add, content=b'["chair"]')).json() == {"result": 1}


async def test_errors_tell_no_more_than_they_must(open_: OnServer) -> None:
    async with browser(Gateway(open_.server)) as guest:
        refused = await guest.post("/rest/$catalog/shop.fails", content=b'["privilege"]')
        assert (refused.status_code, problem(refused)["errCode"]) == (403, 4103)
        failed = await guest.post("/rest/$catalog/shop.fails", content=b'["otherwise"]')
        assert failed.status_code == 500
        assert "4711" not in failed.text


async def test_a_malformed_path_is_told_400_and_runs_nothing(open_: OnServer) -> None:
    async with browser(Gateway(open_.server)) as guest:
        for path in ("/rest/$catalog/%2e%2e", "/rest/%00", "/rest/a%20b", "/rest/$catalog/shop%2enothing;x", "/rest/"):
            answer = await guest.post(path)
            assert answer.status_code == 400, path
            assert "malformed" in problem(answer)["message"]
        assert open_.calls("shop.nothing") == []


# ---- $info, quotas


async def test_info_tells_of_the_own_session_and_gives_no_key_to_it(open_: OnServer) -> None:
    async with browser(Gateway(open_.server)) as guest, browser(Gateway(open_.server)) as other:
        [told] = (await guest.get("/rest/$info")).json()["sessionInfo"]
        assert (told["userName"], told["userID"], told["lifeTime"]) == ("default guest", "", 3600)
        assert dict(guest.cookies) == {}  # a guest who only looks leaves nothing behind
        await guest.post("/rest/$catalog/authentify", content=b'["ann", "open sesame"]')
        await other.post("/rest/$catalog/authentify", content=b'["bob", "open sesame"]')
        [told] = (await guest.get("/rest/$info")).json()["sessionInfo"]
        [again] = (await guest.get("/rest/$info")).json()["sessionInfo"]
        [others] = (await other.get("/rest/$info")).json()["sessionInfo"]
        assert told["userName"] == "ann"
        assert told["sessionID"] == again["sessionID"] != others["sessionID"]
        [cookie] = dict(guest.cookies).values()
        assert told["sessionID"] != cookie
        assert open_.server.sessions.find(told["sessionID"]) is None
        assert told["expiration"].endswith("Z")


# ---- the description


async def test_the_description_has_what_is_published_and_nothing_else(open_: OnServer) -> None:
    async with browser(Gateway(open_.server)) as guest:
        told = (await guest.get("/openapi.json")).json()
    assert told["openapi"] == "3.1.0"
    paths = told["paths"]
    assert "hidden" not in str(told)
    assert set(paths["/action/shop.read"]) == {"get", "post"}
    assert set(paths["/action/shop.report"]) == {"post"}
    assert "202" in paths["/action/shop.report"]["post"]["responses"]
    assert "/rest/$catalog/shop.report" not in paths
    assert [path.rpartition("/")[2] for path in paths if path.startswith("/rest/$singleton/")] == ["add", "read"]
    [add] = [told["post"] for path, told in paths.items() if path.endswith("Basket/add")]
    assert add["requestBody"]["content"]["application/json"]["schema"]["minItems"] == 1
    function = paths["/rest/$catalog/shop.read"]["post"]
    assert function["summary"] == "Read an invoice."
    body = function["requestBody"]["content"]["application/json"]["schema"]
    assert body == {
        "type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 1, "maxItems": 2,
    }  # fmt: skip
    anything = paths["/rest/$catalog/shop.nothing"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert anything == {"type": "array"}
