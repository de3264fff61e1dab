"""The regions of a page: the elements that have `data-live`, by its value, as they stand in its HTML.

What our templates make is well-formed, and what they show is escaped: an element ends where as many of its name have
ended as have begun.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

_BEGINS: Final = re.compile(r'<([a-z]+)\b[^<>]*\bdata-live="([^"<>]+)"[^<>]*>')


def regions_of(page: str) -> Mapping[str, str]:
    """Return what stands in each region of a page; one within another one is a part of that, and one of its own.

    Args:
        page: its HTML.
    """
    return {found[2]: page[found.end() : _end(page, found[1], found.end())] for found in _BEGINS.finditer(page)}


def _end(page: str, tag: str, start: int) -> int:
    depth = 1
    for found in _tags(tag).finditer(page, start):
        depth += -1 if found[0].startswith("</") else 1
        if not depth:
            return found.start()
    return len(page)


@cache
def _tags(tag: str) -> re.Pattern[str]:
    return re.compile(rf"</?{tag}\b")
