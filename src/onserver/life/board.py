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
import struct
from collections.abc import Mapping
from typing import Final

#: What is asked.
ABORT: Final = 1
PAUSE: Final = 2

_UNSIGNED = struct.Struct("=Q")
_PAIR = struct.Struct("=QQ")


class Board:
    """See the top of this module.

    Args:
        memory: shared, or new and shared with all children that are forked later.
        at: where in it the board begins.
        capacity: how many entries fit; what is asked beyond that is asked when there is room again.
    """

    def __init__(self, memory: mmap.mmap | None = None, at: int = 0, capacity: int = 200) -> None:
        self._memory = memory or mmap.mmap(-1, 8 + capacity * _PAIR.size)
        self._at, self._capacity = at, capacity

    @property
    def any(self) -> bool:
        """Whether anything is asked of anybody."""
        return bool(_UNSIGNED.unpack_from(self._memory, self._at)[0])

    def asked(self, number: int) -> int:
        """What is asked of this process: 0 nothing, else `ABORT` and `PAUSE` added up."""
        count = _UNSIGNED.unpack_from(self._memory, self._at)[0]
        for index in range(count):
            found, what = _PAIR.unpack_from(self._memory, self._at + 8 + index * _PAIR.size)
            if found == number:
                return int(what)
        return 0

    def write(self, asks: Mapping[int, int]) -> None:
        """Replace what is asked: number to what."""
        if not asks and not self.any:
            return
        _UNSIGNED.pack_into(self._memory, self._at, 0)
        entries = sorted(asks.items())[: self._capacity]
        for index, (number, what) in enumerate(entries):
            _PAIR.pack_into(self._memory, self._at + 8 + index * _PAIR.size, number, what)
        _UNSIGNED.pack_into(self._memory, self._at, len(entries))
