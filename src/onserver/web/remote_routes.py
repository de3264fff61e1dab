"""Remote clients over the web: `/remote/VERB`, where the setting `remote.over_web` lets them in.

    POST /remote/call            the wish, as `onserver.connections.wire` has it, content type application/vnd.onserver
    Authorization: Bearer ID     the session, whose id is the client's secret; no cookie is ever looked at
    ← 200                        the answer, of the same content type
    ← 4xx, 5xx                   what was raised, likewise: as `onserver.process.failure` has errors

A client waits here for what its calls return and for what it is told, so these requests do not count among those that
`web.max_concurrent_processes` bounds, and no thread waits with them. Whoever is not let in waits for nothing: the
session is looked at before.

A page of another site cannot ask: it knows no id, and a browser does not send this content type across sites unasked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from onserver.connections.granting import agrant
from onserver.connections.wire import CONTENT, VERBS, Open, Wish
from onserver.errors import BadArguments, OnServerError
from onserver.process.failure import error_of, error_value
from onserver.server import Server
from onserver.web.answers import HEADERS, LOG, problem, status_of
from onserver.web.bodies import BadBody, read_body
from onserver.web.threads import Threads

#: Where it is, below the application.
PATH: Final = "/remote/"
_SCHEME: Final = "bearer "
_encode: Final = msgspec.msgpack.Encoder().encode


class RemoteDoor:
    """Takes what remote clients send out of all requests, before they are counted and given web sessions.

    Args:
        app: what answers all others.
        server: the loaded project.
    """

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._remote = Router(remote_routes(server)) if server.settings.remote.over_web else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = str(scope.get("path", "")).removeprefix(scope.get("root_path", ""))
        if self._remote is None or scope["type"] != "http" or not path.startswith(PATH):
            await self._app(scope, receive, send)
            return
        await self._remote(scope, receive, send)


def remote_routes(server: Server) -> Sequence[Route]:
    """Make the routes of remote clients.

    Args:
        server: the loaded project.
    """
    return [Route(PATH + "{verb}", _Remote(server).answer, methods=["POST"])]


class _Remote:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def answer(self, request: Request) -> Response:
        kind = VERBS.get(request.path_params["verb"])
        if kind is None or request.headers.get("content-type", "") != CONTENT:
            return problem(404, "There is nothing here for browsers.")
        try:
            body = await read_body(request, self._server.settings.web.max_body_bytes)
            wish = _read(kind, body, request)
            answer = await agrant(self._server, _session_in(request), wish, self._server.part(Threads).run)
        except BadBody as error:
            return _told(error_value("BadArguments", str(error)), error.status)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is told as much as it may know
            return _refusal(error)
        return Response(_encode(answer), 200, HEADERS, CONTENT)


def _read(kind: type[Wish], body: bytes, request: Request) -> Wish:
    try:
        wish = msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadArguments(
            f"/remote/{kind.__name__.lower()}", f"is wished for wrongly: {error}", kind.__name__
        ) from error
    if isinstance(wish, Open):  # where it is from, the connection says
        asked: Any = msgspec.structs.replace(wish.asked, ip=request.client.host if request.client else "")
        return msgspec.structs.replace(wish, asked=asked)
    return wish


def _session_in(request: Request) -> str:
    given = request.headers.get("authorization", "")
    return given[len(_SCHEME) :].strip() if given.lower().startswith(_SCHEME) else ""


def _refusal(error: Exception) -> Response:
    status = status_of(error)
    if not isinstance(error, OnServerError) or (status == 500 and type(error).__module__ != "onserver.errors"):
        LOG.error("A wish of a remote client has failed", exc_info=error)
        return _told(error_value("RuntimeError", "The server could not answer; its log has the reason."), 500)
    return _told(error_of(error.with_traceback(None)), 409 if status == 500 else status)


def _told(error: bytes, status: int) -> Response:
    return Response(error, status, HEADERS, CONTENT)
