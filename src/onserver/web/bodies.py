"""What comes with a request: its body, bounded, and what it says by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

#: How many names a query or a form has at most.
_FIELDS: Final = 1000
_FORM: Final = "application/x-www-form-urlencoded"


class BadBody(Exception):
    """A request that cannot be read.

    Args:
        status: that the browser is told.
        text: why.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body of a request.

    Args:
        request: as it came.
        limit: bytes at most.

    Raises:
        BadBody: 413, it is longer.
    """
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > limit:
            raise BadBody(413, f"The body has more than {limit:,} bytes.")
    return bytes(read)


def texts_of(request: Request, body: bytes, *, own: bool = False) -> dict[str, str | list[str]]:
    """Answer what the query and a form say, by name; a name that comes several times has a list.

    Names that begin with `$` are the server's own and are left out, except for `own`.

    Raises:
        BadBody: 400, there are too many or they cannot be read.
    """
    pairs = _pairs(request.scope.get("query_string", b""))
    if _type_of(request) == _FORM:
        pairs = [*pairs, *_pairs(body)]
    texts: dict[str, str | list[str]] = {}
    for name, text in pairs:
        before = texts.get(name)
        texts[name] = text if before is None else [*([before] if isinstance(before, str) else before), text]
    return texts if own else {name: text for name, text in texts.items() if not name.startswith("$")}


def json_of(request: Request, body: bytes) -> tuple[Sequence[Any], dict[str, Any]] | None:
    """Answer the arguments that a body of JSON has: a list by position, an object by name; None for another body.

    Raises:
        BadBody: 400, it is no JSON; 415, it is neither JSON nor a form.
    """
    kind = _type_of(request)
    if not body or kind == _FORM:
        return None
    if kind != "application/json":
        raise BadBody(415, "The body has to be application/json or application/x-www-form-urlencoded.")
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadBody(400, f"The body is no JSON: {error}.") from error
    if isinstance(value, list):
        return value, {}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return (), cast("dict[str, Any]", value)
    raise BadBody(400, "The body has to be a list of arguments or an object of them.")


def _type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _pairs(text: bytes) -> Iterable[tuple[str, str]]:
    try:
        decoded = text.decode("utf-8")
        return parse_qsl(decoded, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except ValueError as error:  # a UnicodeDecodeError too
        raise BadBody(400, "The query or the form cannot be read.") from error
