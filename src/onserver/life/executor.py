"""An executor: claims, runs and settles, one process at a time, over one connection of its own (see `trips`)."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Callable, Sequence
from time import sleep
from types import FrameType
from typing import Protocol

from onserver.crash import crash_point
from onserver.errors import MemberFenced
from onserver.interrupt import TIME_IS_UP, Interrupted, forget, interrupt
from onserver.life import in_place
from onserver.life.board import ABORT
from onserver.life.heeding import Heeding
from onserver.life.page import Page
from onserver.life.trips import Trips
from onserver.life.witness import witnesses
from onserver.process.claim import Claim
from onserver.process.runner import out_of_time, run
from onserver.process.stack import SIGNAL
from onserver.registry import PROCEDURE
from onserver.server import Server

#: How many processes of `batch=True` are claimed at once, and how long their settlements may wait.
BATCH, FLUSH_SECONDS = 16, 0.005
#: After how many short processes in a row, each claimed without waiting for it, the next is claimed ahead; after how
#: many more of them one more, and how many at most.
SHORT_RUNS, MORE_RUNS, MOST_AHEAD = 8, 8, 8
_ALL_AHEAD = SHORT_RUNS + MORE_RUNS * (MOST_AHEAD - 1)
#: Share of the lease without a good beat after which nothing may run any more.
CUT_SHARE = 0.8
#: Exit status of an executor that was declared dead, and of one that ended itself for want of a beat.
FENCED_STATUS, CUT_STATUS = 70, 71
#: How soon an executor sees that what it had not begun was handed back, in seconds.
_RENEWAL_SECONDS = 0.001


class Settles(Protocol):
    """What holds a process and says how it ends: an executor, or the worker of the test plug-in."""

    holder: str

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str = "") -> None:
        """Say how a process stands."""
        ...


class Tracer(Protocol):
    """Runs what came through Celery; handed in by the command line, since Celery is above this floor."""

    def begin(self) -> bool:
        """An executor begins. Returns whether procedures are to be run here as well."""
        ...

    def run(self, claim: Claim, holding: Settles) -> None:
        """Run one claim and settle it through `holding.settle`."""
        ...


class Executor:
    """See the top of this module.

    Args:
        server: the server, loaded before the fork; its connections are made anew here.
        holder: "member.incarnation", enlisted by the supervisor.
        page: shared with the supervisor.
        code: digest of what this program can run.
        queues: where to claim from, first one first.
        tracer: runs what is no lean call of a procedure.
        wake: has the supervisor look at the page.
    """

    def __init__(
        self,
        server: Server,
        holder: str,
        page: Page,
        code: str,
        queues: Sequence[str],
        tracer: Tracer | None = None,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self.server = server
        self.holder = holder
        self.page = page
        self._tracer = tracer
        #: Whether Celery's tracer runs procedures too.
        self._traced = False
        self._trips = Trips(server, holder, page, code, queues, wake)
        #: How many processes in a row were short and did not have to be waited for; how many were not, since some were.
        self._short = self._long = 0
        self._batching: bool = False
        self._generation = page.generation
        self._heeding = Heeding(server, page.board, self._halt, page.hold, page.wait)
        self._cut_seconds = CUT_SHARE * server.settings.member.lease_seconds

    # -- the loop

    def run(self) -> int:
        """Claim and run until the page says to drain. Returns the exit status."""
        self._heeding.begin()
        in_place.limit_by(self.page)
        self._traced = self._tracer is not None and self._tracer.begin()
        before = signal.signal(signal.SIGUSR2, lambda _number, _frame: self._trips.catch_up())
        try:
            while not self.page.draining:
                self._perform_all(self._next())
            self._trips.step(0)
        except MemberFenced:
            return FENCED_STATUS
        finally:
            signal.signal(signal.SIGUSR2, before)
        return 0

    def run_one(self, claim: Claim) -> int:
        """Run one claimed process and settle it: what a child for a hook does. Returns the exit status."""
        self._heeding.begin()
        in_place.limit_by(self.page)
        try:
            self._perform(claim)
            self._trips.step(0)
        except MemberFenced:
            return FENCED_STATUS
        return 0

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str = "") -> None:
        """Say how a process stands. What ends it travels with the next claim; anything else is sent at once."""
        self._trips.settle((number, kind, state, payload, extra))
        for witness in witnesses:
            aborted = kind == "back" or state == "failed"
            aborted = aborted and bool(self.page.board.asked(number) & ABORT)
            witness.settled(number, kind, "aborted" if aborted else state, payload)
        if kind not in ("end", "free", "retry") or self.page.unsent.full:
            self._trips.step(0)

    def _next(self) -> list[Claim]:
        """What comes next; nothing where it has to be asked for once more."""
        if self._trips.is_ahead and self._long > 1:
            for left in self._trips.rest():  # each of them may be one that takes as long
                self.settle(left.number, "back", "", b"")
        elif self._trips.is_ahead:
            claims = self._trips.collect()
            if self._trips.in_vain:
                self._trips.in_vain = False
                self._short = min(self._short, (self._short + SHORT_RUNS) // 2)  # half as many ahead
            if claims:
                return claims
            self._short = 0
        claims = self._trips.step(BATCH if self._batching else 1)
        if claims:
            return claims
        self._short = 0
        return self._trips.wait()

    def _perform_all(self, claims: Sequence[Claim]) -> None:
        """Run what was claimed, and hand back from the first on that must not begin here."""
        for index, claim in enumerate(claims):
            if not self._perform(claim, alone=len(claims) == 1):
                if not self._trips.in_doubt:  # else the next trip answers what is still ours
                    for left in claims[index:]:
                        self.settle(left.number, "back", "", b"")
                break

    def _perform(self, claim: Claim, *, alone: bool = False) -> bool:
        """Run one process. False when it must not begin here: the lease is in doubt, or it was handed back."""
        if self.page.draining:
            self._look_for_renewal()
            return False
        if self.page.beat_age > self._cut_seconds:
            self._await_beat()
            return False
        crash_point("after_claim")
        self._batching = "B" in claim.flags
        if alone and self._short >= SHORT_RUNS and not (self._batching or "R" in claim.flags):  # see `_is_urgent`
            self._short, self._long = min(self._short, _ALL_AHEAD), 0
            if not self._trips.look_ahead(1 + (self._short - SHORT_RUNS) // MORE_RUNS):
                self._short = 0
        if self._trips.unsent and (not self._batching or self._is_urgent(claim)):
            self._trips.step(0)
        if self._trips.in_doubt:
            return False
        by_checkpoint = "P" in claim.flags or self._trips.unsent  # what is unsent must not be stopped with it
        self.page.voice.begins(claim.number)
        self.page.begin(
            claim.number,
            finish="F" in claim.flags,
            timeout_ms=claim.timeout_ms,
            grace_ms=claim.grace_ms,
            by_checkpoint=by_checkpoint,
        )
        if self._look_for_renewal():
            self.page.end()
            self._await_renewal()
            return False
        if self.page.board.asked(claim.number):
            self.page.end()
            self.settle(claim.number, "back", "", b"")  # aborted or paused by that script
            return True
        try:
            self._run(claim)
        except Interrupted as interrupted:
            if self.page.is_out_of_time:
                self.settle(*out_of_time(claim, self.server, interrupted))
            else:
                self.settle(claim.number, "back", "", b"", "begun")
        finally:
            if self.page.end():
                self._short += 1
            else:
                self._short, self._long = 0, self._long + 1
            self.page.voice.pauses()
            forget()
        return True

    def _is_urgent(self, claim: Claim) -> bool:
        """Whether what a batch has ended is said before this one begins.

        Whoever buries a whole worker knows only what each executor has claimed first of what it holds, and takes that
        for what had begun: so nothing stands before one that must not run twice.
        """
        return "R" in claim.flags or self._trips.unsent_seconds > FLUSH_SECONDS

    def _look_for_renewal(self) -> bool:
        """Whether what had not begun was handed back by the supervisor: what is still ours is asked for, then."""
        renewed = self.page.generation != self._generation
        if renewed:
            self._generation = self.page.generation
            self._trips.in_doubt = True
        return renewed

    def _await_renewal(self) -> None:
        """Wait until Redis has said that it was handed back: what is asked before may be handed back after that."""
        while self.page.is_renewing and not self.page.draining:
            sleep(_RENEWAL_SECONDS)

    def _run(self, claim: Claim) -> None:
        crash_point("before_run")
        for witness in witnesses:
            witness.begins(claim, self.holder)
        registry = self.server.registry
        ours = not self._traced and registry.find(claim.procedure, PROCEDURE) is not None
        if claim.lean and (ours or claim.hook or claim.side):
            ended = run(claim, self.server, self.holder)
            self.settle(*(out_of_time(claim, self.server) if self.page.is_out_of_time else ended))
        elif self._tracer is not None:
            self._tracer.run(claim, self)
        else:
            self.settle(claim.number, "back", "", b"")
        crash_point("before_settle")

    def _halt(self, halted: bool) -> None:
        """What runs begins, or ceases, to wait at a checkpoint: its executor takes no work meanwhile."""
        if threading.current_thread() is threading.main_thread():
            if halted and (self._trips.unsent or self._trips.under_way):
                self._trips.step(0)  # before what it has not begun is handed back
            self.page.halt(halted=halted)

    def _await_beat(self) -> None:
        """Wait until the supervisor has a good beat again; what is ours then is asked for."""
        while self.page.beat_age > self._cut_seconds and not self.page.draining:
            sleep(0.02)
        self._trips.in_doubt = True


def watch(page: Page, lease_seconds: float, parent: int) -> None:
    """End this executor when its supervisor is gone, or has had no good beat for 0.8 leases while something runs."""
    while True:
        sleep(lease_seconds / 20)
        if os.getppid() != parent:
            os._exit(CUT_STATUS)
        if page.current and not page.finishes and page.beat_age > CUT_SHARE * lease_seconds:
            os._exit(CUT_STATUS)


def prepare(page: Page, lease_seconds: float, parent: int) -> None:
    """Make this process an executor: its signals, and the thread that watches the beat."""

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """The supervisor decides; a handler and not SIG_IGN, so that programs started here do not inherit it."""

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if page.is_interrupted:
            interrupt(Interrupted(TIME_IS_UP if page.is_out_of_time else "ended by its supervisor"))

    signal.signal(signal.SIGINT, ignore)
    signal.signal(signal.SIGTERM, ignore)
    signal.signal(signal.SIGHUP, ignore)
    for plain in (signal.SIGCHLD, signal.SIGTSTP, signal.SIGCONT):
        signal.signal(plain, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, interrupted)
    signal.signal(signal.SIGUSR2, ignore)
    faulthandler.register(SIGNAL, file=2, all_threads=True)
    threading.Thread(target=watch, args=(page, lease_seconds, parent), name="onserver-watch", daemon=True).start()
