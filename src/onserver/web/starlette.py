"""Starlette's `request.session`, kept on the server: in place of `starlette.middleware.sessions.SessionMiddleware`.

    from onserver.web.starlette import SessionMiddleware

It takes the same arguments. What is different: the cookie has an id and no content, so that a session can be revoked,
holds what need not go through the browser, and is the session that `session()` answers and background work shares.
Where `request.session` is not used, `onserver.web.SessionMiddleware` does, and reads nothing before it is asked for.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Final, Literal

from starlette.concurrency import run_in_threadpool

from onserver.server import Server
from onserver.values import decode, encode
from onserver.web import kept
from onserver.web.cookie import CookieRules
from onserver.web.kept import KeptDict
from onserver.web.middleware import KEY, STARTS, Application, Message, Receive, Scope, Send, add_headers, begin
from onserver.web.requests import Headers, Request, WebSessions

#: What a session lasts at least, so that one that is over at once can be written at all.
_SHORTEST: Final = 0.001


class SessionMiddleware:
    """Gives each request `request.session`, and `session()`.

    Args:
        app: the application.
        secret_key: not needed: nothing is signed, an id that is not in Redis is nothing.
        session_cookie: name of the cookie.
        max_age: seconds that a session lasts unused, and its cookie is kept; None: until the browser is closed, and on
            the server as long as the settings say.
        path: below which the cookie is sent.
        same_site: `lax`, `strict` or `none`.
        https_only: the cookie is for HTTPS only.
        domain: hosts below it get the cookie.
        partitioned: the cookie is of the site alone in which it is framed.
        server: None for the current one, found with the first request.
    """

    def __init__(
        self,
        app: Application,
        secret_key: object = None,  # noqa: ARG002  # Starlette's signature
        session_cookie: str = "session",
        max_age: int | None = 14 * 86_400,
        path: str = "/",
        same_site: Literal["lax", "strict", "none"] = "lax",
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
        *,
        server: Server | None = None,
    ) -> None:
        self.app = app
        self._server = server
        self._idle = None if max_age is None else max(float(max_age), _SHORTEST)
        self._rules = CookieRules(
            name=session_cookie,
            path=path,
            domain=domain or "",
            same_site=same_site,
            secure="always" if https_only else "never",
            partitioned=partitioned,
            seconds=max_age,
        )
        self._sessions: WebSessions | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        around: Request | None = scope.get(KEY)
        request = scope[KEY] = around or begin(self._of_server(), scope)
        own = request.own

        async def answer(message: Message) -> None:
            if message["type"] in STARTS:
                values = scope["session"]
                waits = own is not None and (values.modified or own.looked)
                headers = await run_in_threadpool(_finish, request, values) if waits else _finish(request, values)
                add_headers(message, headers if around is None else [])  # who has begun the request gives the cookie
            await send(message)

        with nullcontext() if around else request.serving():
            if request.waits:
                await run_in_threadpool(request.join)
            scope["session"] = await run_in_threadpool(kept.read, own, KeptDict, decode) if own else KeptDict()
            await self.app(scope, receive, answer)

    def _of_server(self) -> WebSessions:
        server = self._server or Server.current()
        if self._sessions is None or self._sessions.server is not server:
            self._sessions = WebSessions(server, cookie=self._rules, idle_seconds=self._idle)
        return self._sessions


def _finish(request: Request, values: KeptDict) -> Headers:
    if request.own is not None:
        request.again = kept.write(request.own, values, encode)
    return request.finish()
