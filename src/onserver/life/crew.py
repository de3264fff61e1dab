"""The children of a supervisor: forking, watching, ending, reaping and burying them.

A death is kept until it is buried in Redis: while Redis cannot be reached nothing is forked in its place, because a new
holder cannot be enlisted, and nothing is lost, because nobody else may be given what a dead holder has.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from onserver.cluster.member import Member
from onserver.crash import crash_point
from onserver.life import late
from onserver.life.child import Child, Role, fork
from onserver.life.executor import CUT_SHARE, CUT_STATUS, FENCED_STATUS, Executor, Tracer
from onserver.life.hook_records import end_late
from onserver.life.kinship import kill_orphans
from onserver.life.page import Page
from onserver.life.recycling import is_worn
from onserver.life.witness import witnesses
from onserver.process.claim import read_claim
from onserver.process.stack import SIGNAL
from onserver.server import Server

#: Share of the lease without a good beat after which what runs is interrupted; at CUT_SHARE it is killed.
INTERRUPT_SHARE = 0.7
#: Seconds between an interruption and the kill.
KILL_AFTER_SECONDS = 2.0
#: Seconds that one executor too many is kept after a pause: the next pause may come soon.
SURPLUS_SECONDS = 3.0
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class Death:
    """A child that has ended and is to be buried."""

    child: Child
    begun: tuple[int, ...]
    counted: bool


class Crew:
    """The children of one member. See the top of this module.

    Args:
        server: the loaded project.
        member: this worker's membership.
        tracer: handed to the executors.
        gate: held while forking.
        on_fork: told of each new child, to watch its pipes.
        on_end: told of each child that has ended, before its pipes are closed.
    """

    def __init__(
        self,
        server: Server,
        member: Member,
        tracer: Tracer | None,
        gate: AbstractContextManager[object],
        on_fork: Callable[[Child], None],
        on_end: Callable[[Child], None],
    ) -> None:
        self._server = server
        self._member = member
        self._tracer = tracer
        self._gate = gate
        self._on_fork, self._on_end = on_fork, on_end
        self._lease = server.settings.member.lease_seconds
        self.children: dict[int, Child] = {}
        self.deaths: list[Death] = []
        self._sent = monotonic()
        self._pause, self._fork_at = 0.0, 0.0
        self._surplus_since = 0.0
        self._spare = server.settings.worker.stand_ins

    # -- forking

    def executors(self) -> list[Child]:
        """The executors that were not told to finish."""
        return [child for child in self.children.values() if child.role == "executor" and not child.draining]

    def loops(self) -> list[Child]:
        """The async executors that were not told to finish."""
        return [child for child in self.children.values() if child.role == "async" and not child.draining]

    def fill(self, count: int, code: str, queues: Sequence[str]) -> None:
        """Fork executors until `count` of them take work; wait a little when they die at once.

        One that is paused takes none, nor does one that waits for another process: a stand-in is forked beside it. When
        it goes on there is one too many, and the first that is idle for a while leaves.
        """
        stand_ins = self._server.settings.worker.stand_ins
        going, takers = self._going()
        self._trim(takers, count)
        spare = stand_ins - max(0, len(going) - count)
        self._note_spare(spare)
        for number in range(count - len(takers)):
            if not self.may_fork:
                return
            holder = self._member.enlist(code, queues)
            # after it was enlisted and before it runs: whoever waits meanwhile sees a free executor, or a spare one
            self._note_spare(stand_ins - max(0, len(going) + number + 1 - count))
            page = Page()
            self.add("executor", holder, page, self._executor(holder, page, code, queues))

    def shrink(self, count: int) -> None:
        """Let those leave that are more than `count`: first who is idle, then who runs something, at its end."""
        takers = sorted(self._going()[1], key=lambda child: bool(child.page.current))
        self.drain(takers[: max(0, len(takers) - count)])

    def _going(self) -> tuple[list[Child], list[Child]]:
        """The executors that are not paused; and those of them that take work, or will when theirs is done."""
        going = [child for child in self.executors() if not child.stopped_at and not child.page.halted]
        waiting = [child for child in going if child.page.waits][: self._server.settings.worker.stand_ins]
        return going, [child for child in going if child not in waiting]

    def recycle(self, count: int, code: str, queues: Sequence[str]) -> None:
        """Replace an executor that has done enough: its successor is forked before it leaves."""
        settings = self._server.settings.worker
        for child in self.executors():
            if is_worn(child, settings) and not child.stopped_at and not child.page.halted:
                child.draining = True
                self.fill(count, code, queues)
                child.draining = False
                self.drain([child])
                return

    def _note_spare(self, spare: int) -> None:
        if spare != self._spare:
            self._member.note_spare(max(0, spare))
            self._spare = spare

    def _trim(self, takers: Sequence[Child], count: int) -> None:
        if len(takers) <= count:
            self._surplus_since = 0.0
        elif not self._surplus_since:
            self._surplus_since = monotonic()
        elif monotonic() - self._surplus_since > SURPLUS_SECONDS:
            idle = [child for child in takers if not child.page.current]
            self.drain(idle[: len(takers) - count])

    def _executor(self, holder: str, page: Page, code: str, queues: Sequence[str]) -> Callable[[], int]:
        def wake() -> None:
            os.kill(os.getppid(), signal.SIGCHLD)

        return lambda: Executor(self._server, holder, page, code, queues, self._tracer, wake).run()

    def run_hook(self, body: Callable[[Executor], int]) -> Child:
        """Fork a child beside the executors that runs one hook."""
        holder = self._member.enlist()
        page = Page()
        return self.add("hook", holder, page, lambda: body(Executor(self._server, holder, page, "", (), self._tracer)))

    def run_side(self, holder: str, body: Callable[[Executor], int]) -> Child:
        """Fork a child beside the executors for what this holder has taken."""
        page = Page()
        return self.add("side", holder, page, lambda: body(Executor(self._server, holder, page, "", (), self._tracer)))

    @property
    def may_fork(self) -> bool:
        """Whether it is time to fork: where children die at once, there is a pause."""
        return monotonic() >= self._fork_at

    def add(self, role: Role, holder: str, page: Page, body: Callable[[], int]) -> Child:
        """Fork a child that runs `body`."""
        page.stamp(self._sent)
        child = fork(role, holder, page, self._lease, self._gate, body)
        self.children[child.pid] = child
        self._on_fork(child)
        return child

    # -- watching

    def stamp(self, sent: float) -> None:
        """A beat sent at this monotonic time was answered."""
        self._sent = sent
        for child in self.children.values():
            child.page.stamp(sent)
            child.goes_on()

    def look_at_late(self) -> None:
        """See to executors whose process takes long: see `late`.

        Raises:
            BrokerUnavailable: as `hand_back`.
        """
        late.look(self.children.values(), self.hand_back)

    def end_overdue(self) -> None:
        """End what may not run on: Redis silent for too long, time limits, interruptions that were not heeded."""
        now = monotonic()
        for child in self.children.values():
            running = child.page.current and not child.page.finishes
            if running and child.page.beat_age > CUT_SHARE * self._lease:
                child.kill("silence")
            elif running and child.page.beat_age > INTERRUPT_SHARE * self._lease and not child.interrupted_at:
                child.interrupt("silence")
            elif child.ended == "stop" and now - child.interrupted_at > KILL_AFTER_SECONDS:
                child.kill("stop")
            elif not (child.ended or child.stopped_at or child.page.halted):  # while it is paused its time stands still
                self._end_late(child)

    def _end_late(self, child: Child) -> None:
        run = child.page.run_began  # before its limit is read: the next run is another
        if child.page.over_time:
            child.overdue = child.page.overdue
            child.kill("time")
        elif child.page.late and not child.page.is_out_of_time:
            child.interrupt_run(for_time=True, run=run)

    def next_deadline(self) -> float | None:
        """Seconds until something may become overdue, or None."""
        soon, now = late.due_seconds(self.children.values()), monotonic()
        if soon is not None:
            return soon
        if any(child.page.current or child.ended or now < child.busy_until for child in self.children.values()):
            return float(min(0.1, self._lease / 20))
        return None

    # -- ending

    def drain(self, children: Iterable[Child]) -> None:
        """Let these finish what they run and exit; what they have claimed and not begun, others have at once."""
        for child in children:
            if not child.draining:
                child.draining = True
                child.page.drain()
                self._member.retire(child.holder)
                if child.role == "executor":
                    self.hand_back(child)  # from now on it begins nothing that it had not begun

    def stop(self) -> None:
        """Interrupt what still runs; it is killed soon after."""
        for child in self.children.values():
            if child.stopped_at:
                child.kill("stop")  # paused: it is remembered, and runs again when it is resumed
            elif not child.ended:
                child.interrupt("stop")

    def kill(self, why: Literal["stop", "silence"] = "stop") -> None:
        """Kill all children and reap them."""
        for child in self.children.values():
            with suppress(ProcessLookupError):
                child.kill(why)
        while self.children:
            self._reaped(*os.waitpid(-1, 0))

    def reap(self) -> list[Child]:
        """Reap whoever has ended. Returns the children that were ours."""
        ended: list[Child] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            child = self._reaped(pid, status)
            if child is not None:
                ended.append(child)

    def _reaped(self, pid: int, status: int) -> Child | None:
        child = self.children.pop(pid, None)
        if child is None:
            return None  # what a dead executor had left behind
        child.status = status
        killed = os.WIFSIGNALED(status)
        if killed or child.ended:
            kill_orphans(self.children.keys())
        self._on_end(child)
        child.close()
        exit_status = -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)
        counted = not (child.ended in ("silence", "stop", "abort") or exit_status in (CUT_STATUS, FENCED_STATUS))
        begun = child.page.may_have_run
        if child.ended == "time" and child.overdue in begun:
            begun = (child.overdue, *(number for number in begun if number != child.overdue))
        self.deaths.append(Death(child, begun, counted))
        young = monotonic() - child.born < 1.0 and exit_status != 0 and not child.page.current
        self._pause = min(max(0.1, self._pause * 2), _LONGEST_PAUSE) if young else 0.0
        self._fork_at = monotonic() + self._pause
        return child

    def stop_where_it_is(self, child: Child) -> bool:
        """Stop a child (SIGSTOP), and return when it has stopped. False when it ended instead."""
        try:
            os.kill(child.pid, signal.SIGSTOP)
            pid, status = os.waitpid(child.pid, os.WUNTRACED)
        except (ProcessLookupError, ChildProcessError):
            return False
        if os.WIFSTOPPED(status):
            return True
        self._reaped(pid, status)
        return False

    def tell_stack(self, number: str) -> None:
        """Have the executor that runs a process write where it is to its error output; nobody, where none does."""
        for child in self.children.values():
            if str(child.page.current) == number and child.role != "async":
                os.kill(child.pid, SIGNAL)

    def hand_back(self, child: Child) -> None:
        """Let others have what a child has claimed and not begun; it asks what is its own before it begins more.

        Raises:
            BrokerUnavailable: Redis did not say that it was done: until it has, the child begins nothing more.
        """
        page = child.page
        page.renew()
        begun, unsent = page.begun, page.unsent.numbers
        _, held = self._member.give(child.holder, page.generation, (*begun, *unsent))
        page.renewed()
        child.unsaid = any(number in held for number in unsent)

    def bury(self) -> None:
        """Bury the dead in Redis: what they held is claimed again by others."""
        while self.deaths:
            death = self.deaths[0]
            crash_point("before_bury")
            if death.child.ended == "time" and death.begun:
                self._time_out(death)
            self._member.bury(death.child.holder, death.begun, death.counted)
            self.deaths.pop(0)
            for witness in witnesses:
                for number in death.begun:
                    witness.buried(number)

    def _time_out(self, death: Death) -> None:
        """End the process whose time was up, in the name of the holder that was killed for it."""
        process = self._server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
        claim = read_claim(self._member.store, death.begun[0])
        if claim is not None:
            ended = end_late(self._server, death.child.holder, claim)
            self._member.store.run("step", death.child.holder, 0, 0, *keep, "", 0, *ended)


def describe_end(child: Child) -> str:
    """How a child ended, for people."""
    if os.WIFSIGNALED(child.status):
        return f"was killed by {signal.Signals(os.WTERMSIG(child.status)).name}"
    return f"exited with status {os.WEXITSTATUS(child.status)}"
