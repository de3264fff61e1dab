"""The middleware that gives each request of an application its session: pure ASGI, for `http` and `websocket`.

The application may be of any framework; a middleware of the same kind for WSGI is in `wsgi`. Inside, `session()`
answers the session of the request, in the threads and coroutines that the framework makes of it. A request that is
served already (the application is mounted in one that has a middleware, or is a component's) stays with the web server
that received it.

What makes a round trip is done in a thread, so that a Redis that answers late holds up one request and not the loop.
`session()` itself is not awaited: the first look at it in a coroutine makes its round trip there and then. Where that
matters, `await web_session()` reads it beforehand, as the dependency of FastAPI does.

`PrivilegeDenied` becomes 403 and `SessionExpired` 401, where the response has not begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from onserver.errors import PrivilegeDenied, SessionExpired
from onserver.server import Server
from onserver.session.context import served
from onserver.session.session import Session
from onserver.web.requests import Headers, Request, WebSessions, web_sessions
from onserver.web.web_session import WebSession

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Where the request is found in a scope or an environment.
KEY: Final = "onserver.request"
#: Messages that begin a response, with its headers.
STARTS: Final = {"http.response.start", "websocket.accept", "websocket.http.response.start"}


class SessionMiddleware:
    """Gives each request of an ASGI application its session.

    Args:
        app: the application.
        server: None for the current one, found with the first request.
        web: name of the component whose web server it is; empty for the host's.
        sessions: other than those of the settings.

    Example:
        >>> async def app(scope, receive, send): ...
        >>> served_app = SessionMiddleware(app)  # FastAPI, Starlette: web.add_middleware(SessionMiddleware)
    """

    def __init__(
        self, app: Application, server: Server | None = None, web: str = "", sessions: WebSessions | None = None
    ) -> None:
        self.app = app
        self._server = server
        self._web = web
        self._given = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket") or KEY in scope:
            await self.app(scope, receive, send)
            return
        request = scope[KEY] = begin(self._given or web_sessions(self._server, self._web), scope)
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] in STARTS:
                begun = True
                headers = await asyncio.to_thread(request.finish) if request.touched else request.finish()
                add_headers(message, headers)
            await send(message)

        with request.serving():
            if request.waits:
                await asyncio.to_thread(request.join)
            try:
                await self.app(scope, receive, answer)
            except (PrivilegeDenied, SessionExpired) as error:
                if begun or scope["type"] != "http":
                    raise
                await _refuse(answer, error)


def begin(sessions: WebSessions, scope: Scope) -> Request:
    """Begin the request of an ASGI scope."""
    cookies: list[str] = []
    agent = ""
    for name, value in scope["headers"]:
        if name == b"cookie":
            cookies.append(value.decode("latin-1"))
        elif name == b"user-agent":
            agent = value.decode("latin-1")
    client = scope.get("client")
    return sessions.begin(
        cookie="; ".join(cookies),
        query=scope.get("query_string", b"").decode("latin-1"),
        ip=client[0] if client else "",
        agent=agent,
        secure=scope.get("scheme") in ("https", "wss"),
        rest=scope.get("path", "").startswith("/rest/"),
    )


def add_headers(message: Message, headers: Headers) -> None:
    """Add headers to the message that begins a response; what it varies by is said once."""
    found: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
    for name, value in headers:
        if name == "Vary" and varies(text.decode("latin-1") for key, text in found if key.lower() == b"vary"):
            continue
        found.append((name.lower().encode(), value.encode("latin-1")))
    message["headers"] = found


def varies(values: Iterable[str]) -> bool:
    """Whether `Vary` headers say already that a response depends on the cookie."""
    named = {name.strip().lower() for value in values for name in value.split(",")}
    return bool(named & {"cookie", "*"})


async def web_session() -> Session | None:
    """Answer the session of this request, read without holding up the loop; a dependency for FastAPI.

    Example:
        >>> async def show(session=Depends(web_session)): ...  # doctest: +SKIP
    """
    here = served()
    if here is None:
        return None
    if isinstance(here.session, WebSession) and not here.session.touched:
        await asyncio.to_thread(here.session.load)
    return here.session


def requires(*names: str) -> Callable[[], Awaitable[Session | None]]:
    """Make a dependency for FastAPI that lets only sessions pass which have these privileges.

    Args:
        *names: privileges, all of them.

    Example:
        >>> guard = requires("invoices.create")  # @web.post("/invoices", dependencies=[Depends(guard)])
    """

    async def guard() -> Session | None:
        session = await web_session()
        for name in names:
            if session is None:
                raise PrivilegeDenied(name, "", (), ())
            session.require(name)
        return session

    return guard


def status_of(error: PrivilegeDenied | SessionExpired) -> int:
    """Return the status of HTTP that an error is: 403 for a missing privilege, 401 for a session that is over."""
    return 403 if isinstance(error, PrivilegeDenied) else 401


async def _refuse(send: Send, error: PrivilegeDenied | SessionExpired) -> None:
    body = f"{error}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": body})
