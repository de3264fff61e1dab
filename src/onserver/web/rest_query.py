"""What a request says of data behind its `?`, read strictly.

    $filter $params          which entities (see `rest_filter`)      $method   entityset, release, update, delete
    $orderby                 `name, age desc`                        $timeout  seconds that a new set lives unused
    $skip $top $limit        how many, 100 at first                  $attributes, $expand  what is told of each

A word that is not one of these is refused, and not passed over: a misspelled `$filter` would mean everything, and with
`$method=delete` that would be the end of it. `$4DSID` is no word of REST, and is let through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from onserver.web.bodies import BadBody
from onserver.web.rest_filter import BadFilter, Filter, read_filter, read_path

#: How many entities are told where nothing is said, and at most.
TOP: Final = 100
MOST: Final = 10_000
#: How many attributes may be named.
_NAMES: Final = 100
_ALL: Final = "*"
_METHODS: Final = ("entityset", "release", "update", "delete")
_WORDS: Final = frozenset({
    "$filter", "$params", "$orderby", "$skip", "$top", "$limit", "$attributes", "$expand", "$method", "$timeout",
})  # fmt: skip
_PASSED: Final = "$4DSID"


@dataclass(frozen=True)
class Order:
    """One attribute by which entities are sorted."""

    path: tuple[str, ...]
    descending: bool = False


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked of data.

    Attributes:
        filter: which entities; None for all.
        order: by what they are sorted.
        skip: how many are left out at the beginning.
        top: how many are told.
        attributes: ways to what is told of each, `("employer", "*")` for all of a related one; empty for all it has.
        expand: names of related ones that are told with all they have.
        method: what is done; empty for reading.
        timeout: seconds that a new set lives unused; None where nothing is said.

    Example:
        >>> read_query({"$top": "5", "$orderby": "name desc"}).order
        (Order(path=('name',), descending=True),)
    """

    filter: Filter | None = None
    order: tuple[Order, ...] = ()
    skip: int = 0
    top: int = TOP
    attributes: tuple[tuple[str, ...], ...] = ()
    expand: tuple[str, ...] = ()
    method: str = ""
    timeout: int | None = None


def read_query(texts: Mapping[str, str | list[str]], names: str = "") -> Query:
    """Read what a request says.

    Args:
        texts: by name; a list where a name comes several times.
        names: attributes that the path names, `name,address`.

    Raises:
        BadBody: 400, it says something that there is not.
    """
    words = _words(texts)
    top = _number(words, "$top" if "$top" in words else "$limit", TOP)
    try:
        return Query(
            filter=_filter(words),
            order=tuple(_orders(words.get("$orderby", ""))),
            skip=_number(words, "$skip", 0),
            top=min(top, MOST),
            attributes=_paths(",".join(text for text in (names, words.get("$attributes", "")) if text)),
            expand=tuple(path[0] for path in _paths(words.get("$expand", ""))),
            method=_method(words.get("$method", "")),
            timeout=_number(words, "$timeout", 0) if "$timeout" in words else None,
        )
    except BadFilter as error:
        raise BadBody(400, f"What stands behind the `?` is wrong: {error}.") from error


def _words(texts: Mapping[str, str | list[str]]) -> dict[str, str]:
    words: dict[str, str] = {}
    for name, text in texts.items():
        if name == _PASSED:
            continue
        if name not in _WORDS:
            raise BadBody(400, f"REST has no word `{name[:40]}`; it has {', '.join(sorted(_WORDS))}.")
        if not isinstance(text, str):
            raise BadBody(400, f"`{name}` comes more than once.")
        words[name] = text
    if "$top" in words and "$limit" in words:
        raise BadBody(400, "`$top` and `$limit` mean the same: give one of them.")
    return words


def _filter(words: Mapping[str, str]) -> Filter | None:
    if not words.get("$filter", "").strip():
        if "$filter" in words:
            raise BadBody(400, "`$filter` is empty.")
        return None
    return read_filter(words["$filter"], _params(words.get("$params", "")))


def _params(text: str) -> list[Any]:
    text = text.strip()
    text = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
    try:
        return msgspec.json.decode(text or "[]", type=list[Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadBody(400, f"`$params` is no JSON list: {error}.") from error


def _orders(text: str) -> list[Order]:
    orders: list[Order] = []
    for part in _parts(text):
        path, _, way = part.partition(" ")
        way = way.strip().lower()
        if way not in {"", "asc", "desc"}:
            raise BadBody(400, f"`$orderby` has `{way[:40]}` where asc or desc should stand.")
        orders.append(Order(read_path(path), way == "desc"))
    return orders


def _paths(text: str) -> tuple[tuple[str, ...], ...]:
    paths: list[tuple[str, ...]] = []
    for part in _parts(text):
        if part == _ALL:
            return ()
        whole = part.removesuffix(f".{_ALL}")
        paths.append((*read_path(whole), *([_ALL] if whole != part else [])))
    return tuple(paths)


def _parts(text: str) -> list[str]:
    text = text.strip()
    text = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if len(parts) > _NAMES:
        raise BadBody(400, f"More than {_NAMES} attributes are named.")
    return parts


def _method(text: str) -> str:
    if text and text.lower() not in _METHODS:
        raise BadBody(400, f"`$method` is one of {', '.join(_METHODS)}.")
    return text.lower()


def _number(words: Mapping[str, str], name: str, otherwise: int) -> int:
    text = words.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadBody(400, f"`{name}` is a whole number.")
    return int(text)
