"""From one key layout to the next: what a release does once with the keys that an older one wrote.

The layout of a server stands in the hash `server`, and every connection looks at it first: a program of another layout
does nothing. While keys are being brought into layout N the number there is -N, so that nobody works with them, and
`migrated` is how far that has come. A step may be done twice, since whoever does it can be killed between the step and
the note of it; killed anywhere, it goes on from there when it is asked for again. There is no way back but a backup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from onserver.redis.store import LAYOUT, Store


@dataclass(frozen=True, kw_only=True)
class Migration:
    """The way from one layout to the next.

    Attributes:
        to: the layout that it leads to, from the one before.
        what: what it does, for people.
        step: does a part, from a position on ("" the beginning), and answers the next position, "" at the end. What it
            has done already it may be asked to do again.
    """

    to: int
    what: str
    step: Callable[[Store, str], str]


#: The layout of this release.
NEWEST: Final = LAYOUT
#: All there are, in order. Layout 1 is the first that was released, so there is none yet.
MIGRATIONS: Final[list[Migration]] = []


class InUse(Exception):
    """Members are there, so that the keys may be in use; how many."""


def way(found: int, wanted: int) -> Sequence[Migration]:
    """What is to be done one after the other, to come from one layout to another; a negative one is half done."""
    first = -found if found < 0 else found + 1
    return [one for one in MIGRATIONS if first <= one.to <= wanted]


def migrate(store: Store, migration: Migration) -> Iterator[str]:
    """Do one migration, or go on with it; yields each position.

    Raises:
        InUse: members are there.
    """
    position = begin(store, migration.to)
    while position := migration.step(store, position):
        store.run("migrate_note", migration.to, position)
        yield position
    store.run("migrate_end", migration.to)


def begin(store: Store, to: int) -> str:
    """Let nobody work with the keys any more. Returns the position from which to go on.

    Raises:
        InUse: members are there.
    """
    members, position = store.run("migrate_begin", to)
    if members:
        raise InUse(int(members))
    return str(position.decode())
