"""The gateway: a web server for a project that has none, as one ASGI application.

    onserver web                                    serves it by itself
    app.mount("/rpc", Gateway())                    has it inside another application

| path | answered by |
|---|---|
| `/action/NAME`, `/4DACTION/NAME` | `actions`: what is published |
| `/rest/…`, `/openapi.json` | `rest`, `openapi`: REST, and its description |
| `/remote/VERB` | `remote_routes`: remote clients, where the setting `remote.over_web` lets them in |
| `/processes/N` | `watching`: what has become of a process, for whoever has started it |
| `/mobileapp/…`, `/rest/$directory/login` | `mobile`: its hooks |
| everything else | `pages`: the pages of the project, and its hooks |

A request goes through the limit of how many there may be at once, then gets its session, then finds its route. What is
raised on the way becomes a response in one place (`answers.refusal`).

The project and each of its components have web servers of their own, if they are made: with their own hooks, pages and
sessions (specification 1.4).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onserver.errors import ImportFailed
from onserver.server import Server
from onserver.web.actions import Actions
from onserver.web.answers import problem, refusal
from onserver.web.bodies import BadBody
from onserver.web.capacity import Capacity
from onserver.web.door import Door, Refused
from onserver.web.middleware import SessionMiddleware
from onserver.web.mobile import Mobile
from onserver.web.openapi import openapi_routes
from onserver.web.pages import FOLDER, Pages
from onserver.web.remote_routes import RemoteDoor
from onserver.web.rest import rest_routes
from onserver.web.watching import process_routes

#: Lets a browser ask for name and password, and send them with the next request.
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="onserver", charset="UTF-8"'}

_NO_HANDLERS: Final[tuple[dict[Any, Any], dict[Any, Any]]] = ({}, {})


class Gateway:
    """The web server of a project, or of one of its components: an ASGI application.

    Args:
        server: the project; None for the current one. Its tasks are loaded.
        component: name of the component whose web server it is; empty for the project's own.
        pages: folder of its pages; None for `pages/` of the project or component.

    Raises:
        ImportFailed: ONS-1002, the project cannot be loaded, or has no such component.
        DuplicateName: ONS-1006, likewise.
        RolesFileError: ONS-1004, likewise.

    Example:
        In `web.py`, for any ASGI server::

            from onserver import Server
            from onserver.web import Gateway

            Server.load()
            application = Gateway()
    """

    def __init__(self, server: Server | None = None, component: str = "", *, pages: Path | None = None) -> None:
        self._pages = pages
        self.server = server or Server.current()
        self.server.load_tasks()
        self.component = component
        limit = self.server.settings.web.max_concurrent_processes
        inside = SessionMiddleware(_Answering(Router(self._routes())), self.server, component)
        self._outside = RemoteDoor(Capacity(inside, limit), self.server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._outside(scope, receive, send)

    def _routes(self) -> list[BaseRoute]:
        """The routes, in the order in which they are tried; pages take every path that is left."""
        server, component = self.server, self.component
        door = Door(server, component)
        return [
            *Actions(server, door, component).routes(),
            *Mobile(server, door).routes(),
            *rest_routes(server, component),
            *process_routes(server),
            *openapi_routes(server, component),
            *Pages(server, door, self._folder(), component).routes(),
        ]

    def _folder(self) -> Path:
        if self._pages is not None:
            return self._pages
        if self.component:
            found = {component.name: component.folder for component in self.server.components()}
            if self.component not in found:
                raise ImportFailed(self.component, "the setting `components` does not name it")
            return found[self.component] / FOLDER
        return (self.server.project or Path.cwd()) / FOLDER


class _Answering:
    """Makes responses of what is raised, where none has begun.

    Args:
        app: the routes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        # an application around this one has handlers of its own, which are not for these routes
        inner: Scope = {**scope, "app": self, "starlette.exception_handlers": _NO_HANDLERS}
        try:
            await self._app(inner, receive, noted)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            await _response(error)(scope, receive, send)


def _response(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail, headers=error.headers)
    if isinstance(error, BadBody):
        return problem(error.status, str(error))
    if isinstance(error, Refused) and error.wait:
        return problem(429, "Too many wrong passwords.", headers={"Retry-After": str(error.wait)})
    if isinstance(error, Refused):
        return problem(401, "The request was refused.", headers=_CHALLENGE)
    return refusal(error)
