"""REST: what there is, how a session stands, and calls of the functions of the server.

    GET  /rest/$catalog              what there is           POST /rest/$catalog/NAME              call a function
    GET  /rest/$info                 how the session stands  POST /rest/$singleton/CLASS/FUNCTION  one of a singleton
    POST /rest/$catalog/authentify   log in

    GET  /rest/CLASS                 data, and its changes: see `rest_data`

Functions are called by `rest_functions`.

Where `roles.json` says `forceLogin`, a guest may ask for descriptions only and call `authentify` only, a published
server method of that name, whatever else `roles.json` says: it looks at what it was given and gives the session its
privileges, or does not. All else is 401, whether there is such a thing or not.

An error is told as the original tells it: `{"__ERROR": [{"message": …, "componentSignature": "ONS", "errCode": …}]}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast
from urllib.parse import quote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from onserver.lazy import load
from onserver.process.authority import LOGIN
from onserver.server import Server
from onserver.session.context import session
from onserver.session.session import Session
from onserver.web.answers import HEADERS, JSON, answer_of, problem, refusal
from onserver.web.bodies import BadBody, read_body, texts_of
from onserver.web.calling import call_method
from onserver.web.rest_functions import arguments_of, called, catalog_of_functions, find_function
from onserver.web.rest_info import info_of_session
from onserver.web.rest_path import CATALOG, INFO, MalformedPath, RestPath, read_path
from onserver.web.rest_query import read_query
from onserver.web.rest_source import source_of
from onserver.web.threads import Threads

#: What a guest may ask for although everybody has to log in, beside `authentify`.
_DESCRIPTIVE: Final = frozenset({CATALOG, "$getWebForm"})
#: What answers for data; it needs the extra of the same name.
_DATA: Final = "onserver.web.rest_data"
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def rest_routes(server: Server, component: str = "") -> Sequence[Route]:
    """Make the routes of REST, for an application whose requests are served in sessions.

    Args:
        server: the loaded project.
        component: whose functions may be called; empty for those of the project.
    """
    rest = Rest(server, component)
    return [Route("/rest", rest.answer, methods=_METHODS), Route("/rest/{rest:path}", rest.answer, methods=_METHODS)]


class Rest:
    """The REST of one web server.

    Args:
        server: the loaded project.
        component: whose functions may be called; empty for those of the project.
    """

    def __init__(self, server: Server, component: str = "") -> None:
        self._server = server
        self._component = component

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        try:
            path = read_path(_raw_path(request))
        except MalformedPath as error:
            return _told(problem(400, f"The path is malformed: {error}."))
        try:
            mine = await asyncio.to_thread(_session_of_request)
            if self._locked(mine, path, request.method):
                return _told(problem(401, "Log in first: POST /rest/$catalog/authentify."))
            return await self._answered(mine, path, request)
        except BadBody as error:
            return _told(problem(error.status, str(error)))
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told as the table of `answers` has it
            return _told(refusal(error))

    def _locked(self, mine: Session | None, path: RestPath, method: str) -> bool:
        """Whether who asks has to log in first."""
        if not self._server.require_roles().force_login or not (mine is None or mine.is_guest()):
            return False
        login = path.word == CATALOG and path.names == (LOGIN,)
        return not (login or (path.word in _DESCRIPTIVE and not path.names and method in {"GET", "HEAD"}))

    async def _answered(self, mine: Session | None, path: RestPath, request: Request) -> Response:
        if path.word == CATALOG and not path.names:
            return _only("GET", request) or answer_of(self._catalog())
        if path.word == INFO and not path.names:
            return _only("GET", request) or answer_of(await asyncio.to_thread(info_of_session, self._server, mine))
        function = find_function(self._server, path, self._component)
        if function is not None:
            return _only("POST", request) or await called(self._server, function, request)
        source = source_of(self._server)
        if source is not None and path.word == CATALOG and len(path.names) == 1:
            return _only("GET", request) or await self._described(mine, source, path.names[0])
        if source is not None and not path.word:
            return await self._data(mine, source, path, request)
        return _told(problem(404, f"There is nothing of this name: /rest/{CATALOG} tells what there is."))

    def _catalog(self) -> dict[str, Any]:
        source = source_of(self._server)
        classes: list[Any] = [] if source is None else load(f"{_DATA}:catalog")(source)
        return {"dataClasses": classes, **catalog_of_functions(self._server, self._component)}

    async def _described(self, mine: Session | None, source: Any, name: str) -> Response:
        return answer_of(await asyncio.to_thread(load(f"{_DATA}:describe"), self._server, source, mine, name))

    async def _data(self, mine: Session | None, source: Any, path: RestPath, request: Request) -> Response:
        reads = request.method in {"GET", "HEAD"}
        named = path.attributes or ",".join(path.names[1:] if reads else ())
        query = read_query(texts_of(request, b"", own=True), named)
        body = await read_body(request, self._server.settings.web.max_body_bytes)
        root = str(request.scope.get("root_path", ""))
        asked = load(f"{_DATA}:Asked")(path=path, query=query, method=request.method, body=body, root=root)
        if request.method == "POST" and len(path.names) == 2 and not query.method:
            return await self._function(mine, source, asked)
        found = await self._server.part(Threads).run(load(f"{_DATA}:answer"), self._server, source, mine, asked)
        return Response(msgspec.json.encode(found), 200, HEADERS, JSON)

    async def _function(self, mine: Session | None, source: Any, asked: Any) -> Response:
        """Call a function of a class of data, of an entity, or of the entities that are meant."""
        path = asked.path
        method = load("onserver.data.functions:data_methods")(self._server).get(path.names)
        if method is None or (method.on == "entity") != (path.key is not None):
            return _told(problem(404, f"`{path.names[0]}` has no such function."))
        given = list(arguments_of(asked.body))
        if method.on == "entity":
            given.insert(0, path.key)
        elif method.on == "selection":
            found = await self._server.part(Threads).run(load(f"{_DATA}:keys"), self._server, source, mine, asked)
            given.insert(0, found)
        result = await call_method(self._server, method, given, {})
        return Response(msgspec.json.encode({"result": result}), 200, HEADERS, JSON)


def _session_of_request() -> Session | None:
    mine = cast("Session | None", session())
    if mine is not None:
        _ = mine.record  # read here, where a thread waits for it
    return mine


def _only(method: str, request: Request) -> Response | None:
    """Answer the refusal of any other method, or None."""
    if request.method == method or (method == "GET" and request.method == "HEAD"):
        return None
    return _told(problem(405, f"This takes {method}.", headers={"Allow": method}))


def _raw_path(request: Request) -> bytes:
    raw: bytes | None = request.scope.get("raw_path")
    if raw is None:
        raw = quote(str(request.scope["path"])).encode()
    root = quote(str(request.scope.get("root_path", ""))).encode()
    return raw.partition(b"?")[0].removeprefix(root)


def _told(response: Response) -> Response:
    """Tell an error as the original does."""
    if response.status_code < 400:
        return response
    facts: dict[str, Any] = msgspec.json.decode(response.body)["error"]
    error = {
        "message": facts["message"],
        "componentSignature": "ONS",
        "errCode": facts.get("code", response.status_code),
    }
    headers = {name: text for name, text in response.headers.items() if name not in {"content-length", "content-type"}}
    return Response(msgspec.json.encode({"__ERROR": [error]}), response.status_code, headers, JSON)
