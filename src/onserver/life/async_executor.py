"""An async executor: claims, runs and settles `async def` procedures, up to `async_slots` at a time on one loop.

It is a child of the supervisor like every executor, with a page, pipes, and a code of its own: the procedures whose
function is `async def`. What it says to Redis is in `async_claims`; what is asked of its runs in `async_orders`; how a
run is driven in `driven`. A run that waits for another process gives its place to another meanwhile.

| what happens | what becomes of the runs |
|---|---|
| told to drain | they end, and the executor exits |
| stop, after the grace time | cancelled; handed back, not counted |
| Redis silent for 0.7 leases | cancelled, but those of `when_cut="finish"`; handed back, not counted |
| ... for 0.8 leases, one still runs | the executor is ended: all run again, not counted |
| a time limit | that run is cancelled, and ends with `ProcessTimeout` |
| ... and its grace time | the executor is killed: that one ends so, the others run again, not counted |
| abort | that run is cancelled |
| ... by force | the executor is killed: that one has ended, the others run again, not counted |
| the executor dies | all run again; one is counted: whose step it died in, else the one that began first |

What a run has started as a task and not awaited is cancelled when its body has ended; then its locks fall, and it is
settled.
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from onserver.crash import crash_point
from onserver.errors import MemberFenced
from onserver.life.async_claims import Claims
from onserver.life.async_orders import AsyncOrders
from onserver.life.async_page import AsyncPage
from onserver.life.async_run import AsyncRun
from onserver.life.async_speech import Speech
from onserver.life.async_watch import watch_loop
from onserver.life.driven import Driver, here
from onserver.life.executor import CUT_SHARE, FENCED_STATUS, Tracer
from onserver.process import coroutines
from onserver.process.claim import Claim
from onserver.process.runner import Call, Outcome, Raised, Uncounted, aperform, out_of_time, prepare, settlement
from onserver.registry import PROCEDURE
from onserver.server import Server

#: For each slot so many processes may have begun, since those that wait for others are not counted.
PLACES_A_SLOT: Final = 10
#: How many threads `asyncio.to_thread` has.
THREADS: Final = 64
#: Share of the lease without a good beat after which the runs are cancelled; at CUT_SHARE the executor is ended.
CANCEL_SHARE: Final = 0.7


class AsyncExecutor:
    """See the top of this module.

    Args:
        server: the server, loaded before the fork; its connections are made anew here.
        holder: "member.incarnation", enlisted by the supervisor.
        page: shared with the supervisor.
        code: digest of what this program can run.
        queues: where to claim from, first one first.
        slots: how many processes run at a time.
        tracer: runs what is no lean call of a procedure.
    """

    def __init__(
        self,
        server: Server,
        holder: str,
        page: AsyncPage,
        code: str,
        queues: Sequence[str],
        slots: int,
        tracer: Tracer | None = None,
    ) -> None:
        self.server, self.holder, self.page = server, holder, page
        self._code, self._queues, self._slots = code, queues, slots
        self._tracer = tracer
        self._traced = False
        self._threads = ThreadPoolExecutor(slots, "onserver-tracer")
        self._lease = server.settings.member.lease_seconds
        self._runs: dict[int, AsyncRun] = {}
        self._driver = Driver(page)
        self._speech = Speech(page.voice)

    def run(self) -> int:
        """Claim and run until the page says to drain. Returns the exit status."""
        self._speech.begin()
        try:
            asyncio.Runner().run(self._serve())  # nobody closes it: what is left ends with this program
        except MemberFenced:
            return FENCED_STATUS
        return 0

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        loop.set_task_factory(self._driver.make_task)
        loop.set_default_executor(ThreadPoolExecutor(THREADS, "onserver-threads"))
        coroutines.serve(loop)
        self._claims = Claims(self.server, self.holder, self._code, self._queues, self._free, self._begin, self.page)
        self._orders = AsyncOrders(self.server, self.holder, self.page.board, self._runs, self._claims.ring)
        self._orders.begin()
        loop.add_signal_handler(signal.SIGUSR1, self._interrupted)
        loop.add_signal_handler(signal.SIGUSR2, self._orders.look)
        self._traced = self._tracer is not None and self._tracer.begin()
        watch_loop(self._driver, self._runs)
        self._look_at_beat()
        talks = {loop.create_task(self._claims.converse(self._done)), loop.create_task(self._orders.report())}
        ended, _ = await asyncio.wait(talks, return_when=asyncio.FIRST_COMPLETED)
        for talk in ended:
            talk.result()

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str = "") -> None:
        """Say how a process stands; from any thread."""
        self._loop.call_soon_threadsafe(self._claims.settle, number, kind, state, payload, extra)

    def _done(self) -> bool:
        return self.page.draining and not self._runs

    def _free(self) -> int:
        if self.page.draining or self._in_doubt:
            return 0
        working = sum(not run.waits for run in self._runs.values())
        return max(0, min(self._slots - working, self._slots * PLACES_A_SLOT - len(self._runs)))

    # -- the lease

    @property
    def _in_doubt(self) -> bool:
        return self.page.beat_age > CUT_SHARE * self._lease

    def _look_at_beat(self) -> None:
        """Cancel what runs while nobody knows whether it was given to another; see the table above."""
        if self.page.beat_age > CANCEL_SHARE * self._lease:
            self._cancel("silence")
        elif not self._in_doubt and self._free():
            self._claims.ring()
        self._loop.call_later(self._lease / 20, self._look_at_beat)

    def _interrupted(self) -> None:
        self._cancel("silence" if self.page.beat_age > CANCEL_SHARE * self._lease else "stop")

    def _cancel(self, why: str) -> None:
        for run in tuple(self._runs.values()):
            if why == "stop":
                run.end("stop")
            elif not run.finishes:
                run.end("silence")

    # -- one run

    def _begin(self, claim: Claim) -> bool:
        """Begin to run what was claimed. False when it must not begin now."""
        if claim.number in self._runs:
            return True
        if self.page.draining:
            self._claims.settle(claim.number, "back", "", b"")
            return True
        if self._in_doubt:
            return False
        crash_point("after_claim")
        run = AsyncRun(claim, self.page)
        run.begin()
        if self.page.board.asked(claim.number):
            run.over()
            self._claims.settle(claim.number, "back", "", b"")  # aborted or paused by that script
            return True
        self._runs[claim.number] = run
        context = contextvars.copy_context()
        context.run(here.set, run)
        self._loop.create_task(self._live(run), context=context, name=f"#{claim.number} {claim.procedure}")
        return True

    async def _live(self, run: AsyncRun) -> None:
        outcome: Outcome | Uncounted | None = None
        try:
            outcome = await self._performed(run)
        except asyncio.CancelledError as error:
            run.cut = error
            outcome = None if run.ended else Raised(coroutines.Cancelled().with_traceback(error.__traceback__))
        except BaseException as error:  # noqa: BLE001  # of what is around the body: its own are an outcome already
            outcome = Raised(error)
        finally:
            await run.end_tasks()
            del self._runs[run.number]
            run.over()
            self._speech.ends(run.number)
            self._settle(run, outcome)

    async def _performed(self, run: AsyncRun) -> Outcome | Uncounted | None:
        """Run it; None when it was settled on the way."""
        crash_point("before_run")
        claim, registry = run.claim, self.server.registry
        self._claims.tell(lambda witness: witness.begins(claim, self.holder))
        if claim.lean and not self._traced and registry.find(claim.procedure, PROCEDURE) is not None:
            prepared = prepare(claim, self.server)
            if not isinstance(prepared, Call):
                return prepared
            return await aperform(prepared, claim, self.server, self.holder, run.end_tasks)
        if self._tracer is None:
            self._claims.settle(claim.number, "back", "", b"")
        else:
            run.body_beside = True
            trace = partial(self._tracer.run, claim, _Traced(self, run))
            await self._loop.run_in_executor(self._threads, partial(contextvars.copy_context().run, trace))
        return None

    def _settle(self, run: AsyncRun, outcome: Outcome | Uncounted | None) -> None:
        crash_point("before_settle")
        if run.ended == "time" and not run.body_beside:  # whatever its body made of that
            self._claims.settle(*out_of_time(run.claim, self.server, run.cut))
        elif outcome is not None:
            self._claims.settle(*settlement(run.claim, self.server, outcome))
        elif run.cut is not None:
            self._claims.settle(run.number, "back", "", b"", "begun")
        self._claims.ring()


class _Traced:
    """What Celery's tracer settles a process through, in its thread."""

    def __init__(self, executor: AsyncExecutor, run: AsyncRun) -> None:
        self.holder = executor.holder
        self._executor, self._run = executor, run

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str = "") -> None:
        """Say how the process stands; one that was cancelled and failed for it is handed back."""
        if self._run.ended not in ("", "time") and kind in ("end", "store") and state == "failed":
            kind, state, payload, extra = "back", "", b"", "begun"
        self._executor.settle(number, kind, state, payload, extra)
