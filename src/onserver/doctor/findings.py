"""What the doctor finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: `well`: as it ought to be; `note`: worth knowing, and wrong for who is strict; `wrong`: something is to be done.
Level: TypeAlias = Literal["well", "note", "wrong"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at, in a word that stays the same from release to release.
        level: how it is.
        text: what was found, with its value.
        cure: what to do.
        mend: does it, and answers what it has done; None where nobody but a person can.
    """

    check: str
    level: Level
    text: str
    cure: str = ""
    mend: Callable[[], str] | None = None


def well(check: str, text: str) -> Finding:
    """As it ought to be."""
    return Finding(check=check, level="well", text=text)


def note(check: str, text: str, cure: str = "", mend: Callable[[], str] | None = None) -> Finding:
    """Worth knowing."""
    return Finding(check=check, level="note", text=text, cure=cure, mend=mend)


def wrong(check: str, text: str, cure: str = "", mend: Callable[[], str] | None = None) -> Finding:
    """Something is to be done."""
    return Finding(check=check, level="wrong", text=text, cure=cure, mend=mend)
