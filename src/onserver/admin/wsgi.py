"""The admin page inside a WSGI application: Flask, Django, Bottle, anything that calls another application.

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/admin": WSGIAdmin(Admin(login=…))})

Each request is answered on a loop of its own, in the thread that it came in. A stream would hold that thread for as
long as somebody watches, so there is none: what changes is polled for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope

from onserver.admin.visitor import Visitor
from onserver.admin.writes import MOST_BYTES

Environment: TypeAlias = MutableMapping[str, Any]
StartResponse: TypeAlias = Callable[..., Any]

#: Where the scope of a request says that it came by WSGI, and has the environment; nothing is streamed then.
ENVIRONMENT: Final = "wsgi.environ"
#: Where an environment has whom the application around has let in: a `Visitor`, or None for nobody.
VISITOR: Final = "onserver.visitor"
_UNPREFIXED: Final = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}


class WSGIAdmin:
    """An admin page as a WSGI application.

    Args:
        app: the page: an `Admin`.

    Example:
        >>> page = WSGIAdmin(Admin(login=login))  # doctest: +SKIP
        >>> app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/admin": page})  # doctest: +SKIP
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, environ: Environment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        status, headers, body = asyncio.run(_answered(self._app, _scope(environ), _body(environ)))
        start_response(f"{status} {_reason(status)}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def visitor_of(request: Request) -> Visitor | None:
    """Return whom the application around has let in, as it has said in the environment: a `login` for `Admin`.

    Args:
        request: of a page that came through `WSGIAdmin`; the key of the environment is `onserver.visitor`.

    Example:
        >>> page = WSGIAdmin(Admin(login=visitor_of))  # doctest: +SKIP
        >>> page({**environ, "onserver.visitor": Visitor(user="ann", roles=["viewer"])}, start)  # doctest: +SKIP
    """
    visitor = request.scope.get(ENVIRONMENT, {}).get(VISITOR)
    return visitor if isinstance(visitor, Visitor) else None


async def _answered(app: ASGIApp, scope: Scope, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """Have an application answer, and wait for all of it."""
    start: Message = {}
    pieces: list[bytes] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            pieces.append(message.get("body", b""))

    await app(scope, _receiving(body), send)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return start["status"], headers, b"".join(pieces)


def _receiving(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _scope(environ: Environment) -> Scope:
    root = environ.get("SCRIPT_NAME", "").encode("latin-1").decode("utf-8", "replace").rstrip("/")
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    port = environ.get("SERVER_PORT", "")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").rpartition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": root + (path or "/"),
        "root_path": root,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": list(_headers(environ)),
        "client": (environ.get("REMOTE_ADDR", ""), 0),
        "server": (environ.get("SERVER_NAME", ""), int(port) if port.isdigit() else None),
        ENVIRONMENT: environ,
    }


def _headers(environ: Environment) -> Iterable[tuple[bytes, bytes]]:
    for key, value in environ.items():
        name = key[5:].replace("_", "-").lower() if key.startswith("HTTP_") else _UNPREFIXED.get(key, "")
        if name and value:
            yield name.encode("latin-1"), str(value).encode("latin-1", "replace")


def _body(environ: Environment) -> bytes:
    """Read the body, and one byte more than there may be, so that a longer one is refused where all are."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdigit():
        return bytes(environ["wsgi.input"].read(min(int(length), MOST_BYTES + 1)))
    return bytes(environ["wsgi.input"].read(MOST_BYTES + 1)) if environ.get("wsgi.input_terminated") else b""


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
