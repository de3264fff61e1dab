"""What is asked of the runs of one program: memory that who passes orders on shares with who runs.

| at | type | is |
|---|---|---|
| 0 | unsigned | how many entries there are |
| 8 + 16 i | unsigned | number of a process |
| 16 + 16 i | unsigned | what is asked of it: 1 to stop, 2 to pause |

One side writes, and writes the count last; the other looks at every checkpoint, and again soon, so a look that falls
into a change is only a late one.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Final

#: What is asked.
ABORT: Final = 1
PAUSE: Final = 2

_WORD: Final = 8


class Board:
    """See the top of this module.

    Args:
        memory: shared, or new and shared with all children that are forked later.
        at: where in it the board begins; a multiple of 8.
        capacity: how many entries fit; what is asked beyond that is asked when there is room again.
    """

    def __init__(self, memory: mmap.mmap | None = None, at: int = 0, capacity: int = 200) -> None:
        size = (1 + 2 * capacity) * _WORD
        # a view reads a word in a tenth of the time that `struct` takes, and checkpoints read one each
        self.words = memoryview(memory or mmap.mmap(-1, size))[at : at + size].cast("Q")
        self._capacity = capacity

    @property
    def any(self) -> bool:
        """Whether anything is asked of anybody."""
        return self.words[0] != 0

    def asked(self, number: int) -> int:
        """What is asked of this process: 0 nothing, else `ABORT` and `PAUSE` added up."""
        words = self.words
        for index in range(words[0]):
            if words[1 + 2 * index] == number:
                return words[2 + 2 * index]
        return 0

    def write(self, asks: Mapping[int, int]) -> None:
        """Replace what is asked: number to what."""
        words = self.words
        if not asks and not words[0]:
            return
        words[0] = 0
        entries = sorted(asks.items())[: self._capacity]
        for index, (number, what) in enumerate(entries):
            words[1 + 2 * index], words[2 + 2 * index] = number, what
        words[0] = len(entries)
