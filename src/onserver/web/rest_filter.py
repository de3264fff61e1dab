"""What `$filter` says: a small language, read strictly into a tree, of which a statement is made elsewhere.

    filter   = both {("OR" | "||") both}          attribute = NAME {"." NAME}
    both     = one {("AND" | "&&" | "EXCEPT") one}  value     = TEXT in quotes | number | true | false | null
    one      = ["NOT"] ("(" filter ")" | compare)             | word without blanks | :1, of `$params`
    compare  = attribute comparator value         comparator = = == != # > >= < <= begin in

Words are read in any case; `A EXCEPT B` is A and not B. `in` takes a list of `$params`. A text with `@` stands for all
that fit, `@` for any letters. Nothing here is ever part of a statement's text: names are looked up, values are bound.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

#: How long a filter may be, how deep, and how many comparisons it may have.
LONGEST: Final = 4_000
_DEEPEST: Final = 20
_MOST: Final = 100

Comparator: TypeAlias = Literal["=", "!=", ">", ">=", "<", "<=", "begin", "in"]
_COMPARATORS: Final[dict[str, Comparator]] = {
    "=": "=", "==": "=", "===": "=", "!=": "!=", "!==": "!=", "#": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<=",
    "begin": "begin", "in": "in",
}  # fmt: skip
_CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
         |(?P<sign>===?|!==?|>=|<=|&&|\|\||[=\#<>()])
         |(?P<word>[^\s=!<>()&|"'\#][^\s=!<>()&|"']*))""",
    re.VERBOSE,
)
_PATH: Final = re.compile(r"[^\W\d]\w{0,200}(\.[^\W\d]\w{0,200}){0,3}")
_NUMBER: Final = re.compile(r"-?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,3})?")
_PLACE: Final = re.compile(r":([1-9]\d{0,2})")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class BadFilter(ValueError):
    """A filter that says nothing; its text says what is wrong."""


@dataclass(frozen=True)
class Compare:
    """One comparison: an attribute, or one of a related class, with a value."""

    path: tuple[str, ...]
    comparator: Comparator
    value: Any


@dataclass(frozen=True)
class Not:
    """What does not fit."""

    of: Filter


@dataclass(frozen=True)
class All:
    """What fits every part."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Some:
    """What fits one of the parts."""

    parts: tuple[Filter, ...]


Filter: TypeAlias = Compare | Not | All | Some


def read_filter(text: str, params: Sequence[Any] = ()) -> Filter:
    """Read a filter.

    Args:
        text: as it was sent, its outer quotation marks included or not.
        params: what `:1`, `:2` … stand for.

    Raises:
        BadFilter: it says nothing.

    Example:
        >>> read_filter('"NOT age > 30"')
        Not(of=Compare(path=('age',), comparator='>', value=30))
    """
    if len(text) > LONGEST:
        raise BadFilter(f"it is longer than {LONGEST:,} letters")
    return _Reader(_tokens(_bare(text)), params).whole()


def read_path(text: str) -> tuple[str, ...]:
    """Read the name of an attribute, or a way to one of a related class: `employer.name`.

    Raises:
        BadFilter: it is none.
    """
    if not _PATH.fullmatch(text):
        raise BadFilter(f"`{text[:40]}` is no attribute")
    return tuple(text.split("."))


class _Reader:
    """Reads one filter.

    Args:
        tokens: its parts.
        params: see `read_filter`.
    """

    def __init__(self, tokens: list[str], params: Sequence[Any]) -> None:
        self._tokens = tokens
        self._params = params
        self._next = 0
        self._deep = self._compared = 0

    def whole(self) -> Filter:
        """Read all of it."""
        found = self._some()
        if self._next < len(self._tokens):
            raise BadFilter(f"`{self._tokens[self._next][:40]}` stands where AND or OR should")
        return found

    def _some(self) -> Filter:
        parts = [self._all()]
        while self._word() in {"or", "||"}:
            self._take()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _all(self) -> Filter:
        parts = [self._one()]
        while (word := self._word()) in {"and", "&&", "except"}:
            self._take()
            part = self._one()
            parts.append(Not(part) if word == "except" else part)
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Filter:
        if self._word() == "not":
            self._take()
            return Not(self._inside(self._one))
        if self._word() != "(":
            return self._compare()
        self._take()
        found = self._inside(self._some)
        if self._take() != ")":
            raise BadFilter("a parenthesis is not closed")
        return found

    def _inside(self, read: Any) -> Filter:
        self._deep += 1
        if self._deep > _DEEPEST:
            raise BadFilter(f"it is deeper than {_DEEPEST}")
        found = cast("Filter", read())
        self._deep -= 1
        return found

    def _compare(self) -> Filter:
        self._compared += 1
        if self._compared > _MOST:
            raise BadFilter(f"it has more than {_MOST} comparisons")
        path = read_path(self._take())
        sign = self._take()
        comparator = _COMPARATORS.get(sign.lower())
        if comparator is None:
            raise BadFilter(f"`{sign[:40]}` is no comparator; there are = != > >= < <= begin in")
        value = self._value(self._take())
        if (comparator == "in") != isinstance(value, list):
            raise BadFilter("`in` takes a list of `$params`, and nothing else does")
        if comparator == "begin" and not isinstance(value, str):
            raise BadFilter("`begin` takes a text")
        return Compare(path, comparator, value)

    def _value(self, token: str) -> Any:
        """Return what a token stands for."""
        if token[0] in "\"'":
            return _ESCAPED.sub(r"\1", token[1:-1])
        if token in _COMPARATORS or token in {"(", ")", "&&", "||"}:
            raise BadFilter(f"`{token}` stands where a value should")
        place = _PLACE.fullmatch(token)
        if place:
            return self._param(int(place[1]))
        if token.lower() in _CONSTANTS:
            return _CONSTANTS[token.lower()]
        if _NUMBER.fullmatch(token):
            return float(token) if set(token) & set(".eE") else int(token)
        return token

    def _param(self, number: int) -> Any:
        if number > len(self._params):
            raise BadFilter(f"`:{number}` is not in `$params`, which has {len(self._params)}")
        return self._params[number - 1]

    def _word(self) -> str:
        return self._tokens[self._next].lower() if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        if self._next >= len(self._tokens):
            raise BadFilter("it ends where something is missing")
        self._next += 1
        return self._tokens[self._next - 1]


def _bare(text: str) -> str:
    """Return a text without the quotation marks around all of it."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise BadFilter(f"`{text[place : place + 20].strip()}` cannot be read")
        tokens.append(found[found.lastgroup or 0])
        place = found.end()
    return tokens
