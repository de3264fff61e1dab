"""Pages: the files of `pages/`, written anew for each request, with `session` and the original's tags in them.

    /                 pages/index.html, the home page
    /shop/list.html   pages/shop/list.html
    anything else     `on_web_authentication`, then `on_web_connection`; 404 where nothing is sent

A page ends in `.html`, `.htm`, `.shtml` or `.shtm`; what begins with `_` or `.` is a part of pages and none itself.
They are Jinja's templates, in its sandbox, with markup in values shown as text; `session` is the session of the
request, None where the web server keeps none. Everything else (styles, images) is for the server in front.

A page is in a web server's own folder: `pages/` of the project, or of the component whose web server it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onserver.errors import ProcedureNotFound
from onserver.life.web_arguments import WebRequest
from onserver.process.server_method import ServerMethod
from onserver.server import Server
from onserver.session.context import session
from onserver.web.answers import HEADERS, answer_of, problem
from onserver.web.bodies import read_body
from onserver.web.calling import call_method_here
from onserver.web.door import Door, told
from onserver.web.published import find_published, published
from onserver.web.tags import CALL, Tags, as_answered, as_html, as_text
from onserver.web.threads import Threads

FOLDER: Final = "pages"
_HOME: Final = "index.html"
_SUFFIXES: Final = frozenset({".html", ".htm", ".shtml", ".shtm"})


class Pages:
    """The pages of one web server.

    Args:
        server: the loaded project.
        door: of this web server.
        folder: where they are; it need not be there.
        component: whose web server it is; empty for the project's own.
    """

    def __init__(self, server: Server, door: Door, folder: Path, component: str = "") -> None:
        self._server = server
        self._door = door
        self._component = component
        self._environment = _environment(folder, code_tags=server.settings.web.code_tags)

    def routes(self) -> list[Route]:
        """Answer the route, which takes every path."""
        return [Route("/{path:path}", self._answer, methods=["GET", "POST"])]

    async def _answer(self, request: Request) -> Response:
        body = await read_body(request, self._server.settings.web.max_body_bytes)
        asked = told(request, body)
        return await self._server.part(Threads).run(self._written, asked, request.path_params["path"])

    def _written(self, asked: WebRequest, path: str) -> Response:
        template = self._found(path or _HOME)
        if template is None:
            return self._connected(asked)
        text = template.render({"session": session(), CALL: self._calls(asked)})
        return Response(text, headers=HEADERS, media_type="text/html")

    def _found(self, path: str) -> Template | None:
        if Path(path).suffix.lower() not in _SUFFIXES or any(part[:1] in {"", "_", "."} for part in path.split("/")):
            return None
        try:
            return self._environment.get_template(path)
        except TemplateNotFound:
            return None

    def _connected(self, asked: WebRequest) -> Response:
        self._door.admit(asked)
        answer = self._door.connect(asked)
        return problem(404, "Not found.") if answer is None else answer_of(answer)

    def _calls(self, asked: WebRequest) -> Callable[[str, str], Markup]:
        """What 4DSCRIPT calls in one request: the first asks at the door."""
        admitted: list[bool] = []

        def call(name: str, text: str) -> Markup:
            if not admitted:
                self._door.admit(asked)
                admitted.append(True)
            found = find_published(self._server, name, self._component)
            if not isinstance(found, ServerMethod):
                raise ProcedureNotFound(name, (), len(published(self._server, self._component)))
            return as_answered(call_method_here(self._server, found, (text,) if text else (), {}))

        return call


def _environment(folder: Path, *, code_tags: bool) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, extensions=["jinja2.ext.do"]
    )
    environment.extend(code_tags=code_tags)
    environment.add_extension(Tags)
    filters: dict[str, Callable[[Any], Markup]] = {"onserver_text": as_text, "onserver_html": as_html}
    environment.filters.update(filters)
    return environment
