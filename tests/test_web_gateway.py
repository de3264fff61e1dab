"""Web servers: how many requests at once, several of them beside each other, and inside other applications."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from onserver import Server, server_method, session
from onserver.errors import ImportFailed
from onserver.testing.inline import OnServer
from onserver.web import Gateway, SessionMiddleware
from tests.web_project import browser, declaring, make_project, opened

COMPONENT = """
from onserver import on_web_authentication, on_web_connection, server_method, session, WebRequest

@server_method(published=True)
def whose() -> str:
    here = session()
    return here.record.web + " " + here.id

@on_web_connection
def route(request: WebRequest) -> str:
    return "billing: " + session().record.web
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A project with a component that has tasks and pages of its own."""
    name = f"billing_{tmp_path.name.strip('_').replace('-', '_')}"
    project = make_project(tmp_path / "shop", {"index.html": "shop"}, f'components = ["{name}"]')
    (project / name / "tasks").mkdir(parents=True)
    (project / name / "__init__.py").touch()
    (project / name / "tasks/bills.py").write_text(COMPONENT)
    (project / name / "pages").mkdir()
    (project / name / "pages/index.html").write_text("billing")
    with declaring():
        yield project
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Path) -> OnServer:
    return opened(request, monkeypatch, folder)


def component_of(shop: OnServer) -> str:
    return shop.server.settings.components[0]


# -- several web servers (1.4)


async def test_host_and_component_have_sessions_of_their_own(shop: OnServer) -> None:
    billing = component_of(shop)
    path = f"/action/{billing}.bills.whose"
    async with browser(Gateway()) as host, browser(Gateway(component=billing)) as theirs:
        of_host = (await host.get(path)).text.split(" ")
        theirs.cookies.update(host.cookies)  # one browser, one name in the net
        of_component = (await theirs.get(path)).text.split(" ")
        host.cookies.update(theirs.cookies)
        assert of_host[0] == ""
        assert of_component[0] == billing
        assert of_host[1] != of_component[1]
        assert (await host.get(path)).text.split(" ") == of_host
        assert (await theirs.get(path)).text.split(" ") == of_component
        assert len(host.cookies) == 2


async def test_a_session_of_one_web_server_is_none_of_another(shop: OnServer) -> None:
    billing = component_of(shop)
    path = f"/action/{billing}.bills.whose"
    async with browser(Gateway()) as host, browser(Gateway(component=billing)) as theirs:
        stolen = (await host.get(path)).text.split(" ")[1]
        await theirs.get(path)
        (name,) = theirs.cookies.keys()
    async with browser(Gateway(component=billing)) as thief:
        thief.cookies.set(name, stolen)
        assert (await thief.get(path)).text.split(" ")[1] != stolen


async def test_each_has_its_own_pages_and_hooks(shop: OnServer) -> None:
    billing = component_of(shop)
    async with browser(Gateway()) as host, browser(Gateway(component=billing)) as theirs:
        assert (await host.get("/")).text == "shop"
        assert (await theirs.get("/")).text == "billing"
        assert (await host.get("/else")).status_code == 404  # the hook is the component's
        assert (await theirs.get("/else")).text == f"billing: {billing}"


async def test_a_component_offers_what_is_its_own(shop: OnServer) -> None:
    @server_method(published=True, name="shop.host")
    def of_host() -> str:
        return "host"

    billing = component_of(shop)
    async with browser(Gateway()) as host, browser(Gateway(component=billing)) as theirs:
        assert (await host.get("/action/shop.host")).text == "host"
        assert (await theirs.get("/action/shop.host")).status_code == 404


def test_a_component_that_the_project_does_not_have(shop: OnServer) -> None:
    with pytest.raises(ImportFailed, match="elsewhere"):
        Gateway(component="elsewhere")


async def test_mounted_in_another_the_web_server_that_was_asked_wins(shop: OnServer) -> None:
    """Specification 1.4: in the component's code, `session()` is that of the web server that got the request."""
    billing = component_of(shop)
    inside = Starlette(routes=[Mount("/billing", Gateway(component=billing))])
    async with browser(SessionMiddleware(inside)) as ann:  # type: ignore[arg-type]
        assert (await ann.get(f"/billing/action/{billing}.bills.whose")).text.split(" ")[0] == ""
        assert (await ann.get("/billing/else")).text == "billing: "
        assert (await ann.get("/billing/action/nothing")).json()["error"]["status"] == 404


async def test_mounted_in_an_application_it_serves_below_its_path(shop: OnServer) -> None:
    application = Starlette(routes=[Mount("/rpc", Gateway())])
    async with browser(application) as ann:  # type: ignore[arg-type]
        assert (await ann.get("/rpc/")).text == "shop"
        assert (await ann.get("/rpc/action/nothing")).status_code == 404


# -- 503


async def test_with_one_request_less_than_the_limit_others_are_told_503(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside, go = threading.Semaphore(0), threading.Event()
    with declaring():
        project = make_project(tmp_path / "shop", {"index.html": "home"}, "web.max_concurrent_processes = 10")
        opened(request, monkeypatch, project)

        from onserver import WebRequest, on_web_connection  # noqa: PLC0415  # declared inside `declaring`

        @on_web_connection
        def route(request: WebRequest) -> str:
            inside.release()
            assert go.wait(60)
            return "done"

        application = Gateway()
        async with browser(application) as ann:
            waiting = [asyncio.create_task(ann.get("/wait")) for _ in range(9)]
            for _ in range(9):
                assert await asyncio.to_thread(inside.acquire, timeout=60)
            refused = await ann.get("/")
            named_alike = [await ann.get(path) for path in ("/action/none/events", "/action/none/processes/1/events")]
            watching = await ann.get("/processes/1/events")
            go.set()
            answers = await asyncio.gather(*waiting)
            later = await ann.get("/")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert [answer.status_code for answer in named_alike] == [503, 503], "it only looks like events"
    assert watching.status_code == 404
    assert {answer.text for answer in answers} == {"done"}
    assert later.text == "home"


# -- 504


async def test_a_call_that_takes_too_long_is_told_504(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with declaring():
        monkeypatch.setenv(
            "ONSERVER_PROJECT", str(make_project(tmp_path / "shop", settings="web.answer_seconds = 0.3"))
        )
        request.getfixturevalue("onserver_live")
        go = threading.Event()

        @server_method(published=True, name="shop.slow")
        def slow() -> str:
            go.wait(60)
            return session().id

        async with browser(Gateway()) as ann:
            answer = await ann.get("/action/shop.slow")
        go.set()
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == 2202


def test_without_a_server_it_is_that_of_the_project(shop: OnServer) -> None:
    assert Gateway().server is Server.current()
