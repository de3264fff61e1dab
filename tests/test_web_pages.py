"""Pages: files of `pages/` with the session and the tags in them; row 4 of the table of contexts (1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from onserver import procedure, server_method, session
from onserver.testing.inline import OnServer
from onserver.web.gateway import Gateway
from tests.web_project import browser, declaring, make_project, opened

PAGES = {
    "index.html": "home of {{ session.user_name or 'a guest' }}",
    "shop/list.html": "{% extends '_frame.html' %}{% block inside %}{{ '<b>' }}{% endblock %}",
    "_frame.html": "<main>{% block inside %}{% endblock %}</main>",
    "_hidden/page.html": "hidden",
    ".dot.html": "hidden",
    "secret.txt": "hidden",
    "old.shtml": "old",
    "rows.html": (
        "<!--#4DTEXT session.user_name-->|<!--#4DHTML session.user_name-->|$4DEVAL(session.user_name)|"
        "<!--#4DSCRIPT/shop.name-->|<!--#4DCODE\nname = session.user_name\n-->$4DTEXT(name)"
    ),
    "null.html": "{{ session is none }} <!--#4DSCRIPT/shop.null-->",
    "guarded.html": "{% set _ = session.require('CreateInvoices') %}invoices",
    "guarded_call.html": "<!--#4DSCRIPT/shop.guarded-->",
    "unpublished.html": "<!--#4DSCRIPT/shop.hidden-->",
    "procedure.html": "<!--#4DSCRIPT/shop.report-->",
    "absent.html": "{{ absent }}",
    "wrong.html": "{% nonsense %}",
    "including.html": "{% include 'nothing.html' %}",
    "eval.html": "<!--#4DEVAL 6*7-->",
    "echo.html": "<!--#4DSCRIPT/shop.echo/<!--#4DTEXT 1-->",
}


def _open(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Path, settings: str) -> OnServer:
    @server_method(published=True, name="shop.name")
    def name() -> str:
        return session().user_name

    @server_method(published=True, name="shop.null")
    def null() -> str:
        return str(session() is None)

    @server_method(published=True, requires="CreateInvoices", name="shop.guarded")
    def guarded() -> str:
        return "invoices"

    @server_method(name="shop.hidden")
    def hidden() -> str:
        return "hidden"

    @server_method(published=True, name="shop.echo")
    def echo(text: str) -> str:
        return text

    @server_method(published=True, name="shop.login")
    def login(user: str) -> None:
        session().set_privileges({"userName": user, "privileges": ["CreateInvoices"]})

    @procedure(published=True, name="shop.report")
    def report() -> str:
        return "report"

    return opened(request, monkeypatch, make_project(folder, PAGES, settings))


@pytest.fixture
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    with declaring():
        yield _open(request, monkeypatch, tmp_path / "shop", "web.code_tags = true")


@pytest.mark.parametrize(
    ("path", "text"),
    [("/", "home of a guest"), ("/index.html", "home of a guest"), ("/shop/list.html", "<main>&lt;b&gt;</main>"),
     ("/old.shtml", "old")],
)  # fmt: skip
async def test_a_page_is_written_for_the_request(shop: OnServer, path: str, text: str) -> None:
    async with browser(Gateway()) as ann:
        answer = await ann.get(path)
    assert (answer.status_code, answer.text) == (200, text)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["/_frame.html", "/_hidden/page.html", "/.dot.html", "/secret.txt", "/nothing.html", "/shop", "/shop/",
     "/../config/roles.json", "/..%2fconfig/onserver.toml", "/%2e%2e/config/roles.html", "/%2findex.html",
     "/shop//list.html", "/index.html/", "/index.html%00", "/index", "/%ff.html"],
)  # fmt: skip
async def test_what_is_no_page_is_not_there(shop: OnServer, path: str) -> None:
    async with browser(Gateway()) as ann:
        answer = await ann.get(path)
    assert answer.status_code == 404
    assert "hidden" not in answer.text


async def test_row_4_the_session_in_every_tag_is_that_of_the_request(shop: OnServer) -> None:
    async with browser(Gateway()) as ann, browser(Gateway()) as ben:
        await ann.post("/action/shop.login", data={"user": "<ann>"})
        await ben.post("/action/shop.login", data={"user": "ben"})
        assert (await ann.get("/rows.html")).text == "&lt;ann&gt;|<ann>|<ann>|&lt;ann&gt;|&lt;ann&gt;"
        assert (await ben.get("/rows.html")).text == "ben|ben|ben|ben|ben"
        assert (await ann.get("/")).text == "home of &lt;ann&gt;"


async def test_row_9_without_scalable_sessions_it_is_null(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with declaring():
        _open(request, monkeypatch, tmp_path / "shop", "web.scalable_sessions = false")
        async with browser(Gateway()) as ann:
            assert (await ann.get("/null.html")).text == "True True"


async def test_a_page_may_require_a_privilege(shop: OnServer) -> None:
    async with browser(Gateway()) as ann:
        assert (await ann.get("/guarded.html")).status_code == 403
        assert (await ann.get("/guarded_call.html")).status_code == 403
        assert shop.calls("shop.guarded") == []
        await ann.post("/action/shop.login", data={"user": "ann"})
        assert (await ann.get("/guarded.html")).text == "invoices"
        assert (await ann.get("/guarded_call.html")).text == "invoices"


@pytest.mark.parametrize("path", ["/unpublished.html", "/procedure.html"])
async def test_a_tag_calls_published_methods_and_nothing_else(shop: OnServer, path: str) -> None:
    async with browser(Gateway()) as ann:
        answer = await ann.get(path)
    assert answer.status_code == 404
    assert shop.calls("shop.hidden") == []
    assert shop.calls("shop.report") == []


@pytest.mark.parametrize("path", ["/absent.html", "/wrong.html", "/including.html"])
async def test_what_is_wrong_with_a_page_is_told_in_the_log(
    shop: OnServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with browser(Gateway()) as ann:
        answer = await ann.get(path)
    assert answer.status_code == 500
    assert "absent" not in answer.text
    assert any(record.name == "onserver.web" and record.exc_info for record in caplog.records)


async def test_code_is_off_unless_it_is_switched_on(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with declaring():
        _open(request, monkeypatch, tmp_path / "shop", "")
        async with browser(Gateway()) as ann:
            answer = await ann.get("/eval.html")
    assert answer.status_code == 500
    assert "42" not in answer.text
    assert "web.code_tags" in caplog.text


async def test_a_page_that_was_changed_is_the_new_one(shop: OnServer) -> None:
    assert shop.server.project is not None
    async with browser(Gateway()) as ann:
        assert (await ann.get("/old.shtml")).text == "old"
        (shop.server.project / "pages/old.shtml").write_text("a new one")
        assert (await ann.get("/old.shtml")).text == "a new one"
