"""The page of memory that a supervisor shares with one executor.

| at | type | written by | is |
|---|---|---|---|
| 0 | unsigned | executor | number of the process that has begun, 0 for none |
| 8 | unsigned | supervisor | generation: raised when what has not begun was handed back behind the executor's back |
| 16 | double | supervisor | monotonic time at which the last answered beat was sent |
| 24 | unsigned | supervisor | 1: finish what runs and exit |
| 32 | unsigned | executor | 1: what runs is of `when_cut="finish"` and goes on while Redis is silent |
| 40 | double | executor | monotonic time at which the present process began |
| 48 | unsigned | executor | time limit of the present process, milliseconds, 0 for none |

Each field is written by one side only and read whole, so no lock is needed. "Begun" is written before the process is,
and the generation is looked at after that: in this order nothing is both handed back and begun.
"""

from __future__ import annotations

import mmap
import struct
from time import monotonic

_UNSIGNED = struct.Struct("=Q")
_DOUBLE = struct.Struct("=d")


class Page:
    """See the top of this module."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.stamp(monotonic())

    @property
    def current(self) -> int:
        """Number of the process that has begun, or 0."""
        return int(_UNSIGNED.unpack_from(self._memory, 0)[0])

    def begin(self, number: int, *, finish: bool = False, timeout_ms: int = 0) -> None:
        """Say that a process begins (executor)."""
        _DOUBLE.pack_into(self._memory, 40, monotonic())
        _UNSIGNED.pack_into(self._memory, 48, timeout_ms)
        _UNSIGNED.pack_into(self._memory, 32, finish)
        _UNSIGNED.pack_into(self._memory, 0, number)

    def end(self) -> None:
        """Say that nothing runs (executor)."""
        _UNSIGNED.pack_into(self._memory, 0, 0)
        _UNSIGNED.pack_into(self._memory, 32, 0)
        _UNSIGNED.pack_into(self._memory, 48, 0)

    @property
    def finishes(self) -> bool:
        """Whether what runs goes on while Redis is silent."""
        return bool(_UNSIGNED.unpack_from(self._memory, 32)[0])

    @property
    def over_time(self) -> bool:
        """Whether what runs has run for longer than its time limit."""
        limit = _UNSIGNED.unpack_from(self._memory, 48)[0]
        return bool(limit) and monotonic() - _DOUBLE.unpack_from(self._memory, 40)[0] > limit / 1000

    @property
    def generation(self) -> int:
        """How often what had not begun was handed back by the supervisor."""
        return int(_UNSIGNED.unpack_from(self._memory, 8)[0])

    def stamp(self, sent: float) -> None:
        """Record that the beat sent at this monotonic time was answered (supervisor)."""
        _DOUBLE.pack_into(self._memory, 16, sent)

    @property
    def beat_age(self) -> float:
        """Seconds since the sending of the last answered beat."""
        return monotonic() - float(_DOUBLE.unpack_from(self._memory, 16)[0])

    def drain(self) -> None:
        """Ask the executor to finish what runs and exit (supervisor)."""
        _UNSIGNED.pack_into(self._memory, 24, 1)

    @property
    def draining(self) -> bool:
        """Whether the executor shall finish and exit."""
        return bool(_UNSIGNED.unpack_from(self._memory, 24)[0])
