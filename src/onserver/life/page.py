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
| 56 | unsigned | executor | blocks of `use` it has open and lines it stands in: it is not stopped in them |
| 64 | unsigned | executor | 1: what runs waits at a checkpoint until its pause is over |
| 72 | unsigned | executor | 1: what runs waits for another process |
| 80 | double | supervisor | seconds that the present process was stopped, which its time limit does not count |
| 88 | unsigned | executor | 1: what runs is paused at a checkpoint only |
| 96 | unsigned | executor | how many processes it has run |
| 104 | unsigned | executor | the most memory that it has taken, kilobytes |
| 112 | unsigned | executor | milliseconds between the interruption at the time limit and the kill |
| 120 | double | executor | seconds that it was paused at checkpoints, which its time limit does not count |
| 128 | voice | both | whose words are in its pipes (see `voice`) |
| 496 | double | supervisor | which run is to be interrupted: the time at which it began, as at 40 |
| 504 | unsigned | supervisor | 1: that run, because its time is up |
| 512 | board | supervisor | what is asked of what it runs (see `board`) |
| 3720 | double | executor | seconds of a processor that it had used when the run before was counted |
| 3728 | unsent | executor | what has ended and was not said yet (see `unsent`) |
| 4056 | unsigned | executor | 1: it may have claimed what begins after the present process (see `trips`) |
| 4064 | unsigned | supervisor | 1: what has not begun is being handed back, and Redis has not said yet that it was |

Each field is written by one side only and read whole, so no lock is needed. "Begun" is written before the process is,
and the generation is looked at after that: in this order nothing is both handed back and begun.
"""

from __future__ import annotations

import mmap
import resource
import sys
from math import inf, nextafter
from time import monotonic
from typing import NamedTuple

from onserver.life.board import Board
from onserver.life.unsent import Unsent
from onserver.life.voice import Voice

_VOICE_AT = 128
#: What the operating system counts memory in: bytes on macOS, kilobytes elsewhere.
_KILOBYTES = 1024 if sys.platform == "darwin" else 1
#: Between interruption and kill where the process says nothing: hooks.
_GRACE_MS = 2000
#: To ask for the memory of a program takes as long as a tenth of what a short run costs: one of so many asks.
_SHORT_SECONDS, _SHORT_RUNS = 0.001, 16
_BOARD_AT, _CPU_AT, _UNSENT_AT, _AHEAD_AT, _GIVING_AT = 512, 3720, 3728, 4056, 4064


class Narrow(NamedTuple):
    """What a page says before a part of its run gets a limit: its own, and whether that of the part is up first."""

    limit: int
    own: bool


class Page:
    """See the top of this module.

    Args:
        size: how many bytes it has, at least those of a page.
    """

    def __init__(self, size: int = mmap.PAGESIZE) -> None:
        self._memory = mmap.mmap(-1, size)
        # a view reads and writes a word in a third of the time that `struct` takes, and each run does it thirty times
        self._words = memoryview(self._memory).cast("Q")
        self._times = memoryview(self._memory).cast("d")
        self.voice = Voice(self._memory, _VOICE_AT)
        self.board = Board(self._memory, _BOARD_AT)
        self.unsent = Unsent(self._memory, _UNSENT_AT)
        self._halted_at = 0.0
        self.stamp(monotonic())

    @property
    def current(self) -> int:
        """Number of the process that has begun, or 0."""
        return self._words[0 // 8]

    @property
    def begun(self) -> tuple[int, ...]:
        """All processes that have begun, the one first whose run counts if the executor dies."""
        return (self.current,) if self.current else ()

    @property
    def may_have_run(self) -> tuple[int, ...]:
        """What has begun, first, and what has ended of which Redis does not know yet: all else that is held has not."""
        return (*self.begun, *self.unsent.numbers)

    @property
    def overdue(self) -> int:
        """Number of the process that has run for too long, 0 for none."""
        return self.current if self.over_time else 0

    def begin(
        self, number: int, *, finish: bool = False, timeout_ms: int = 0, grace_ms: int = 0, by_checkpoint: bool = False
    ) -> None:
        """Say that a process begins (executor)."""
        self._words[112 // 8] = grace_ms or _GRACE_MS
        self._times[120 // 8] = 0.0
        self._words[88 // 8] = by_checkpoint
        self._times[80 // 8] = 0.0
        self._times[40 // 8] = monotonic()
        self._words[48 // 8] = timeout_ms
        self._words[32 // 8] = finish
        self._words[0 // 8] = number

    def narrow(self, seconds: float) -> Narrow:
        """Give a part of the present run a time limit of its own (executor). Answers what `widen` restores.

        A limit of the run that is up before stays. The part counts as a run of its own: an interruption that comes late
        is that of nothing.
        """
        limit = self._words[48 // 8]
        part = max(1, int((self._ran() + seconds) * 1000))
        own = not limit or part < limit
        if own:
            self._renew_run()
            self._words[48 // 8] = part
        return Narrow(limit, own)

    def widen(self, before: Narrow) -> None:
        """That part has ended (executor); may be said again."""
        if before.own:
            self._words[48 // 8] = before.limit
            self._renew_run()

    def _renew_run(self) -> None:
        self._times[40 // 8] = nextafter(self.run_began, inf)

    def end(self) -> bool:
        """Say that nothing runs (executor). Answers whether it was a short run: a millisecond at most."""
        short = self.count()
        self._words[0 // 8] = 0
        self._words[32 // 8] = 0
        self._words[48 // 8] = 0
        return short

    def count(self) -> bool:
        """Count a run that has ended, and see what it took, of short ones now and then (executor)."""
        runs = self._words[96 // 8] = self.runs + 1
        short = monotonic() - self.run_began <= _SHORT_SECONDS
        if runs % _SHORT_RUNS == 1 or not short:
            used = resource.getrusage(resource.RUSAGE_SELF)
            self._words[104 // 8] = used.ru_maxrss // _KILOBYTES
            self._times[_CPU_AT // 8] = used.ru_utime + used.ru_stime
        return short

    @property
    def runs(self) -> int:
        """How many processes it has run."""
        return self._words[96 // 8]

    @property
    def peak_kilobytes(self) -> int:
        """The most memory that it has taken, as it was when its last process ended, or one of sixteen short ones."""
        return self._words[104 // 8]

    @property
    def cpu_before(self) -> float:
        """The seconds of a processor that it had used before the present process, as far as that was looked at."""
        return self._times[_CPU_AT // 8]

    @property
    def finishes(self) -> bool:
        """Whether what runs goes on while Redis is silent."""
        return bool(self._words[32 // 8])

    @property
    def late(self) -> bool:
        """Whether what runs has run for longer than its time limit, and is to be interrupted."""
        limit = self._words[48 // 8]
        return bool(limit) and self._ran() > limit / 1000

    @property
    def over_time(self) -> bool:
        """Whether what runs was to end at its time limit, and its grace is over as well."""
        limit, grace = self._words[48 // 8], self._words[112 // 8]
        return bool(limit) and self._ran() > (limit + grace) / 1000

    def _ran(self) -> float:
        """Seconds that the present process has run; what it was paused is not counted once it goes on."""
        began, stopped, halted = (self._times[at // 8] for at in (40, 80, 120))
        return float(monotonic() - began - stopped - halted)

    @property
    def run_began(self) -> float:
        """When the run that is under way began, monotonic: it tells one run from the next."""
        return self._times[40 // 8]

    def interrupt(self, *, for_time: bool, run: float | None = None) -> None:
        """Say that a run is to be interrupted (supervisor): then it is told by a signal.

        Args:
            for_time: because its time is up.
            run: when the run that is meant began; None for the one that is under way now.
        """
        if not (for_time or self.is_out_of_time):  # what its time is up for is not forgotten
            self._words[504 // 8] = 0
        elif for_time:
            self._words[504 // 8] = 1
        self._times[496 // 8] = self.run_began if run is None else run

    @property
    def is_interrupted(self) -> bool:
        """Whether the run that is under way is the one that is to be interrupted."""
        return bool(self.current) and self._times[496 // 8] == self._times[40 // 8]

    @property
    def is_out_of_time(self) -> bool:
        """Whether that is so because its time is up."""
        return self.is_interrupted and bool(self._words[504 // 8])

    def excuse(self, seconds: float) -> None:
        """Not count these seconds as run time of the present process (supervisor)."""
        self._times[80 // 8] += seconds

    @property
    def holds(self) -> int:
        """How many blocks of `use` are open and lines stood in, in which it may not be stopped."""
        return self._words[56 // 8]

    def hold(self, count: int) -> None:
        """Say how many blocks are open and lines stood in (executor)."""
        self._words[56 // 8] = count

    @property
    def halted(self) -> bool:
        """Whether what runs waits at a checkpoint until its pause is over."""
        return bool(self._words[64 // 8])

    def halt(self, *, halted: bool) -> None:
        """Say whether what runs waits at a checkpoint (executor)."""
        if halted:
            self._halted_at = monotonic()
        else:
            paused = self._times[120 // 8] + monotonic() - self._halted_at
            self._times[120 // 8] = paused
        self._words[64 // 8] = halted

    @property
    def waits(self) -> bool:
        """Whether what runs waits for another process."""
        return bool(self._words[72 // 8])

    def wait(self, waits: bool) -> None:
        """Say whether what runs waits for another process (executor)."""
        self._words[72 // 8] = waits

    @property
    def by_checkpoint(self) -> bool:
        """Whether what runs is paused at a checkpoint only."""
        return bool(self._words[88 // 8])

    @property
    def generation(self) -> int:
        """How often what had not begun was handed back by the supervisor."""
        return self._words[8 // 8]

    def renew(self) -> None:
        """Say that what has not begun is handed back behind the executor's back (supervisor)."""
        self._words[_GIVING_AT // 8] = 1
        self._words[8 // 8] = self.generation + 1

    def renewed(self) -> None:
        """Say that it was: the executor may ask again what is its own (supervisor)."""
        self._words[_GIVING_AT // 8] = 0

    @property
    def is_renewing(self) -> bool:
        """Whether `renew` was said and `renewed` was not."""
        return bool(self._words[_GIVING_AT // 8])

    @property
    def ahead(self) -> bool:
        """Whether it may have claimed what begins after the present process."""
        return bool(self._words[_AHEAD_AT // 8])

    @ahead.setter
    def ahead(self, ahead: bool) -> None:
        self._words[_AHEAD_AT // 8] = ahead

    def stamp(self, sent: float) -> None:
        """Record that the beat sent at this monotonic time was answered (supervisor)."""
        self._times[16 // 8] = sent

    @property
    def beat_age(self) -> float:
        """Seconds since the sending of the last answered beat."""
        return monotonic() - self._times[16 // 8]

    def drain(self) -> None:
        """Ask the executor to finish what runs and exit (supervisor)."""
        self._words[24 // 8] = 1

    @property
    def draining(self) -> bool:
        """Whether the executor shall finish and exit."""
        return bool(self._words[24 // 8])
