"""Which processes an executor has ended and not yet said so: memory that it shares with its supervisor.

| at | type | is |
|---|---|---|
| 0 | unsigned | how many there are |
| 8 + 8 i | unsigned | number of a process |

The executor writes: a number before it says that nothing runs, and what is left once Redis has taken some. The
supervisor reads it when it hands back what has not begun and when it buries the executor, after it has read what has
begun: so what has ended is found in one or the other.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Final

from onserver.process.claim import Settlement

_WORD: Final = 8
#: How many fit; an executor that has more to say says it first.
CAPACITY: Final = 40


class Unsent:
    """See the top of this module.

    Args:
        memory: shared with the supervisor.
        at: where in it this begins; a multiple of 8.
    """

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._words = memoryview(memory)[at : at + (1 + CAPACITY) * _WORD].cast("Q")

    def add(self, number: int) -> None:
        """One more has ended (executor)."""
        count = self._words[0]
        self._words[1 + count] = number
        self._words[0] = count + 1

    def keep(self, settlements: Sequence[Settlement]) -> None:
        """All but these was said (executor)."""
        for at, settlement in enumerate(settlements, 1):
            self._words[at] = settlement[0]
        self._words[0] = len(settlements)

    @property
    def full(self) -> bool:
        """Whether no more fit."""
        return self._words[0] >= CAPACITY

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers (supervisor)."""
        # from the last to the first: `keep` moves numbers to the front meanwhile, and none is passed over so
        return tuple(self._words[self._words[0] : 0 : -1])[::-1]
