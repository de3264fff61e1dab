"""The admin page inside Starlette, FastAPI, Flask and Django, at a prefix, each with its own login."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import flask
import pytest
from django.test import Client, override_settings
from django.urls import include, path
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from onserver.admin import Admin, Visitor, app
from onserver.admin import flask as admin_flask
from onserver.admin.page import Look, Page, View
from onserver.admin.wsgi import ENVIRONMENT, WSGIAdmin
from onserver.redis.address import Address
from onserver.server import Server
from tests import django_site
from tests.admin_browser import browser, stranger
from tests.inline_worker import make_server

django_site.set_up()

from onserver.django_app.admin import admin_urls  # noqa: E402  # Django has to be set up first

MOST = 2**24


def looked(look: Look) -> View:
    text = f"{look.actor.user} sees {look.query.get('q', '')}"
    return View("told.html", {"status": 404, "text": text, "known": True, "code": 0}, data={"user": look.actor.user})


@pytest.fixture
def server(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    pages = [Page("/", "overview", "Overview", "o", looked), Page("/trial/{name:path}", "trial", "Search", "", looked)]
    monkeypatch.setattr(app, "MODULES", [SimpleNamespace(PAGES=pages)])
    with make_server(f"am{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


#: What asks, and answers what has `status_code`, `text` and `headers`.
Ask = Callable[..., Any]


# -- the four of them: each answers `ask(method, path, user, data, headers)`


def in_starlette() -> Ask:
    def login(request: Request) -> Visitor | None:
        name = request.session.get("user")
        return Visitor(user=name, roles=["operator"]) if name else None

    async def sign_in(request: Request) -> PlainTextResponse:
        request.session["user"] = request.query_params["user"]
        return PlainTextResponse("in")

    outside = Starlette(
        routes=[Route("/in", sign_in), Mount("/ops/admin", Admin(login=login))],
        middleware=[Middleware(SessionMiddleware, secret_key="only this test has it")],
    )
    client = TestClient(outside, follow_redirects=False)

    def ask(method: str, url: str, user: str = "", data: Any = None, headers: Any = None) -> Any:
        if user:
            client.get(f"/in?user={user}")
        return client.request(method, url, data=data, headers=headers)

    return ask


def in_fastapi() -> Ask:
    outside = FastAPI()
    outside.mount("/ops/admin", Admin(login=lambda request: visiting(request.headers.get("x-user", ""))))
    client = TestClient(outside, follow_redirects=False)
    return lambda method, url, user="", data=None, headers=None: client.request(
        method, url, data=data, headers={"x-user": user, **(headers or {})}
    )


def in_flask() -> Ask:
    outside = flask.Flask("shop")
    admin_flask.mount(outside, "/ops/admin/", login=lambda: visiting(flask.request.headers.get("x-user", "")))
    return of_flask(outside)


def in_wsgi() -> Ask:
    def login(request: Request) -> Visitor | None:
        return visiting(request.scope[ENVIRONMENT].get("HTTP_X_USER", ""))

    outside = flask.Flask("shop")
    outside.wsgi_app = DispatcherMiddleware(outside.wsgi_app, {"/ops/admin": WSGIAdmin(Admin(login=login))})  # type: ignore[method-assign]
    return of_flask(outside)


def in_django() -> Ask:
    client = Client()

    def ask(method: str, url: str, user: str = "", data: Any = None, headers: Any = None) -> Any:
        given = {"x-user": user, **(headers or {})}
        body = "&".join(f"{name}={value}" for name, value in (data or {}).items())
        answer = client.generic(method, url, body, "application/x-www-form-urlencoded", headers=given)
        return SimpleNamespace(status_code=answer.status_code, text=answer.content.decode(), headers=answer.headers)

    return ask


def of_flask(outside: flask.Flask) -> Ask:
    client = outside.test_client()

    def ask(method: str, url: str, user: str = "", data: Any = None, headers: Any = None) -> Any:
        answer = client.open(url, method=method, data=data, headers={"x-user": user, **(headers or {})})
        return SimpleNamespace(status_code=answer.status_code, text=answer.text, headers=answer.headers)

    return ask


def visiting(name: str) -> Visitor | None:
    return Visitor(user=name, roles=["operator"]) if name else None


class WithUser:
    """Django's authentication in these tests: the user of a header."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        name = request.headers.get("x-user", "")
        groups = SimpleNamespace(values_list=lambda *_, **__: ["operator", "accounting"])
        request.user = SimpleNamespace(
            is_authenticated=bool(name), is_active=True, is_staff=name != "guest", is_superuser=name == "root",
            groups=groups, get_username=lambda: name,
        )  # fmt: skip
        return self.get_response(request)


urlpatterns = [path("ops/admin/", include(admin_urls()))]


@pytest.fixture(params=[in_starlette, in_fastapi, in_flask, in_wsgi, in_django])
def ask(request: pytest.FixtureRequest, server: Server) -> Iterator[Ask]:
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[f"{__name__}.WithUser"], ALLOWED_HOSTS=["*"]):
        yield request.param()


# -- what holds in all of them


def test_the_page_is_there_for_whom_the_application_lets_in(ask: Ask) -> None:
    assert ask("GET", "/ops/admin/").status_code in (302, 403)
    page = ask("GET", "/ops/admin/?q=caf%C3%A9", user="ann")
    assert page.status_code == 200
    assert "ann sees café" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "/ops/admin/login" not in page.text
    assert "/logout" not in page.text


def test_every_address_on_the_page_has_the_prefix(ask: Ask) -> None:
    text = ask("GET", "/ops/admin/trial/a%20b/caf%C3%A9", user="ann").text
    addresses = re.findall(r'(?:href|src|action)="([^"#]+)"', text)
    assert len(addresses) > 5
    assert not [one for one in addresses if not one.startswith("/ops/admin/")]
    style = next(one for one in addresses if one.endswith(".css"))
    found = ask("GET", style)
    assert found.status_code == 200
    assert "--ground" in found.text
    assert "immutable" in found.headers["cache-control"]


def test_programs_get_json(ask: Ask) -> None:
    found = ask("GET", "/ops/admin/", user="ann", headers={"accept": "application/json"})
    assert found.text == '{"v":1,"ok":true,"data":{"user":"ann"}}'


def test_a_write_goes_back_to_its_page(ask: Ask) -> None:
    data = {"theme": "dark", "back": "/ops/admin/trial/x"}
    done = ask("POST", "/ops/admin/display", user="ann", data=data, headers={"sec-fetch-site": "same-origin"})
    assert (done.status_code, done.headers["location"]) == (303, "/ops/admin/trial/x")
    outside = ask("POST", "/ops/admin/display", user="ann", data={"theme": "dark", "back": "/elsewhere"},
                  headers={"sec-fetch-site": "same-origin"})  # fmt: skip
    assert outside.headers["location"] == "/ops/admin/"


def test_a_write_from_elsewhere_is_refused(ask: Ask) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        assert ask("POST", "/ops/admin/display", user="ann", data={"theme": "dark"}, headers=headers).status_code == 403


def test_what_is_not_there(ask: Ask) -> None:
    assert ask("GET", "/ops/admin/nowhere", user="ann").status_code == 404


# -- what each does besides


def test_django_gives_staff_the_roles_of_their_groups(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def noted(look: Look) -> View:
        seen.append((look.actor.user, look.actor.may("admin.process"), look.actor.may("admin.restore")))
        return looked(look)

    monkeypatch.setattr(app, "MODULES", [SimpleNamespace(PAGES=[Page("/", "overview", "Overview", "o", noted)])])
    noting = [path("admin/", include(admin_urls()))]
    with override_settings(
        ROOT_URLCONF=tuple(noting), MIDDLEWARE=[f"{__name__}.WithUser"], ALLOWED_HOSTS=["*"], LOGIN_URL="/in"
    ):
        client = Client()
        assert client.get("/admin/", headers={"x-user": "guest"}).status_code == 403
        away = client.get("/admin/?q=1")
        assert (away.status_code, away.headers["location"]) == (302, "/in?next=/admin/%3Fq%3D1")
        for name in ("ann", "root"):
            assert client.get("/admin/", headers={"x-user": name}).status_code == 200
    assert seen == [("ann", True, False), ("root", True, True)]


def test_mounted_without_a_login_it_has_its_own(server: Server) -> None:
    outside = Starlette(routes=[Mount("/admin", Admin())])
    ann = browser(server, app=outside, prefix="/admin")
    assert "ann sees" in ann.get("/admin/").text
    assert stranger(outside).get("/admin/").headers["location"] == "/admin/login"


def test_a_body_that_is_too_long_is_refused_under_wsgi_too(server: Server) -> None:
    ask = in_flask()
    long = ask("POST", "/ops/admin/display", user="ann", data={"theme": "x" * (MOST + 1)},
               headers={"sec-fetch-site": "same-origin"})  # fmt: skip
    assert long.status_code == 413
