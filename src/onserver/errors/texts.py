"""How the texts of errors are put together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast


def place(source: str, line: int | None) -> str:
    """Name a file and, where it is known, the line."""
    file = source if source.startswith("the ") else f"`{source}`"
    return f"{file} line {line}" if line else file


def named(where: str) -> str:
    """Put the path in backticks, and not the noun before it: ``Argument rates["EUR"]``."""
    noun, space, path = where.partition(" ")
    return f"{noun} `{path}`" if space and noun.isalpha() else f"`{where}`"


def entry(name: str) -> str:
    """Name what a lock is on; the root has no name."""
    if name.startswith(("semaphore ", "the end of #")):
        return name
    return f"`{name}`" if name else "the root"


def count(number: int, one: str, many: str) -> str:
    """Put a number before its noun."""
    return f"{number} {one if number == 1 else many}"


def plain(fact: object) -> object:
    """Make a fact ready for JSON."""
    if fact is None or isinstance(fact, (bool, int, float, str)):
        return fact
    if isinstance(fact, datetime):
        return fact.isoformat()
    if isinstance(fact, (list, tuple)):
        return [plain(item) for item in cast("Sequence[object]", fact)]
    return repr(fact)
