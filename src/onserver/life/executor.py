"""An executor: claims, runs and settles, one process at a time, over one connection of its own.

Settling one process and claiming the next are one round trip (`step`). With nothing to claim it is registered as idle
by that same script and waits on its hand-off list, where *put* leaves the next process whole. After a lost reply it
sends its settlements again, which are recognised, and asks what it holds (`resume`) before it claims anything new.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Sequence
from time import monotonic, sleep
from types import FrameType
from typing import Protocol

from onserver.crash import crash_point
from onserver.errors import MemberFenced
from onserver.interrupt import TIME_IS_UP, Interrupted, forget, interrupt
from onserver.life import in_place
from onserver.life.board import ABORT
from onserver.life.heeding import Heeding
from onserver.life.page import Page
from onserver.life.witness import witnesses
from onserver.process.claim import WIDTH, Claim, Settlement
from onserver.process.recent import Recent
from onserver.process.runner import out_of_time, run
from onserver.process.stack import SIGNAL
from onserver.redis.answers import LinkError
from onserver.redis.resp import Word
from onserver.registry import PROCEDURE
from onserver.server import Server

#: How many processes of `batch=True` are claimed at once, and how long their settlements may wait.
BATCH, FLUSH_SECONDS = 16, 0.005
#: Seconds after which an idle executor asks for its hand-off list again.
WAIT_SECONDS = 5
#: Share of the lease without a good beat after which nothing may run any more.
CUT_SHARE = 0.8
#: Exit status of an executor that was declared dead, and of one that ended itself for want of a beat.
FENCED_STATUS, CUT_STATUS = 70, 71


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
    """

    def __init__(
        self, server: Server, holder: str, page: Page, code: str, queues: Sequence[str], tracer: Tracer | None = None
    ) -> None:
        self.server = server
        self.holder = holder
        self.page = page
        self._tracer = tracer
        #: Whether Celery's tracer runs procedures too.
        self._traced = False
        self._link = server.store.link()
        self._script = server.store.script("step")
        self._prefix = server.store.prefix
        process = server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
        self._words: tuple[Word, ...] = (*keep, code, len(queues), *queues)
        self._inbox = server.store.key(f"x:{holder}")
        self._settlements: list[Settlement] = []
        self._recent = server.part(Recent)
        self._unsent_since = 0.0
        self._resume = False
        self._doubtful_until = 0.0
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
        try:
            while not self.page.draining:
                if self._doubtful_until and monotonic() > self._doubtful_until:
                    self._resume, self._doubtful_until = True, 0.0
                claims = self._step(BATCH if self._batching else 1)
                if not claims:
                    claims = self._wait()
                for index, claim in enumerate(claims):
                    if not self._perform(claim):
                        self._hand_back(claims[index:])
                        break
            self._step(0)
        except MemberFenced:
            return FENCED_STATUS
        return 0

    def run_one(self, claim: Claim) -> int:
        """Run one claimed process and settle it: what a child for a hook does. Returns the exit status."""
        self._heeding.begin()
        in_place.limit_by(self.page)
        try:
            self._perform(claim)
            self._step(0)
        except MemberFenced:
            return FENCED_STATUS
        return 0

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str = "") -> None:
        """Say how a process stands. What ends it travels with the next claim; anything else is sent at once."""
        if not self._settlements:
            self._unsent_since = monotonic()
        self._settlements.append((number, kind, state, payload, extra))
        self.page.unsent.add(number)
        for witness in witnesses:
            aborted = kind == "back" or state == "failed"
            aborted = aborted and bool(self.page.board.asked(number) & ABORT)
            witness.settled(number, kind, "aborted" if aborted else state, payload)
        if kind not in ("end", "free", "retry") or self.page.unsent.full:
            self._step(0)

    def _perform(self, claim: Claim) -> bool:
        """Run one process. False when it must not begin here: the lease is in doubt, or it was handed back."""
        if self.page.draining:
            self._look_for_renewal()
            return False
        if self.page.beat_age > self._cut_seconds:
            self._await_beat()
            return False
        crash_point("after_claim")
        self._batching = "B" in claim.flags
        if self._settlements and (not self._batching or self._is_urgent(claim)):
            self._step(0)
        by_checkpoint = "P" in claim.flags or bool(self._settlements)  # what is unsent must not be stopped with it
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
            self.page.end()
            self.page.voice.pauses()
            forget()
        return True

    def _is_urgent(self, claim: Claim) -> bool:
        """Whether what a batch has ended is said before this one begins.

        Whoever buries a whole worker knows only what each executor has claimed first of what it holds, and takes that
        for what had begun: so nothing stands before one that must not run twice.
        """
        return "R" in claim.flags or monotonic() - self._unsent_since > FLUSH_SECONDS

    def _look_for_renewal(self) -> bool:
        """Whether what had not begun was handed back by the supervisor: what is still ours is asked for, then."""
        renewed = self.page.generation != self._generation
        if renewed:
            self._generation, self._resume = self.page.generation, True
        return renewed

    def _run(self, claim: Claim) -> None:
        crash_point("before_run")
        for witness in witnesses:
            witness.begins(claim, self.holder)
        registry = self.server.registry
        ours = not self._traced and registry.find(claim.procedure, PROCEDURE) is not None
        if claim.lean and (claim.hook or claim.side or ours):
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
            if halted and self._settlements:
                self._step(0)  # before what it has not begun is handed back
            self.page.halt(halted=halted)

    def _hand_back(self, claims: Sequence[Claim]) -> None:
        if self._resume:
            return  # the next step answers what is still ours
        for claim in claims:
            self.settle(claim.number, "back", "", b"")

    def _await_beat(self) -> None:
        """Wait until the supervisor has a good beat again; what is ours then is asked for."""
        while self.page.beat_age > self._cut_seconds and not self.page.draining:
            sleep(0.02)
        self._resume = True

    # -- the trips

    def _step(self, claim: int) -> list[Claim]:
        pause = 0.02
        while True:
            words: list[Word] = [word for settlement in self._settlements for word in settlement]
            try:
                refused, change, again, *messages = self._link.run(
                    self._script, self._prefix, self.holder, claim, int(self._resume), *self._words, *words
                )
            except LinkError:
                self._resume = True
                sleep(pause)
                pause = min(2 * pause, 0.5)
                continue
            if self._settlements:
                crash_point("after_settle")
                self._recent.report()
                for settlement in self._settlements:
                    self._recent.note(settlement[0])
                self._settlements.clear()
                self.page.unsent.clear()
            for number in refused:
                sys.stderr.write(f"#{number} was given to another meanwhile: what it did here is not accepted\n")
            self._resume = False
            self.server.storage.cache.require(change)
            if messages or not (again and claim):
                return [Claim.read(message) for message in messages]

    def _wait(self) -> list[Claim]:
        """Wait for a hand-off, without asking. Returns nothing when there may be something to claim."""
        while not self.page.draining:
            try:
                self._link.send("BLMPOP", WAIT_SECONDS, 1, self._inbox, "LEFT", "COUNT", WIDTH + 1)
                answer = self._link.receive(WAIT_SECONDS + self._link.command_seconds)
            except LinkError:
                self._link.close()
                self._resume = True
                # Redis may not know yet that the old connection is gone, and hand something to its wait
                self._doubtful_until = monotonic() + WAIT_SECONDS + 1
                sleep(0.05)
                return []
            if answer is None and self._doubtful_until:
                self._resume = True
                return []
            if answer is not None:
                *message, change = answer[1]
                if message[0] == b"wake":
                    return []
                self.server.storage.cache.require(int(change))
                return [Claim.read(message)]
        return []


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
