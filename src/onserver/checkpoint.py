"""Places where a running process heeds what was asked of it: to stop for good, or to pause.

Whoever runs processes keeps a *board*, a piece of memory shared with whoever passes orders on: beside a version that
grows with every change it holds the numbers of which something is asked. A checkpoint compares the version, which costs
next to nothing, and looks further only when it has changed. So storage, progress, sleeping and waiting can all be
checkpoints; waits look every `SLICE_SECONDS`, without a trip to Redis.

A run may be stopped where it is, unless it has locks or stands in a line: there it is `unstoppable`, and pauses at its
next checkpoint outside.

In a running loop nothing may block: there a pause is heeded by `acheckpoint`, and whoever stands in a line is called
out of it by `nudge`.

This module knows only where the present look is kept; what it does is said by who runs processes.
"""

import threading
from asyncio import Future
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final

#: Longest time that a wait goes on without a look, in seconds.
SLICE_SECONDS: Final = 0.1


class _Heed:
    """What the checkpoints of this program do."""

    def __init__(self) -> None:
        self.asked: Callable[[], bool] | None = None
        self.heed: Callable[[], None] | None = None
        self.note: Callable[[int], None] | None = None
        self.wait: Callable[[bool], None] | None = None
        self.aheed: Callable[[], Awaitable[None]] | None = None
        self.nudge: Callable[[], Future[None] | None] | None = None
        self.guard = threading.Lock()
        self.depth = 0


_heed = _Heed()


def heed_by(
    asked: Callable[[], bool] | None,
    heed: Callable[[], None] | None,
    note: Callable[[int], None] | None = None,
    wait: Callable[[bool], None] | None = None,
    aheed: Callable[[], Awaitable[None]] | None = None,
    nudge: Callable[[], Future[None] | None] | None = None,
) -> None:
    """Say what the checkpoints of this program do.

    Args:
        asked: whether anything is asked of what runs in this context: cheap, called often.
        heed: does what is asked: raises, or returns once a pause is over.
        note: told in how many `unstoppable` blocks this program is, whenever that changes.
        wait: told when what runs here begins and ceases to wait for another process.
        aheed: `heed` for coroutines; None where those run one at a time, and may block.
        nudge: answers what is done when something is asked of what runs in this context; None where it cannot be told.
    """
    _heed.asked, _heed.heed, _heed.note, _heed.wait = asked, heed, note, wait
    _heed.aheed, _heed.nudge = aheed, nudge


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


async def acheckpoint() -> None:
    """`checkpoint` in a running loop: it is not blocked while a pause lasts.

    Raises:
        CancelledError: the process that runs here was asked to stop.
    """
    if _heed.aheed is None:
        checkpoint()
    elif asked():
        await _heed.aheed()


def nudge() -> Future[None] | None:
    """Answer what is done in this loop as soon as something is asked of what runs here; None where nobody tells."""
    return None if _heed.nudge is None else _heed.nudge()


class unstoppable:  # noqa: N801  # used as a `with` statement's word
    """While the block lasts what runs here is not stopped where it is, only paused at a checkpoint."""

    __slots__ = ()

    def __enter__(self) -> None:
        count_unstoppable(1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        count_unstoppable(-1)


class waiting_for_process:  # noqa: N801  # used as a `with` statement's word
    """While the block lasts what runs here waits for another process: somebody may have to stand in for it."""

    __slots__ = ()

    def __enter__(self) -> None:
        if _heed.wait is not None:
            _heed.wait(True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _heed.wait is not None:
            _heed.wait(False)


def count_unstoppable(change: int) -> None:
    """Enter (1) or leave (-1) such a block, where it does not have the shape of a `with` statement."""
    if _heed.note is not None:
        with _heed.guard:
            _heed.depth += change
            _heed.note(_heed.depth)
