"""A seat: one thread of the engine that claims, runs and settles, one process at a time, as an executor does.

A thread cannot be killed. What is asked to stop, or reaches its time limit, is interrupted in code of the project (see
`onserver.life.in_thread`); what does not heed that goes on, and nobody listens to it any more.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from time import monotonic
from typing import Protocol

from onserver.alone.place import Place
from onserver.cluster.member import Member
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.interrupt import Interrupted
from onserver.life.in_place import TimeIsUp, run_within
from onserver.life.in_thread import raise_in
from onserver.process import coroutines
from onserver.process.claim import Claim, Settlement
from onserver.process.runner import Call, Outcome, Raised, out_of_time, perform, settlement
from onserver.redis.link import Link
from onserver.server import Server

#: Seconds between two tries to reach Redis, and between two looks whether a thread can be interrupted.
_PAUSE_SECONDS, _LOOK_SECONDS = 0.1, 0.02


class Seated(Protocol):
    """The engine, as its seats see it."""

    server: Server
    member: Member
    #: Set when seats are to end.
    stopping: threading.Event

    def seat_place(self) -> Place:
        """Answer a place with the newest code that no other seat has."""
        ...

    def give_up(self, place: Place) -> None:
        """Leave a retired place at which nothing is held any more."""
        ...

    def asked(self, number: int) -> bool:
        """Whether anything is asked of this process."""
        ...

    def join_anew(self, fenced: Member) -> None:
        """Become another member."""
        ...

    def takes_work(self, seat: Seat) -> None:
        """A seat is no longer idle."""
        ...

    def is_idle(self, seat: Seat) -> None:
        """A seat begins to wait for work."""
        ...


class Ended(Interrupted):
    """Raised in what a seat runs that is to end; Python makes it without arguments."""

    def __init__(self) -> None:
        super().__init__("asked to stop")


class Seat(threading.Thread):
    """See the top of this module.

    Args:
        engine: whose seat it is.
        place: where it claims first.
        number: for its name.
    """

    def __init__(self, engine: Seated, place: Place, number: int) -> None:
        super().__init__(name=f"onserver-seat-{number}", daemon=True)
        self.place = place
        #: Whether it waits for work, and is known to Redis as one that does.
        self.idle = False
        #: Number of the process that runs, 0 for none.
        self.current = 0
        self._engine = engine
        self._server = engine.server
        self._body_in = 0
        self._interrupted = False
        self._guard = threading.Lock()

    def run(self) -> None:
        """Work until the engine stops."""
        settlements: Sequence[Settlement] = []
        with self._server.store.link() as link:
            while not self._engine.stopping.is_set():
                try:
                    claims = self.place.step(settlements)
                    settlements = []
                    claims = claims or self._next(link)
                    if claims:
                        self._engine.takes_work(self)
                except MemberFenced as fenced:
                    settlements, claims = [], []
                    self._fenced(fenced)
                except BrokerUnavailable:  # the same is said again: what was done by then is recognised
                    self._engine.stopping.wait(_PAUSE_SECONDS)
                    continue
                settlements = [said for claim in claims for said in self._ran(claim)]
            self._say_last(settlements)

    # -- claiming

    def _next(self, link: Link) -> list[Claim]:
        """Wait for what is handed over; a seat whose place is retired takes a new one first."""
        if self.place.retired:
            left, self.place = self.place, self._engine.seat_place()
            self._engine.give_up(left)
            return []
        if self._engine.stopping.is_set():
            return []  # the step may have taken the wake of a close that had just begun
        self._engine.is_idle(self)
        return self.place.handed_over(link)

    def _fenced(self, fenced: MemberFenced) -> None:
        """What ran here is somebody else's now; go on as another member."""
        sys.stderr.write(f"{fenced} What ran here meanwhile is not accepted.\n")
        try:
            self._engine.join_anew(self.place.member)
            self.place = self._engine.seat_place()
        except (BrokerUnavailable, MemberFenced):
            self._engine.stopping.wait(_PAUSE_SECONDS)  # the next step says again that it was declared dead

    def _say_last(self, settlements: Sequence[Settlement]) -> None:
        try:
            self.place.step(settlements, claim=0)
        except (BrokerUnavailable, MemberFenced) as error:
            sys.stderr.write(f"what ran last could not be settled: {error}\n")

    # -- running

    def _ran(self, claim: Claim) -> list[Settlement]:
        if self._engine.asked(claim.number):
            return [(claim.number, "back", "", b"", "")]  # aborted or paused by that script
        self.current, self._interrupted = claim.number, False
        try:
            return self.place.run(claim, self._performed)
        finally:
            self.current = 0

    def _performed(self, call: Call, claim: Claim) -> Settlement:
        try:
            outcome = self._within(call, claim)
        except TimeIsUp as late:
            return out_of_time(claim, self._server, late.__cause__)
        except Interrupted:
            return claim.number, "back", "", b"", "begun"
        if self._interrupted and isinstance(outcome, Raised) and isinstance(outcome.error, coroutines.Cancelled):
            return claim.number, "back", "", b"", "begun"
        return settlement(claim, self._server, outcome)

    def _within(self, call: Call, claim: Claim) -> Outcome:
        def body() -> Outcome:
            self._body_in = threading.get_ident()
            try:
                return perform(call, claim, self._server, self.place.holder)
            finally:
                with self._guard:  # nothing is raised here once this is left
                    self._body_in = 0

        return run_within(claim.timeout_ms / 1000, body) if claim.timeout_ms else body()

    # -- for others

    def interrupt(self, number: int = 0) -> bool:
        """Raise in what runs, if it is this process. False while it is in code of ours: try again."""
        with self._guard:
            if number and self.current != number:
                return True
            if not self._body_in:
                return not self.current  # it is about to begin, or has just ended
            self._interrupted = raise_in(self._body_in, Ended)
            return self._interrupted

    def end(self, seconds: float, *, interrupts: bool) -> None:
        """Wait for the end of this thread for so long; what runs is interrupted meanwhile, if that is said."""
        until, said = monotonic() + seconds, not interrupts
        while self.is_alive() and monotonic() < until:
            said = said or self.interrupt()
            self.join(min(_LOOK_SECONDS if not said else seconds, max(0.0, until - monotonic())))
