"""Executors whose process takes longer than those before it.

What such an executor has claimed ahead is handed back, so that whoever is free runs it; and what it has ended, of which
Redis does not know yet, it is made to say while its process runs (see `trips`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from typing import Final

from onserver.life.child import PATIENCE_SECONDS, Child

#: Seconds after which an executor is looked at again, since a claim that was long under way was not there to be handed
#: back; and how often from then on where something is still to be said.
_AGAIN_SECONDS: Final = (1.0, 10.0)
_ONCE_MORE_SECONDS: Final = 10.0
#: How often executors that claim ahead are looked at, and for how long those that have run something count as busy.
_LOOK_SECONDS: Final = 0.02
_BUSY_SECONDS: Final = 0.1


def look(children: Iterable[Child], hand_back: Callable[[Child], None]) -> None:
    """Do what is due now.

    Args:
        children: of one supervisor.
        hand_back: lets others have what a child has claimed and not begun; also called where that was not done before.
    """
    now = monotonic()
    for child in children:
        page = child.page
        if page.runs != child.runs_seen:
            child.runs_seen, child.patience, child.unsaid = page.runs, PATIENCE_SECONDS, False
            child.busy_until = now + _BUSY_SECONDS
        ran = now - page.run_began
        late = page.current and ran > child.patience
        if page.is_renewing or (late and page.ahead):
            hand_back(child)
        if late:
            _have_it_said(child, ran)


def due_seconds(children: Iterable[Child]) -> float | None:
    """Seconds until an executor that claims ahead is to be looked at, or None."""
    return _LOOK_SECONDS if any(child.looks_ahead and not child.unsaid for child in children) else None


def _have_it_said(child: Child, ran: float) -> None:
    """Of a batch at once; of a trip ahead, which is under way, at the second look."""
    batch = child.role == "executor" and not child.page.ahead and bool(child.page.unsent.numbers)
    if batch or (child.unsaid and child.patience != PATIENCE_SECONDS):
        os.kill(child.pid, signal.SIGUSR2)
    again = ran + _ONCE_MORE_SECONDS if child.unsaid or batch else inf
    child.patience = next((seconds for seconds in _AGAIN_SECONDS if seconds > child.patience), again)
