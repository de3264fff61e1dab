"""The engine: the member, its places, and who runs what is claimed there. See the top of this package."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Sequence
from time import monotonic
from typing import Final

from onserver.alone.keeper import Keeper
from onserver.alone.place import Place, Seen
from onserver.alone.seat import Seat
from onserver.cli.celery_side import LateTracer, task_names
from onserver.cluster.member import Member
from onserver.cluster.sweep import bury_gone
from onserver.life import epoch as epochs
from onserver.life.code import Code
from onserver.process.claim import Settlement
from onserver.process.procedure import Procedure
from onserver.server import Server

#: Seconds that threads get to end, once nothing runs in them or what runs was interrupted.
ENDS: Final = 10.0
#: How soon what was handed over and not heard of yet is looked for again, in seconds.
_LOOK_SECONDS: Final = 0.02


class Engine:
    """Runs processes in this program.

    Args:
        server: the loaded project.
        node: its name for people.
        queues: the queues whose processes run here.
        seats: how many processes may run at a time in threads of the engine; 0: who starts one runs it.
        every_queue: run the processes of every queue that a procedure, or a start, names.
        kept: have a keeper. Without one nothing is due by itself, and no lease is renewed.
        seen: told of each call that is run.
    """

    def __init__(
        self,
        server: Server,
        node: str,
        queues: Sequence[str] = ("default",),
        *,
        seats: int = 0,
        every_queue: bool = False,
        kept: bool = False,
        seen: Seen | None = None,
    ) -> None:
        self.server = server
        #: The places of this program; the last one has the newest code.
        self.places: list[Place] = []
        #: Set when seats are to end.
        self.stopping = threading.Event()
        self._node = node
        self._queues = list(queues)
        self._most = seats
        self._every_queue = every_queue
        self._kept = kept
        self._seen = seen
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._names: Sequence[str] | None = None
        self._untaken: list[Place] = []
        self._seats: list[Seat] = []
        self._tracer = LateTracer(server)
        self._keeper: Keeper | None = None

    # -- life

    def open(self) -> None:
        """Join, and be a running server."""
        if self._kept:
            bury_gone(self.server.store, self.server.settings)
        self._join()
        if self._kept:
            self._keeper = Keeper(self)
            self._keeper.start()
        if self._most:
            self.seat_another()

    def close(self, grace_seconds: float = 0.0) -> str:
        """Take no more work, and leave. Returns where the threads are that have not ended, for people.

        Args:
            grace_seconds: how long to wait for what runs and what has been started here; what has not ended then is
                interrupted, and runs again when somebody comes.
        """
        self._await_rest(grace_seconds)
        self.stopping.set()
        stuck = self._end_seats()
        if self._keeper is not None:
            self._keeper.end()
        for place in tuple(self.places):
            running = [seat.current for seat in self._seats if seat.is_alive() and seat.place is place and seat.current]
            self.member.bury(place.holder, running, counted=False)
        last = epochs.leaving(self.member) == "stopping"
        epochs.drained(self.member)
        self.member.leave(hooks_run=last)
        return stuck

    def _await_rest(self, seconds: float) -> None:
        """Wait until nothing runs here, and nothing is on its way: who waits for work may just have been given some."""
        until, store = monotonic() + seconds, self.server.store
        while (left := until - monotonic()) > 0:
            with self._changed:
                rests = self._changed.wait_for(lambda: all(seat.idle for seat in self._seats), left)
            if rests and not any(store.pipeline([("LLEN", store.key(f"held:{at.holder}")) for at in self.places])):
                return
            with self._changed:
                self._changed.wait(min(left, _LOOK_SECONDS))

    def _end_seats(self) -> str:
        for seat in self._seats:
            seat.place.wake()
        until = monotonic() + ENDS
        for seat in self._seats:
            seat.end(max(0.0, until - monotonic()), interrupts=self._kept)
        frames = sys._current_frames()
        alive = [frames.get(seat.ident or 0) for seat in self._seats if seat.is_alive()]
        return "\n".join("".join(traceback.format_stack(frame)) for frame in alive if frame)

    def _join(self) -> None:
        server = self.server
        self.member = Member.join(server.store, server.settings, "worker", self._node)
        self.places, self._untaken, self._names = [], [], None
        self.take_place()
        epochs.run_epoch(server.store, epochs.open_epoch(self.member, keep_storage=False).epoch.number)

    def join_anew(self, fenced: Member) -> None:
        """This member was declared dead; become another. What ran is given to whoever comes, also to this program."""
        with self._lock:
            if self.member is fenced:
                dead = tuple(self.places)
                self._join()
                for place in dead:
                    place.die()

    # -- places

    @property
    def place(self) -> Place:
        """The newest one."""
        return self.places[-1]

    def take_place(self, queue: str = "") -> None:
        """Be a worker that has all procedures of this program, also those that were declared since the last call.

        Args:
            queue: that something is about to be put into.
        """
        names = self.server.registry.names()
        if names == self._names and (not self._every_queue or queue in ("", *self._queues)):
            return
        with self._lock:
            if self._every_queue:
                self._queues = list(dict.fromkeys((*self._queues, *self._named(names), *([queue] if queue else ()))))
            self._code = Code.of(self.server, task_names(self.server))
            self.member.register(self._code.digest, self._code.described)
            self.member.set_limits(self._code.limits)
            older, newest = [place for place in self.places if not place.retired], self._enlisted()
            self._untaken = [newest]
            for place in older:
                place.retired = True
                self.member.retire(place.holder)  # wakes its thread, which must find the new place by then
            self._names = names

    def seat_place(self) -> Place:
        """Answer a place with the newest code that no other seat has."""
        with self._lock:
            return self._untaken.pop() if self._untaken else self._enlisted()

    def give_up(self, place: Place) -> None:
        """Leave a retired place at which nothing is held any more."""
        with self._lock:
            if place in self.places:
                self.places.remove(place)
                place.member.bury(place.holder)

    def _enlisted(self) -> Place:
        queues = tuple(self._queues)
        holder = self.member.enlist(self._code.digest, queues)
        made = Place(self.server, self.member, holder, self._code.digest, queues, self._tracer, self._seen)
        self.places.append(made)
        return made

    def _named(self, names: Sequence[str]) -> list[str]:
        found = map(self.server.registry.find, names)
        return [*self.server.settings.queue, *(one.order.queue for one in found if isinstance(one, Procedure))]

    # -- running

    def run_waiting(self) -> None:
        """Claim and run, here and now, until nothing can be claimed: after a start by Celery's own `.delay`, say."""
        for place in tuple(self.places):
            settlements: list[Settlement] = []
            while claims := place.step(settlements):
                settlements = [said for claim in claims for said in place.run(claim)]

    def seat_another(self) -> None:
        """Have one more thread, unless one is idle, or there are as many as there may be."""
        with self._lock:
            if len(self._seats) >= self._most or self.stopping.is_set() or any(seat.idle for seat in self._seats):
                return
            seat = Seat(self, self.seat_place(), len(self._seats) + 1)
            self._seats.append(seat)
            if self._most > 1:
                self.member.note_spare(self._most - len(self._seats))
            seat.start()

    def takes_work(self, seat: Seat) -> None:
        """A seat is no longer idle: one more is kept, that may take what comes next."""
        seat.idle = False
        self.seat_another()

    def is_idle(self, seat: Seat) -> None:
        """A seat begins to wait for work."""
        with self._changed:
            seat.idle = True
            self._changed.notify_all()

    def asked(self, number: int) -> bool:
        """Whether anything is asked of this process."""
        return self._keeper is not None and self._keeper.asked(number)

    @property
    def seats(self) -> Sequence[Seat]:
        """The threads that run processes."""
        return tuple(self._seats)
