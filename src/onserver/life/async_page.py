"""The page of memory that a supervisor shares with an executor that runs many processes at once.

It is a page like that of every executor. What stands for one process there stands here for all of them: the *present*
process is the one whose step the loop takes just now, and between two steps the one that began first; so when the
executor dies, that is the run which counts as a delivery, and there always is exactly one. Behind it stands a table:

| at | type | is |
|---|---|---|
| 4096 + 16 i | unsigned | number of a process that has begun, 0 for none |
| 4104 + 16 i | double | monotonic time at which the executor may be killed for it, 0 for never; -1: it has ended |

The executor writes it, a number before its run begins, and takes it out when Redis knows that it has ended; the
supervisor reads it.
"""

from __future__ import annotations

import mmap
import struct
from time import monotonic

from onserver.life.page import Page

_TABLE_AT = 4096
#: What was handed over while the last place was taken begins as well.
_MORE = 16
_ENTRY = struct.Struct("=Qd")
_UNSIGNED = struct.Struct("=Q")
_ENDED = -1.0


class AsyncPage(Page):
    """See the top of this module.

    Args:
        places: how many processes may have begun at a time.
    """

    def __init__(self, places: int) -> None:
        self._count = 2 * places + _MORE  # while as many run, as many may have ended of which Redis does not know yet
        super().__init__(max(mmap.PAGESIZE, _TABLE_AT) + self._count * _ENTRY.size)
        self._free = list(range(self._count - 1, -1, -1))
        self._places: dict[int, int] = {}
        self._unsaid: dict[int, int] = {}
        self._said_early: set[int] = set()
        self._stubborn: set[int] = set()
        self._first = 0

    # -- the executor's side

    def began(self, number: int, *, finish: bool, kill_at: float) -> None:
        """Say that a process begins.

        Args:
            number: of the process.
            finish: it goes on while Redis is silent.
            kill_at: monotonic time at which the executor may be killed for it, 0 for never.
        """
        place = self._places[number] = self._free.pop()
        if finish:
            self._stubborn.add(number)
        _ENTRY.pack_into(self._memory, _TABLE_AT + place * _ENTRY.size, number, kill_at)
        self._changed()

    def limit(self, number: int, kill_at: float) -> None:
        """Say anew when the executor may be killed for a process."""
        _ENTRY.pack_into(self._memory, _TABLE_AT + self._places[number] * _ENTRY.size, number, kill_at)

    def over(self, number: int) -> None:
        """Say that a process runs no longer; its place is kept until that is `said`."""
        place = self._places.pop(number)
        self._stubborn.discard(number)
        if number in self._said_early:
            self._said_early.discard(number)
            self._clear(place)
        else:
            self.said(number)  # of an earlier run
            self._unsaid[number] = place
            _ENTRY.pack_into(self._memory, _TABLE_AT + place * _ENTRY.size, number, _ENDED)
        self.count()
        self._changed()

    def said(self, number: int) -> None:
        """Say that Redis knows of the end of a process, which it may before it is over here; nothing of any other."""
        if number in self._places:
            self._said_early.add(number)
        elif number in self._unsaid:
            self._clear(self._unsaid.pop(number))

    def says(self, number: int) -> None:
        """Say that the end of a process is still to be said: what Redis knew so far was not the last of it."""
        self._said_early.discard(number)

    def _clear(self, place: int) -> None:
        _ENTRY.pack_into(self._memory, _TABLE_AT + place * _ENTRY.size, 0, 0.0)
        self._free.append(place)

    def steps(self, number: int) -> None:
        """Say whose step the loop takes now."""
        _UNSIGNED.pack_into(self._memory, 0, number)

    def rests(self) -> None:
        """Say that the loop takes no step of a process."""
        _UNSIGNED.pack_into(self._memory, 0, self._first)

    def _changed(self) -> None:
        self._first = next(iter(self._places), 0)
        _UNSIGNED.pack_into(self._memory, 32, len(self._stubborn) == len(self._places))
        self.rests()

    # -- the supervisor's side

    @property
    def begun(self) -> tuple[int, ...]:
        """The processes that have begun, the present one first."""
        present = self.current
        numbers = [number for number, kill_at in self._entries() if kill_at != _ENDED]
        return tuple(sorted(numbers, key=lambda number: number != present))

    @property
    def may_have_run(self) -> tuple[int, ...]:
        """As that of every page: the present process first."""
        return (*self.begun, *(number for number, kill_at in self._entries() if kill_at == _ENDED))

    @property
    def late(self) -> bool:
        """Never: its loop cancels what has reached its time limit by itself."""
        return False

    @property
    def over_time(self) -> bool:
        """Whether the executor may be killed because a process has not ended long after its time limit."""
        return bool(self.overdue)

    @property
    def overdue(self) -> int:
        """The process for which that is so, 0 for none."""
        now = monotonic()
        return next((number for number, kill_at in self._entries() if kill_at > 0 and now > kill_at), 0)

    def _entries(self) -> list[tuple[int, float]]:
        end = _TABLE_AT + self._count * _ENTRY.size
        return [entry for entry in _ENTRY.iter_unpack(self._memory[_TABLE_AT:end]) if entry[0]]
