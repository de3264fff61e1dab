"""The functions that REST calls: published server methods, and those of session singletons.

    POST /rest/$catalog/NAME              a server method          arguments: a JSON list; the answer: {"result": …}
    POST /rest/$singleton/CLASS/FUNCTION  what `@published` opens

A name may be an unambiguous end of the full one. Each call runs in a worker, in the session of the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from onserver.process.server_method import ServerMethod
from onserver.process.singleton_method import SingletonMethod
from onserver.registry import find_name
from onserver.server import Server
from onserver.web.answers import HEADERS, JSON
from onserver.web.bodies import BadBody, read_body
from onserver.web.calling import call_method
from onserver.web.published import find_published, is_of, published
from onserver.web.rest_path import CATALOG, SINGLETON, RestPath

_NO_GET: Final = {"allowedOnHTTPGET": False}


def functions(server: Server, component: str = "") -> list[ServerMethod[..., Any]]:
    """Answer the published server methods, in the order of declaration."""
    return [one for one in published(server, component) if isinstance(one, ServerMethod)]


def singleton_functions(server: Server, component: str = "") -> list[SingletonMethod[..., Any]]:
    """Answer the published functions of singletons, in the order of declaration."""
    declared = server.registry.all()
    found = [cast("SingletonMethod[..., Any]", one) for one in declared if isinstance(one, SingletonMethod)]
    return [one for one in found if not component or is_of(one.function, component)]


def find_function(server: Server, path: RestPath, component: str = "") -> ServerMethod[..., Any] | None:
    """Answer the function that a path names; None where there is none."""
    if path.word == CATALOG and len(path.names) == 1:
        found = find_published(server, path.names[0], component)
        return found if isinstance(found, ServerMethod) else None
    if path.word == SINGLETON and len(path.names) == 2:
        offered = {one.name: one for one in singleton_functions(server, component)}
        name, _ = find_name(".".join(path.names), offered)
        return offered[name] if name is not None and offered[name].function_name == path.names[1] else None
    return None


def catalog_of_functions(server: Server, component: str = "") -> dict[str, Any]:
    """Answer what `$catalog` tells of functions."""
    singletons: dict[str, list[dict[str, Any]]] = {}
    for one in singleton_functions(server, component):
        singletons.setdefault(one.singleton, []).append({"name": one.function_name, **_NO_GET})
    return {
        "methods": [{"name": one.name, "applyTo": "dataStore", **_NO_GET} for one in functions(server, component)],
        "singletons": [{"name": name, "methods": methods} for name, methods in singletons.items()],
    }


async def called(server: Server, method: ServerMethod[..., Any], request: Request) -> Response:
    """Call a function with the arguments that a request has, and answer its result."""
    body = await read_body(request, server.settings.web.max_body_bytes)
    result = await call_method(server, method, arguments_of(body), {})
    return Response(msgspec.json.encode({"result": result}), 200, HEADERS, JSON)


def arguments_of(body: bytes) -> Sequence[Any]:
    """Read the arguments that a body has: a JSON list, or nothing.

    Raises:
        BadBody: it is something else.
    """
    try:
        return msgspec.json.decode(body or b"[]", type=list[Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(400, f"The body is no JSON list, which arguments are, in their order: {error}.") from error
