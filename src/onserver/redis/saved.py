"""Which keys a backup has, told by the words with which they begin: for each key that is read, and for each write.

`catalogue` says it of each pattern. The scripts look at a key's first word, or its first two where the first does not
tell (`st:e` is saved and `st:l` is not); of the storage of a session its first and third (`ss:e` of `ss:ID:e:ENTRY`).
`lua/fragments/mark.lua` has the same words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, Literal

from onserver.redis.catalogue import CATALOGUE, Key

Part = Literal["server", "storage", "sessions", "processes", "schedule"]
PARTS: Final[tuple[Part, ...]] = ("server", "storage", "sessions", "processes", "schedule")

#: Parts from which derived keys are made, where that is not the processes.
_MADE_FROM: Final[Mapping[str, Part]] = {
    "st:index": "storage",
    **dict.fromkeys(("sessions", "sk", "su", "rotated", "ss:index"), "sessions"),
}
_OF_SESSION: Final = "ss"


@cache
def words() -> dict[str, Part]:
    """The words with which saved keys begin, and the part of a backup to which they belong."""
    return {word: part for word, key in _beginnings() for part in PARTS if part == key.saved}


@cache
def derived_words() -> dict[str, Part]:
    """The words with which those begin that are made anew from saved ones, and the part from which they are."""
    derived = [word for word, key in _beginnings() if key.saved == "derived"]
    return {word: _MADE_FROM.get(word, "processes") for word in derived}


def _beginnings() -> Iterator[tuple[str, Key]]:
    fates: dict[str, set[str]] = {}
    for key in CATALOGUE:
        fates.setdefault(key.pattern.split(":")[0], set()).add(key.saved)
    for key in CATALOGUE:
        first = key.pattern.split(":")[0]
        yield first if len(fates[first]) == 1 else _two_words(key.pattern), key


def _two_words(key: str) -> str:
    first, *rest = key.split(":", 3)
    which = 1 if first == _OF_SESSION else 0
    return f"{first}:{rest[which] if len(rest) > which else ''}"


def part_of(key: str) -> Part | None:
    """The part of a backup to which a key belongs, without the server's prefix; None when no backup has it."""
    return _look_up(key, words())


def made_from(key: str) -> Part | None:
    """The part from which a derived key is made; None for any other key."""
    return _look_up(key, derived_words())


def _look_up(key: str, known: Mapping[str, Part]) -> Part | None:
    return known.get(key.partition(":")[0]) or known.get(_two_words(key))
