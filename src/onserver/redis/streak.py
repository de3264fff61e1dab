"""When an answer is looked for instead of slept for: while one exchange follows another without a pause.

A program that starts one process after the other waits for Redis each time, and Redis for it. To fall asleep and to be
woken takes longer than what is waited for, above all where the machine is virtual and an idle processor is lent to
somebody else. So after `RUNS` exchanges, each of them begun at once after the one before, the answer is looked for
again and again for `LOOK_SECONDS`, and whoever wants the processor gets it between two looks. Where it does not come in
that time (Redis is far away, the processors have more to do, another thread keeps the interpreter's lock) the next
`PAUSE` exchanges are slept for.

So does who alone waits for results, one after the other (`Link.hear`). What a program does seldom, or many threads of
it by turns, is no such run: nothing is looked for.
"""

from __future__ import annotations

import os
from typing import Final

#: After how many exchanges in a row answers are looked for; how soon one has to begin after the one before, in seconds.
RUNS: Final = 8
GAP_SECONDS: Final = 0.0003
#: For how long an answer is looked for, in seconds, and how many exchanges are slept for when it did not come.
LOOK_SECONDS: Final = 0.0005
PAUSE: Final = 64


class Streak:
    """How closely the exchanges of one connection follow one another."""

    __slots__ = ("_began", "_ended", "_runs")

    def __init__(self) -> None:
        self._runs = 0
        self._began = self._ended = 0.0

    def begins(self, now: float) -> float:
        """An exchange begins (monotonic). Answers until when its answer is to be looked for, or 0.0."""
        self._began = now
        if now - self._ended > GAP_SECONDS:
            self._runs = min(self._runs, 0)
        self._runs += 1
        return now + LOOK_SECONDS if self._runs > RUNS else 0.0

    def ends(self, now: float) -> None:
        """It has ended (monotonic)."""
        self._ended = now
        if now - self._began > LOOK_SECONDS:
            self._runs = -PAUSE if self._runs > RUNS else 0


def pays() -> bool:
    """Whether Redis can run while a program looks for its answer: there are two processors at least."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cpus > 1
