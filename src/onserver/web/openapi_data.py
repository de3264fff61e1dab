"""What the description of a web server says of classes of data: their names and URLs, and no attribute of them.

Which attributes there are, `/rest/$catalog/NAME` tells, of those that whoever asks may read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_THING: Final = {"type": "object"}
_SAVED: Final = {"anyOf": [_THING, {"type": "array", "items": _THING}]}
_JSON: Final = "application/json"


def _word(name: str, schema: Mapping[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


_TOLD: Final = [_word("$attributes", _TEXT), _word("$expand", _TEXT)]
_WHICH: Final = [_word("$filter", _TEXT), _word("$params", _TEXT)]
_PAGE: Final = [
    *_WHICH, _word("$orderby", _TEXT), _word("$skip", _COUNT), _word("$top", _COUNT), *_TOLD,
    _word("$method", {"enum": ["entityset"]}), _word("$timeout", _COUNT),
]  # fmt: skip
_KEY: Final = {"name": "key", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_SET: Final = {
    "name": "set", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"},
}  # fmt: skip
_ERROR: Final = {"$ref": "#/components/schemas/RestError"}


def data_paths(names: Iterable[str]) -> dict[str, Any]:
    """Describe the URLs of classes of data.

    Args:
        names: of the classes.
    """
    paths: dict[str, Any] = {}
    for name in names:
        paths |= {
            f"/rest/$catalog/{name}": {"get": _asked(f"describe {name}", "What it has.")},
            f"/rest/{name}": {
                "get": _asked(f"list {name}", "A page of them.", _PAGE),
                "post": _changed(f"change {name}", ["update", "delete"], [], _SAVED),
            },
            f"/rest/{name}({{key}})": {
                "get": _asked(f"read {name}", "One of them.", [_KEY, *_TOLD]),
                "post": _changed(f"drop {name}", ["delete"], [_KEY]),
            },
            f"/rest/{name}/$entityset/{{set}}": {
                "get": _asked(f"list set of {name}", "A page of a set.", [_SET, *_PAGE]),
                "post": _changed(f"end set of {name}", ["delete", "release"], [_SET]),
            },
        }
    return paths


def _asked(identity: str, text: str, parameters: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    return {"operationId": identity, "parameters": list(parameters), "responses": _responses(text)}


def _changed(
    identity: str, methods: list[str], parameters: list[Mapping[str, Any]], body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    method = _word("$method", {"enum": methods}, required=True)
    told = {
        "operationId": identity,
        "parameters": [*parameters, method, *(_WHICH if body else [])],
        "responses": _responses("What became of it."),
    }
    content = {"requestBody": {"required": False, "content": {_JSON: {"schema": body}}}}
    return told | content if body else told


def _responses(text: str) -> dict[str, Any]:
    return {
        "200": {"description": text, "content": {_JSON: {"schema": {}}}},
        "default": {"description": "An error.", "content": {_JSON: {"schema": _ERROR}}},
    }
