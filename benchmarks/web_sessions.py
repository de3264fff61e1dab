"""Requests a second with a session: `python -m benchmarks.web_sessions SIDE REQUESTS`.

The applications are called in this program, so that what is measured is the session and not a server of HTTP. Each is
asked by one browser, which is signed in, in three ways: the session is left alone, one key of it is read, one key is
written with a value that is another each time. Beside ours are Starlette's sessions, which are all in the cookie,
Flask-Session and django-redis.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import django
import flask
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path
from flask_session import Session as FlaskSession
from redis import Redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as CookieSessions
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from onserver import Server
from onserver.web.flask import OnServerSessions
from onserver.web.starlette import SessionMiddleware as ServerSessions

WAYS = ("untouched", "read", "written")
_TURNS = 3

Ask = Callable[[str, str], str]


def serve(kept: Any, way: str, number: int) -> str:
    """What each application does."""
    if way == "read":
        return str(kept.get("user"))
    if way == "written":
        kept["number"] = number
    elif way == "begin":
        kept["user"] = "ann"
    return ""


class Counted:
    """Numbers, each another."""

    number = 0

    def next(self) -> int:
        self.number += 1
        return self.number


def starlette(side: str) -> Ask:
    count = Counted()

    async def show(request: Request) -> PlainTextResponse:
        way = request.path_params["way"]
        return PlainTextResponse(serve(None if way == "untouched" else request.session, way, count.next()))

    middleware = ServerSessions if side == "ours" else CookieSessions
    app = Starlette(routes=[Route("/{way}", show)], middleware=[Middleware(middleware, secret_key="x" * 32)])
    loop = asyncio.new_event_loop()

    async def ask(way: str, cookie: str) -> str:
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        headers = [(b"host", b"shop"), (b"cookie", cookie.encode())]
        scope = {"type": "http", "method": "GET", "path": f"/{way}", "query_string": b"", "headers": headers}
        await app(scope, receive, send)
        return next((value.decode() for name, value in said[0]["headers"] if name == b"set-cookie"), "")

    return lambda way, cookie: loop.run_until_complete(ask(way, cookie))


def wsgi(app: Any) -> Ask:
    """Ask an application of WSGI."""

    def ask(way: str, cookie: str) -> str:
        said: list[Any] = []
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": f"/{way}", "QUERY_STRING": "", "SERVER_NAME": "shop",
            "SERVER_PORT": "80", "HTTP_HOST": "shop", "HTTP_COOKIE": cookie, "REMOTE_ADDR": "192.0.2.1",
            "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http", "wsgi.input": BytesIO(),
            "wsgi.errors": sys.stderr, "wsgi.version": (1, 0), "wsgi.multithread": False,
            "wsgi.multiprocess": False, "wsgi.run_once": False,
        }  # fmt: skip
        answer = app(environ, lambda status, headers, *_: said.extend([status, headers]))
        try:
            for _ in answer:
                pass
        finally:
            answer.close()
        if not said[0].startswith("200"):
            raise SystemExit(f"{way}: {said[0]}")
        return next((value for name, value in said[1] if name.lower() == "set-cookie"), "")

    return ask


def of_flask(side: str) -> Ask:
    count = Counted()
    app = flask.Flask("shop")

    @app.get("/<way>")
    def show(way: str) -> str:
        return serve(flask.session, way, count.next())

    if side == "ours":
        OnServerSessions(app)
    else:
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis(unix_socket_path=os.environ["BENCH_SOCKET"]))
        FlaskSession(app)
    return wsgi(app)


def of_django(side: str) -> Ask:
    count = Counted()

    def show(request: Any, way: str) -> HttpResponse:
        return HttpResponse(serve(request.session, way, count.next()))

    ours = ["onserver.django_app.middleware.SessionMiddleware"]
    theirs = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"unix://{os.environ['BENCH_SOCKET']}?db=1"}
    engine = "onserver.django_app.sessions" if side == "ours" else "django.contrib.sessions.backends.cache"
    settings.configure(
        ALLOWED_HOSTS=["*"],
        CACHES={"default": theirs} if side != "ours" else {},
        INSTALLED_APPS=["onserver.django_app"] if side == "ours" else [],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", *(ours if side == "ours" else [])],
        ROOT_URLCONF=(path("<way>", show),),
        SECRET_KEY="x" * 50,
        SESSION_ENGINE=engine,
    )
    django.setup()
    return wsgi(WSGIHandler())


def rate(ask: Ask, way: str, cookie: str, requests: int) -> float:
    """Requests a second: the best of some turns, since another program can only make it slower."""

    def once() -> float:
        began = time.perf_counter()
        for _ in range(requests):
            cookie_now[0] = ask(way, cookie_now[0]).partition(";")[0] or cookie_now[0]
        return requests / (time.perf_counter() - began)

    cookie_now = [cookie]
    return max(once() for _ in range(_TURNS))


def main(side: str, requests: int) -> dict[str, float]:
    """Measure one side."""
    Server.current().load_tasks()
    found: dict[str, float] = {}
    for name, made in (("starlette", starlette), ("flask", of_flask), ("django", of_django)):
        ask = made(side)
        cookie = ask("begin", "").partition(";")[0]
        for way in WAYS:
            found[f"{name}_{way}"] = rate(ask, way, cookie, requests)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], int(sys.argv[2]))) + "\n")
