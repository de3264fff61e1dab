"""What is asked of the runs of an async executor: read from its board, when the supervisor says that it has changed.

*Abort* cancels the run at once: its body gets `CancelledError` where it awaits. *Pause* holds it: none of its
coroutines takes another step, which is so at once, since the loop takes none while it reads this. A run in a block of
`use` is held when it has left it, one that stands in a line leaves that first, and one of `pause="checkpoint"` is held
by its next checkpoint that can be awaited. What it has given to threads goes on. Its time limit stands still meanwhile.

How far that has come is said in the record, in order, beside the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from onserver.checkpoint import heed_by
from onserver.errors import BrokerUnavailable
from onserver.life.async_run import AsyncRun
from onserver.life.board import ABORT, PAUSE, Board
from onserver.life.driven import here
from onserver.life.heeding import reach
from onserver.server import Server
from onserver.session.running import running

_AGAIN_SECONDS = 0.5


class AsyncOrders:
    """See the top of this module.

    Args:
        server: whose processes run here.
        holder: "member.incarnation".
        board: what is asked of them.
        runs: those that have begun, by number.
        freed: told when a run waits for another process, and no longer.
    """

    def __init__(
        self, server: Server, holder: str, board: Board, runs: Mapping[int, AsyncRun], freed: Callable[[], None]
    ) -> None:
        self._server, self._holder = server, holder
        self._board, self._runs = board, runs
        self._freed = freed
        self._depth = 0
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[tuple[AsyncRun, str, str, str]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "onserver-orders")

    def begin(self) -> None:
        """Let the checkpoints of this program heed them."""
        heed_by(self._asked, self._heed, self._note, self._wait, self._aheed, self._nudge)

    def look(self) -> None:
        """Do what is asked now."""
        for run in tuple(self._runs.values()):
            what = self._board.asked(run.number)
            if what & ABORT:
                if not (run.ended or run.to_stop):
                    run.to_stop = True
                    self._news.put_nowait((run, "", "", "interrupted"))
            elif what & PAUSE:
                if not run.to_pause:
                    run.to_pause = True
                    self._pause(run)
            elif run.to_pause:
                run.to_pause = False
                self._go_on(run)

    async def report(self) -> None:
        """Say in the records how far it has come, for as long as this program lives; what is to stop is ended then.

        Raises:
            MemberFenced: this holder was declared dead.
        """
        while True:
            run, *words = await self._news.get()
            while not await self._said(run.number, *words):
                if run.to_stop:
                    run.end("abort")  # it is not kept waiting
                await asyncio.sleep(_AGAIN_SECONDS)
            if run.to_stop:
                run.end("abort")

    async def _said(self, number: int, state: str, why: str, level: str) -> bool:
        words = (self._server, self._holder, number, state, why, level)
        try:
            await self._loop.run_in_executor(self._thread, reach, *words)
        except BrokerUnavailable:
            return False
        return True

    # -- pauses

    def _pause(self, run: AsyncRun, *, at_checkpoint: bool = False) -> None:
        if run.ended or run.gate is not None or not run.to_pause:
            return
        run.call()
        if not at_checkpoint and (run.blocks or run.by_checkpoint):
            return
        run.hold()
        self._news.put_nowait((run, "paused", f"at {'a checkpoint' if at_checkpoint else 'an await'}", ""))

    def _go_on(self, run: AsyncRun) -> None:
        if run.gate is not None:
            run.go_on()
            self._news.put_nowait((run, "resumed", "", ""))

    # -- checkpoints, in the context of a run

    def _asked(self) -> bool:
        run = _run()
        if run is None or not (run.ended or run.to_pause):
            return False  # mostly
        if run.ended:
            return run.ended == "abort"
        known = running()
        return known is None or not self._server.storage.in_use(known)

    def _heed(self) -> None:
        run = _run()
        if run is not None and run.ended:
            raise asyncio.CancelledError(run.ended)

    async def _aheed(self) -> None:
        self._heed()
        run = _run()
        if run is not None:
            self._pause(run, at_checkpoint=True)
            await asyncio.sleep(0)  # it does not come back before the pause is over
            self._heed()

    def _nudge(self) -> asyncio.Future[None] | None:
        run = _run()
        if run is None:
            return None
        if self._asked():
            done = self._loop.create_future()
            done.set_result(None)
            return done
        return run.called

    def _note(self, depth: int) -> None:
        change, self._depth = depth - self._depth, depth
        run = _run()
        if run is not None:
            run.blocks += change
            if run.to_pause and not run.blocks:
                self._loop.call_soon_threadsafe(self._pause, run)

    def _wait(self, waits: bool) -> None:
        run = _run()
        if run is not None:
            run.waits += 1 if waits else -1
            self._loop.call_soon_threadsafe(self._freed)


def _run() -> AsyncRun | None:
    found = here.get()
    return found if isinstance(found, AsyncRun) else None
