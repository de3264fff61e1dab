"""Places where a running process heeds what was asked of it: to stop for good, or to pause.

Whoever runs processes keeps a *board*, a piece of memory shared with whoever passes orders on: beside a version that
grows with every change it holds the numbers of which something is asked. A checkpoint compares the version, which costs
next to nothing, and looks further only when it has changed. So storage, progress, sleeping and waiting can all be
checkpoints; waits look every `SLICE_SECONDS`, without a trip to Redis.

This module knows only where the present look is kept; what it does is said by who runs processes.
"""

from collections.abc import Callable
from typing import Final

#: Longest time that a wait goes on without a look, in seconds.
SLICE_SECONDS: Final = 0.1


class _Heed:
    """What the checkpoints of this program do."""

    def __init__(self) -> None:
        self.asked: Callable[[], bool] | None = None
        self.heed: Callable[[], None] | None = None


_heed = _Heed()


def heed_by(asked: Callable[[], bool] | None, heed: Callable[[], None] | None) -> None:
    """Say what the checkpoints of this program do.

    Args:
        asked: whether anything is asked of what runs in this context: cheap, called often.
        heed: does what is asked: raises, or returns once a pause is over.
    """
    _heed.asked, _heed.heed = asked, heed


def asked() -> bool:
    """Answer whether anything is asked of what runs here: a wait then leaves its line before it heeds."""
    return _heed.asked is not None and _heed.asked()


def checkpoint() -> None:
    """Heed what was asked of the process that runs here, if anything was.

    Raises:
        ProcessAborted: ONS-2203, it was asked to stop.
    """
    if _heed.asked is not None and _heed.asked() and _heed.heed is not None:
        _heed.heed()
