"""JSON read with the line of each value, so that what is wrong in a file can be pointed at.

The standard library's reader decides what is JSON; a walk over the same text then notes where each value stands. An
object that has one name twice is no error for that reader, which keeps the last: for a file that says who may do what
it is one, and the walk notes it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias

#: Where a value stands in the document: names of objects and indexes of lists, from the top.
Place: TypeAlias = tuple[str | int, ...]

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()


class NotJson(Exception):
    """The text is no JSON."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem, line)
        self.problem, self.line = problem, line


@dataclass
class Document:
    """What a text says, and where.

    Attributes:
        value: what it says.
        lines: the line of each value, counted from 1.
        twice: names that an object has more than once, with the line of the later one.
    """

    value: object
    lines: dict[Place, int] = field(default_factory=dict[Place, int])
    twice: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])


def read_json(data: bytes) -> Document:
    """Read a document.

    Args:
        data: the file's content, UTF-8, with or without the mark that some editors put first.

    Raises:
        NotJson: it is none; with the line where that is known.
    """
    try:
        text = data.decode("utf-8-sig")
        document = Document(json.loads(text, parse_constant=_no_constant))
        _Walk(text, document).value(0, ())
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg[:1].lower()}{error.msg[1:]} (column {error.colno})", error.lineno) from error
    except UnicodeDecodeError as error:
        raise NotJson("it is not UTF-8", data.count(b"\n", 0, error.start) + 1) from error
    except RecursionError as error:
        raise NotJson("it is nested too deeply") from error
    except ValueError as error:  # a number that Python refuses to read
        raise NotJson(str(error)) from error
    return document


class _Walk:
    """Notes the places of a text that is known to be JSON."""

    def __init__(self, text: str, document: Document) -> None:
        self._text = text
        self._document = document
        self._breaks = [found.start() for found in re.finditer("\n", text)]

    def value(self, at: int, place: Place) -> int:
        """Note the value that begins here, and return where it ends."""
        at = self._skip(at)
        self._document.lines.setdefault(place, self._line(at))
        opening = self._text[at]
        if opening == "{":
            return self._object(self._skip(at + 1), place)
        if opening == "[":
            return self._list(self._skip(at + 1), place)
        return _DECODER.raw_decode(self._text, at)[1]

    def _object(self, at: int, place: Place) -> int:
        names: set[str] = set()
        while self._text[at] != "}":
            name, after = _DECODER.raw_decode(self._text, at)
            if name in names:
                self._document.twice.append((name, self._line(at)))
            names.add(name)
            self._document.lines[*place, name] = self._line(at)
            at = self._next(self.value(self._skip(after) + 1, (*place, name)))
        return at + 1

    def _list(self, at: int, place: Place) -> int:
        index = 0
        while self._text[at] != "]":
            at = self._next(self.value(at, (*place, index)))
            index += 1
        return at + 1

    def _next(self, at: int) -> int:
        at = self._skip(at)
        return self._skip(at + 1) if self._text[at] == "," else at

    def _skip(self, at: int) -> int:
        found = _BLANK.match(self._text, at)
        return found.end() if found else at

    def _line(self, at: int) -> int:
        return bisect_right(self._breaks, at) + 1


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
