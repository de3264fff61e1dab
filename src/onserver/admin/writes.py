"""What every write has in common: it is from our own pages, its body is bounded, and a thread answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from onserver.admin.replies import Replies
from onserver.admin.shield import from_elsewhere
from onserver.web.bodies import BadBody, read_body
from onserver.web.threads import Threads

#: The longest body: an import of storage is the longest that there is.
MOST_BYTES: Final = 2**24
_MOST_FIELDS: Final = 10_000


@dataclass(frozen=True)
class Form:
    """What was sent.

    Attributes:
        texts: the last value of each name.
        lists: all values of each name, as of several rows that were chosen.
    """

    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    lists: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])

    def text(self, name: str) -> str:
        """Return a value; empty where there is none."""
        return self.texts.get(name, "")


async def writing(replies: Replies, request: Request, write: Callable[[Request, Form], Response]) -> Response:
    """Answer a write, or refuse it.

    Args:
        replies: of the page.
        request: as it came.
        write: does it, in a thread.
    """
    why = from_elsewhere(request)
    if why:
        return replies.told(request, 403, f"Refused: {why}.")
    try:
        form = form_of(request, await read_body(request, MOST_BYTES))
    except BadBody as error:
        return replies.told(request, error.status, str(error))

    def body() -> Response:
        try:
            return write(request, form)
        except Exception as error:  # noqa: BLE001  # whatever it was, the browser gets an answer
            return replies.failed(request, error)

    return await replies.server.part(Threads).run(body)


def form_of(request: Request, body: bytes) -> Form:
    """Read a form, or an object of JSON, whose values become texts.

    Raises:
        BadBody: 400, it cannot be read; 415, it is neither.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body:
        return Form()
    if kind == "application/json":
        return _of_json(body)
    if kind != "application/x-www-form-urlencoded":
        raise BadBody(415, "The body has to be application/x-www-form-urlencoded or application/json.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise BadBody(400, "The form cannot be read.") from error
    lists: dict[str, list[str]] = {}
    for name, text in pairs:
        lists.setdefault(name, []).append(text)
    return Form({name: texts[-1] for name, texts in lists.items()}, lists)


def _of_json(body: bytes) -> Form:
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadBody(400, f"The body is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise BadBody(400, "The body has to be an object of JSON.")
    texts, lists = dict[str, str](), dict[str, list[str]]()
    for name, given in cast("dict[str, Any]", value).items():
        lists[name] = [_text(one) for one in (given if isinstance(given, list) else [given])]  # pyright: ignore[reportUnknownVariableType]
        texts[name] = _text(given)
    return Form(texts, lists)


def _text(value: Any) -> str:
    """Return a value as a form has it: text as it is, nothing for null, everything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
