"""The pages of the documentation, and the blocks of code in them: for the tests that run them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of a page."""

    line: int
    language: str
    text: str
    file: str = ""
    """The file that it is, where the line above names one."""


def blocks(page: Path) -> list[Block]:
    """All of a page, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    made = []
    for found in _BLOCK.finditer(text):
        file = re.search(r"`(\S+\.(?:json|html))`:\n+$", text[: found.start()])
        made.append(Block(text.count("\n", 0, found.start()) + 2, found[1], found[2], file[1] if file else ""))
    return made
