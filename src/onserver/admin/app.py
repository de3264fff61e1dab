"""The admin page, as one ASGI application.

    onserver admin                                  serves it by itself
    app.mount("/admin", Admin(login=…))             has it inside another application

| path | answered by |
|---|---|
| `/`, `/processes`, … | `pages`: each `Page` of its modules, as HTML or as JSON |
| `/act/NAME` | `acting`: every action there is, by POST |
| `/login`, `/logout`, `/display` | `doors` |
| `/login/oidc`, `/login/callback` | `oidc_doors`, where the settings name a provider |
| `/static/…` | `assets` |
| `/metrics` | `metrics` |
| `/live` | `live`: what changes while somebody looks |

It keeps nothing: who has logged in, what was done and what there is to see is in Redis.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from onserver.admin import assets
from onserver.admin.acting import Acting
from onserver.admin.doors import Doors
from onserver.admin.identity import Identity
from onserver.admin.live import Live
from onserver.admin.metrics import Metrics
from onserver.admin.oidc import provider_of
from onserver.admin.oidc_doors import OidcDoors
from onserver.admin.page import Page
from onserver.admin.pages import MODULES
from onserver.admin.proxy import Proxy
from onserver.admin.replies import Replies
from onserver.admin.shield import shielded
from onserver.admin.visitor import Login
from onserver.server import Server
from onserver.web.threads import Threads

_NO_HANDLERS: Final[tuple[dict[Any, Any], dict[Any, Any]]] = ({}, {})


class Admin:
    """The admin page of a server: an ASGI application, for any ASGI server, or to be mounted at any prefix.

    Args:
        server: the project; None for the current one.
        read_only: whether nobody may change anything from here.
        login: answers who asks, for a page that is mounted in an application with logins of its own; it is called in a
            thread with each request, and answers None for somebody who may not see the page. Without it there are links
            (`onserver admin link`), the users of `onserver users`, and a provider of OpenID Connect where the settings
            name one.
        proxy: a server in front whose word is taken for addresses, scheme and users.

    Example:
        In a FastAPI or Starlette application::

            def login(request):
                user = request.scope.get("user")  # whatever your application knows
                return Visitor(user=user.name, roles=["operator"]) if user and user.is_staff else None


            app.mount("/admin", Admin(login=login))
    """

    def __init__(
        self,
        server: Server | None = None,
        *,
        read_only: bool = False,
        login: Login | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.server = server or Server.current()
        self.pages: Sequence[Page] = [page for module in MODULES for page in module.PAGES]
        self.identity = Identity(self.server, read_only=read_only, login=login, proxy=proxy)
        self.replies = Replies(self.server, self.identity, self.pages)
        self.live = Live(self.replies)
        self._proxy = proxy
        self._provider = provider_of(self.server.settings) if self.identity.has_own_logins else None
        self._router = Router(self.routes(), default=_nowhere)

    def routes(self) -> list[BaseRoute]:
        """Answer all routes, in the order in which they are tried."""
        doors = Doors(self.replies, self._provider.host if self._provider else "")
        return [
            *assets.routes(),
            *doors.routes(),
            *(OidcDoors(self.replies, doors, self._provider).routes() if self._provider else ()),
            *Acting(self.replies).routes(),
            *Metrics(self.replies).routes(),
            *self.live.routes(),
            *(Route(page.path, self._page(page), methods=["GET"], name=page.name) for page in self.pages),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._router(scope, receive, send)
            return
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        heard = self._proxy.heed(scope) if self._proxy else scope
        # an application around this one has handlers of its own, which are not for these routes
        inner: Scope = {**heard, "app": self, "starlette.exception_handlers": _NO_HANDLERS}
        sending = shielded(send)
        try:
            await self._router(inner, receive, sending)
        except HTTPException as error:
            response = self.replies.refused(Request(inner), error)
            await response(inner, receive, sending)

    def _page(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return await self.server.part(Threads).run(self.replies.page, request, page)

        return answer


async def _nowhere(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise HTTPException(404, "There is no such page.")
