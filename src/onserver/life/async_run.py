"""One run of a process in an async executor: its coroutines, its time limit, and what was asked of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Final, Literal

from onserver.life.async_page import AsyncPage
from onserver.life.driven import Driven
from onserver.process.claim import Claim

#: Why a run is ended before its body has come to its end.
Why = Literal["abort", "silence", "stop", "time"]
#: Seconds between the end of the time limit and the kill, where the procedure says nothing.
GRACE_SECONDS: Final = 5.0


class AsyncRun(Driven):
    """See the top of this module.

    Args:
        claim: what runs.
        page: shared with the supervisor.

    Attributes:
        claim: what runs.
        to_pause: a pause is asked of it.
        to_stop: an abort is asked of it.
        blocks: in how many blocks of `use` and lines it is.
        waits: in how many waits for other processes it is.
    """

    def __init__(self, claim: Claim, page: AsyncPage) -> None:
        super().__init__(claim.number)
        self.claim = claim
        self._page = page
        self.finishes = "F" in claim.flags
        self.by_checkpoint = "P" in claim.flags
        self.to_pause = self.to_stop = False
        self.blocks = self.waits = 0
        #: What was raised in its body when it was cancelled.
        self.cut: asyncio.CancelledError | None = None
        self._closed = False
        self._called: asyncio.Future[None] | None = None
        self._left = claim.timeout_ms / 1000
        self._grace = claim.grace_ms / 1000 or GRACE_SECONDS
        self._timer: asyncio.TimerHandle | None = None

    # -- its time

    def begin(self) -> None:
        """Say that it begins, and let its time run."""
        kill_at = monotonic() + self._left + self._grace if self._left else 0.0
        self._page.began(self.number, finish=self.finishes, kill_at=kill_at)
        self._time_runs()

    def over(self) -> None:
        """Say that it has ended."""
        self._time_stands()
        self._page.over(self.number)

    def _time_runs(self) -> None:
        if self._left:
            self._page.limit(self.number, monotonic() + self._left + self._grace)
            self._timer = asyncio.get_running_loop().call_later(self._left, self.end, "time")

    def _time_stands(self) -> None:
        if self._timer is not None:
            self._left = max(self._timer.when() - asyncio.get_running_loop().time(), 0.001)
            self._timer.cancel()
            self._timer = None
            self._page.limit(self.number, 0.0)

    # -- orders

    def end(self, why: Why) -> None:
        """Cancel it; what it holds open is left as it leaves its blocks."""
        if self.ended or self._closed:
            return
        self.ended = why
        self.go_on()
        self.call()
        tasks = list(self.tasks)
        for task in tasks[1:] if self.body_beside else tasks[:1]:
            task.cancel()

    async def end_tasks(self) -> None:
        """Its body has ended: end what that has left behind."""
        self._closed = True
        while left := [task for task in self.tasks if task is not asyncio.current_task() and not task.done()]:
            for task in left:
                task.cancel()
            with suppress(asyncio.CancelledError):  # that it was to end was said while it did
                await asyncio.wait(left)

    def hold(self) -> None:
        """Let none of its coroutines take another step."""
        self.gate = asyncio.Event()
        self._time_stands()

    def go_on(self) -> None:
        """Let them go on."""
        if self.gate is not None:
            self.gate.set()
            self.gate = None
            if not self.ended:
                self._time_runs()

    @property
    def called(self) -> asyncio.Future[None]:
        """Done as soon as something is asked of it."""
        if self._called is None:
            self._called = asyncio.get_running_loop().create_future()
        return self._called

    def call(self) -> None:
        """Something is asked of it: what stands in a line leaves it."""
        called, self._called = self._called, None
        if called is not None and not called.done():
            called.set_result(None)
