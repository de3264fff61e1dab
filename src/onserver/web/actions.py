"""`/action/NAME` and `/4DACTION/NAME`: what is published, at a URL.

| published | runs | answer |
|---|---|---|
| a server method | in a worker, in the session of the web that asks | what it returns |
| a procedure, by POST | in a worker, in the stored-procedure session | 202, with its number and where to look |

What comes behind the name is one argument, a text: `/4DACTION/photo/smith`. A query and a form are arguments by name,
texts that become what the annotations of the parameters say; a body of JSON is a list of arguments or an object of
them. `on_web_authentication` is asked first, and only then is looked whether there is such a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onserver.process.put import Sender
from onserver.process.server_method import ServerMethod
from onserver.server import Server
from onserver.web.answers import answer_of, problem
from onserver.web.bodies import json_of, read_body, texts_of
from onserver.web.calling import call_method, typed
from onserver.web.door import Door, told
from onserver.web.published import find_published
from onserver.web.threads import Threads


class Actions:
    """The published procedures and methods of one web server, at their URLs.

    Args:
        server: the loaded project.
        door: of this web server.
        component: whose web server it is; empty for the project's own.
    """

    def __init__(self, server: Server, door: Door, component: str = "") -> None:
        self._server = server
        self._door = door
        self._component = component

    def routes(self) -> list[Route]:
        """Answer the routes."""
        paths = [
            f"/{word}/{{name}}{rest}" for word in ("action", "4DACTION", "4daction") for rest in ("", "/{text:path}")
        ]
        return [Route(path, self._answer, methods=["GET", "POST"]) for path in paths]

    async def _answer(self, request: Request) -> Response:
        server, name = self._server, request.path_params["name"]
        body = await read_body(request, server.settings.web.max_body_bytes)
        await self._server.part(Threads).run(self._door.admit, told(request, body))
        found = find_published(server, name, self._component)
        if found is None:
            return problem(404, "Not found.")
        if request.method == "HEAD":
            return problem(405, "What runs code is not asked for its head.", headers={"Allow": "GET, POST"})
        args, kwargs = self._arguments(request, body, found)
        if isinstance(found, ServerMethod):
            value = await call_method(server, found, args, kwargs)
            return answer_of(value, found.answers)
        if request.method != "POST":
            return problem(405, "A process is started by POST.", headers={"Allow": "POST"})
        process = await self._server.part(Threads).run(server.part(Sender).put, found.order, args, kwargs)
        where = f"{request.scope.get('root_path', '')}/processes/{process.number}"
        started = answer_of({"process": process.number, "procedure": found.name, "location": where}, status=202)
        started.headers["Location"] = where
        return started

    def _arguments(self, request: Request, body: bytes, found: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        by_name = typed(found, texts_of(request, body))
        given = json_of(request, body)
        args, kwargs = given or ((), {})
        text = request.path_params.get("text", "")
        return ((text, *args) if text else args), {**by_name, **kwargs}
