"""What a web server offers, as an OpenAPI description, made of what the project has published: `/openapi.json`.

Parameters and results are described by their annotations, as far as these can be: what cannot be described may be
anything. What is not published is not in it. It is made anew for each request, since a reload may have changed it.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onserver.process.procedure import Procedure
from onserver.process.server_method import ServerMethod
from onserver.server import Server
from onserver.web.answers import answer_of
from onserver.web.openapi_data import data_paths
from onserver.web.published import published
from onserver.web.rest_functions import singleton_functions
from onserver.web.rest_source import source_of

_VERSION: Final = "3.1.0"
_JSON: Final = "application/json"
_REF: Final = "#/components/schemas/{name}"

_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "message"],
            "properties": {
                "status": {"type": "integer"},
                "message": {"type": "string"},
                "code": {"type": "integer"},
            },
        }
    },
}
_REST_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["__ERROR"],
    "properties": {
        "__ERROR": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message", "componentSignature", "errCode"],
                "properties": {
                    "message": {"type": "string"},
                    "componentSignature": {"type": "string"},
                    "errCode": {"type": "integer"},
                },
            },
        }
    },
}
_STARTED: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["process", "procedure", "location"],
    "properties": {
        "process": {"type": "integer"},
        "procedure": {"type": "string"},
        "location": {"type": "string"},
    },
}
_NUMBER: Final[Mapping[str, Any]] = {
    "name": "number",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}


def openapi_routes(server: Server, component: str = "") -> Sequence[Route]:
    """Make the route of the description.

    Args:
        server: the loaded project.
        component: whose web server it is; empty for the project's own.
    """

    def answer(_request: Request) -> Response:
        return answer_of(describe(server, component))

    return [Route("/openapi.json", answer, methods=["GET"])]


def describe(server: Server, component: str = "") -> dict[str, Any]:
    """Make the description.

    Args:
        server: the loaded project.
        component: whose web server it is; empty for the project's own.
    """
    paths: dict[str, Any] = dict(_fixed_paths())
    schemas: dict[str, Any] = {"Error": _ERROR, "RestError": _REST_ERROR, "Started": _STARTED}
    for offered in published(server, component):
        types = _Types(offered)
        schemas |= types.components
        paths[f"/action/{offered.name}"] = _action(offered, types)
        if isinstance(offered, ServerMethod):
            paths[f"/rest/$catalog/{offered.name}"] = {"post": _function(offered, types)}
    for method in singleton_functions(server, component):
        types = _Types(method)
        schemas |= types.components
        paths[f"/rest/$singleton/{method.singleton}/{method.function_name}"] = {"post": _function(method, types)}
    source = source_of(server)
    if source is not None:
        paths |= data_paths(one.name for one in source.dataclasses())
    return {
        "openapi": _VERSION,
        "info": {"title": component or server.name, "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


class _Types:
    """The annotations of a procedure, as JSON Schemas.

    Args:
        offered: the procedure.
    """

    def __init__(self, offered: Procedure[..., Any]) -> None:
        self.components: dict[str, Any] = {}
        try:
            self._hints = typing.get_type_hints(offered.function)
        except Exception:  # noqa: BLE001  # an annotation that cannot be read here: it may be anything
            self._hints = {}
        parameters = list(inspect.signature(offered.function).parameters.values())
        self.parameters = parameters[1:] if offered.pass_process else parameters

    def of(self, name: str) -> dict[str, Any]:
        """Answer the schema of a parameter, or of `return`; an empty one, which takes anything, where there is none."""
        if name not in self._hints:
            return {}
        try:
            (schema,), components = msgspec.json.schema_components([self._hints[name]], ref_template=_REF)
        except (TypeError, NameError):  # a type that msgspec has no schema of
            return {}
        self.components |= components
        return schema


def _action(offered: Procedure[..., Any], types: _Types) -> dict[str, Any]:
    by_name = [one for one in types.parameters if one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}]
    query = [
        {
            "name": one.name,
            "in": "query",
            "required": one.default is one.empty,
            "schema": types.of(one.name),
        }
        for one in by_name
    ]
    post = {
        **_told(offered, "start" if not isinstance(offered, ServerMethod) else "post"),
        "requestBody": {"required": False, "content": {_JSON: {"schema": _arguments(types)}}},
        "responses": _responses(offered, types),
    }
    if not isinstance(offered, ServerMethod):
        return {"post": post}
    get = {**_told(offered, "get"), "parameters": query, "responses": _responses(offered, types)}
    return {"get": get, "post": post}


def _function(offered: ServerMethod[..., Any], types: _Types) -> dict[str, Any]:
    result = {"type": "object", "required": ["result"], "properties": {"result": types.of("return")}}
    return {
        **_told(offered, "call"),
        "requestBody": {"required": False, "content": {_JSON: {"schema": _list(types)}}},
        "responses": {"200": _content("What it returns.", result), "default": _content("An error.", _ref("RestError"))},
    }


def _responses(offered: Procedure[..., Any], types: _Types) -> dict[str, Any]:
    error = {"default": _content("An error.", _ref("Error"))}
    if not isinstance(offered, ServerMethod):
        return {"202": _content("It was started.", _ref("Started")), **error}
    text = offered.answers or "text/plain"
    content = {_JSON: {"schema": types.of("return")}, text: {"schema": {"type": "string"}}}
    value = {"description": "What it returns.", "content": content}
    return {"200": value, "204": {"description": "It returns nothing."}, **error}


def _arguments(types: _Types) -> dict[str, Any]:
    named = {one.name: types.of(one.name) for one in types.parameters if one.kind is not one.POSITIONAL_ONLY}
    return {"anyOf": [{"type": "object", "properties": named}, _list(types)]}


def _list(types: _Types) -> dict[str, Any]:
    places = [one for one in types.parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
    more = any(one.kind is one.VAR_POSITIONAL for one in types.parameters)
    schema: dict[str, Any] = {"type": "array"}
    if places:
        schema["prefixItems"] = [types.of(one.name) for one in places]
        schema["minItems"] = sum(one.default is one.empty for one in places)
    if not more:
        schema["maxItems"] = len(places)
    return schema


def _fixed_paths() -> Mapping[str, Any]:
    thing = {"type": "object"}
    rest_error = {"default": _content("An error.", _ref("RestError"))}
    error = {"404": _content("It is not there, or another session's.", _ref("Error"))}
    events = {"description": "What becomes of it.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    nothing = {"description": "Everything was seen."}
    return {
        "/rest/$catalog": {
            "get": {"operationId": "catalog", "responses": {"200": _content("What there is.", thing), **rest_error}}
        },
        "/rest/$info": {
            "get": {"operationId": "info", "responses": {"200": _content("How it stands.", thing), **rest_error}}
        },
        "/processes/{number}": {
            "get": {
                "operationId": "process",
                "parameters": [_NUMBER],
                "responses": {"200": _content("How it stands.", thing), **error},
            }
        },
        "/processes/{number}/events": {
            "get": {
                "operationId": "events",
                "parameters": [_NUMBER],
                "responses": {"200": events, "204": nothing, **error},
            }
        },
    }


def _told(offered: Procedure[..., Any], way: str) -> dict[str, Any]:
    text = inspect.getdoc(offered.function) or ""
    told = {"operationId": f"{way} {offered.name}", "summary": text.partition("\n")[0]}
    return {name: fact for name, fact in told.items() if fact}


def _content(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": schema}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(name=name)}
