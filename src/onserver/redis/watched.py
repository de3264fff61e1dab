"""A connection that a loop watches, so that whoever waits for what comes there needs no thread.

It is used in the thread of its loop, and it keeps neither the loop nor any context alive: with the loop the connection
ends.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from onserver.interrupt import postponed
from onserver.redis.answers import LinkError

#: How late a timer of a loop may be that other things keep busy.
_LATE_SECONDS = 1.0


class Watched(ABC):
    """See the top of this module.

    Args:
        loop: that watches.
        hang_up: ends the connection, whether there is one or not. It must not lead to the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, hang_up: Callable[[], None]) -> None:
        self._loop = weakref.ref(loop)
        self._hang_up = hang_up
        self._watched = -1
        #: When a timer looks, by the clock of the loop. One that is late was lost with what interrupted the loop.
        self._looks_at = 0.0
        #: In which the loop calls it: nobody's, since what is kept in that of whoever came first would stay.
        self._context = contextvars.Context()
        self._at_its_end: weakref.finalize[Any, Any] | None = None

    def close(self) -> None:
        """End the connection, from whatever thread; who waits is told so."""
        loop = self._loop()
        if loop is None or asyncio._get_running_loop() is loop:  # the public one raises where none runs
            self._end()
            return
        try:
            loop.call_soon_threadsafe(self._end)
        except RuntimeError:  # the loop is closed, and watches nothing any more
            self._hang_up()

    # -- for what is watched

    @abstractmethod
    def _arrived(self) -> None:
        """Take what has arrived. Whatever it raises ends the connection; of a `LinkError` only those hear who wait."""

    @abstractmethod
    def _ended(self, failure: LinkError | None) -> None:
        """Tell all who wait that the connection has ended, and why where that is known."""

    @abstractmethod
    def _left(self, now: float) -> float | None:
        """Let go of who has waited too long, and return in how many seconds to look again; None while nobody waits."""

    def _end_with(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hang up with the loop, from now on and until the connection ends otherwise."""
        if self._at_its_end is None or not self._at_its_end.alive:
            self._at_its_end = weakref.finalize(loop, self._hang_up)
            self._at_its_end.atexit = False

    def _watch(self, loop: asyncio.AbstractEventLoop, fileno: int) -> None:
        self._end_with(loop)
        self._watched = fileno
        self._context.run(loop.add_reader, fileno, self._hear)

    def _waits(self, loop: asyncio.AbstractEventLoop, now: float, seconds: float) -> None:
        """Somebody waits from now on; for so long nobody need look."""
        if now > self._looks_at + _LATE_SECONDS:
            self._look_in(loop, now, seconds)

    def _end(self, failure: LinkError | None = None) -> None:
        loop = self._loop()
        if loop is not None and self._watched >= 0:
            loop.remove_reader(self._watched)
            loop.remove_writer(self._watched)
        self._watched = -1
        if self._at_its_end is not None:
            self._at_its_end.detach()
        self._hang_up()
        self._ended(failure)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do it with no exception of a signal within; what it raises ends the connection."""
        with postponed():
            try:
                work()
            except LinkError as error:
                self._end(error)
            except BaseException:
                self._end()  # nobody knows how far it has come
                raise

    # -- what the loop calls

    def _hear(self) -> None:
        self._guarded(self._arrived)

    def _look(self) -> None:
        self._looks_at = 0.0
        loop = self._loop()
        if loop is None:
            return
        now = loop.time()
        left = self._left(now)
        if left is not None:
            self._look_in(loop, now, left)

    def _look_in(self, loop: asyncio.AbstractEventLoop, now: float, seconds: float) -> None:
        self._looks_at = now + seconds
        loop.call_later(seconds, self._look, context=self._context)
