"""Which keys a backup has, told by the words with which they begin: for each key that is read, and for each write.

`keys` says it of each pattern. The scripts look at a key's first word, or its first two where the first does not tell
(`st:e` is saved and `st:l` is not): `lua/fragments/mark.lua` has the same words.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

from onserver.redis.keys import CATALOGUE

Part = Literal["server", "storage", "processes", "schedule"]
PARTS: Final[tuple[Part, ...]] = ("server", "storage", "processes", "schedule")


@cache
def words() -> dict[str, Part]:
    """The words with which saved keys begin, and the part of a backup to which they belong."""
    fates: dict[str, set[str]] = {}
    for key in CATALOGUE:
        fates.setdefault(key.pattern.split(":")[0], set()).add(key.saved)
    found: dict[str, Part] = {}
    for key in CATALOGUE:
        pieces = key.pattern.split(":")
        word = pieces[0] if len(fates[pieces[0]]) == 1 else ":".join(pieces[:2])
        found.update((word, part) for part in PARTS if part == key.saved)
    return found


def part_of(key: str) -> Part | None:
    """The part of a backup to which a key belongs, without the server's prefix; None when no backup has it."""
    first, _, rest = key.partition(":")
    known = words()
    return known.get(first) or known.get(f"{first}:{rest.partition(':')[0]}")
