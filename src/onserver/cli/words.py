"""Words of the command line, read as values: JSON where a word is JSON, text otherwise."""

import json
import re
from collections.abc import Sequence
from typing import Any

_NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)")


def value(word: str) -> Any:
    """Read one word: `2`, `1.5`, `true`, `null`, `"2"`, `[1,2]` and `{"a":1}` are JSON, all else is text.

    `NaN` and `Infinity`, which Python's reader takes for numbers, are text: they are no JSON.
    """
    try:
        return json.loads(word, parse_constant=_no_constant)
    except ValueError:
        return word


def arguments(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Read the words after a procedure: `name=value` is a named argument, all else a positional one.

    A text that has an equals sign in it is written as JSON: `'"a=b"'`.
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for word in words:
        if match := _NAMED.fullmatch(word):
            named[match[1]] = value(match[2])
        else:
            positional.append(value(word))
    return positional, named


def from_json(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Read arguments that are one JSON text: a list is positional, an object is named.

    Raises:
        ValueError: It is neither, or no JSON.
    """
    found: Any = json.loads(text, parse_constant=_no_constant)
    kind = type(found).__name__
    if kind == "list":
        return found, {}
    if kind == "dict":
        return [], found
    raise ValueError(f"a list or an object is wanted, not {json.dumps(found)}")


def seconds(text: str) -> float:
    """Read a length of time: `90`, `1.5`, `250ms`, `30s`, `10m`, `2h`, `1d`; without a unit it is seconds.

    Raises:
        ValueError: It has another form.
    """
    if match := _SECONDS.fullmatch(text.strip()):
        return float(match[1]) * _UNITS[match[2]]
    raise ValueError(f"`{text}` is no length of time: write 90, 250ms, 30s, 10m, 2h or 1d")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
