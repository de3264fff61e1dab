"""What a handle can order: abort, pause, resume, replay, wake, delay."""

import asyncio

from onserver.process.control import Answer, abort, pause, replay, resume
from onserver.process.sleeping import delay
from onserver.server import Server


class Ordered:
    """The orders of a `Process`. Each is one round trip, and has a form for a running loop with `a` in front."""

    __slots__ = ()

    _server: Server
    _number: int

    def abort(self, reason: str = "", *, force: bool = False, force_after: float | None = None) -> Answer:
        """Ask that it stops for good: it ends `ABORTED`, and is not run again, whatever dies meanwhile.

        What had not begun is taken from its queue. What runs stops at its next checkpoint, or is interrupted a second
        later; its `finally` blocks run. Works when no worker is up.

        Args:
            reason: for people; it is kept, and in the `ProcessAborted` of whoever waits.
            force: kill its executor at once instead of asking.
            force_after: seconds after which its executor is killed, if it still runs by then.

        Raises:
            ProcessNotFound: ONS-2001.

        4D: `ABORT PROCESS BY ID`, which only sets a flag.
        """
        return abort(self._server, self._number, reason, force_after=0.0 if force else force_after)

    def pause(self) -> Answer:
        """Ask that it pauses, and stays so until `resume`, through restarts of everything.

        What had not begun stays where it is. A run in an executor is stopped where it is, and another executor takes
        its place; with `pause="checkpoint"`, inside `use`, in a line and under Celery's pools it pauses at its next
        checkpoint. Its state is `PAUSED` once it is.

        Raises:
            ProcessNotFound: ONS-2001.

        4D: `PAUSE PROCESS`.
        """
        return pause(self._server, self._number)

    def resume(self) -> Answer:
        """Let it go on where it was.

        Raises:
            ProcessNotFound: ONS-2001.

        4D: `RESUME PROCESS`.
        """
        return resume(self._server, self._number)

    def replay(self) -> Answer:
        """Let it run again, under its number: one that has failed, is dead, or was lost with its worker.

        It runs for who asked for it first, with its arguments and its signature; deliveries and attempts begin anew,
        and its record says who has asked for this (`replayed_by`). To any other process nothing happens: the answer
        says why. This handle waits for the new end; another that has heard of the old one keeps to that.

        Raises:
            ProcessNotFound: ONS-2001, or its record has expired.

        4D: none.
        """
        answer = replay(self._server, self._number)
        if answer.level == "queued":
            self._begins_anew()
        return answer

    def _begins_anew(self) -> None:
        """Forget what was heard of its end."""
        raise NotImplementedError

    def wake(self) -> bool:
        """Let it sleep no longer, or let it run now if it was to run later. False when it did neither.

        4D: `RESUME PROCESS` of a delayed process; `DELAY PROCESS` with 0.
        """
        return delay(self._server, self._number, 0.0)

    def delay(self, seconds: float) -> bool:
        """Let it sleep, or wait for its time, for so long from now on, whatever it was to be before.

        Args:
            seconds: fractions are allowed; 0 wakes it.

        Returns:
            False when it does neither, or there is no such process: then nothing happens.

        4D: `DELAY PROCESS` (specification 5.6): a new delay replaces what remains of the old one.
        """
        return delay(self._server, self._number, seconds)

    async def areplay(self) -> Answer:
        """`replay` without blocking the loop."""
        return await asyncio.to_thread(self.replay)

    async def awake(self) -> bool:
        """`wake` without blocking the loop."""
        return await asyncio.to_thread(self.wake)

    async def adelay(self, seconds: float) -> bool:
        """`delay` without blocking the loop."""
        return await asyncio.to_thread(self.delay, seconds)

    async def aabort(self, reason: str = "", *, force: bool = False, force_after: float | None = None) -> Answer:
        """`abort` without blocking the loop."""
        return await asyncio.to_thread(self.abort, reason, force=force, force_after=force_after)

    async def apause(self) -> Answer:
        """`pause` without blocking the loop."""
        return await asyncio.to_thread(self.pause)

    async def aresume(self) -> Answer:
        """`resume` without blocking the loop."""
        return await asyncio.to_thread(self.resume)
