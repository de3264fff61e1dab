"""The keeper: what the supervisor of a worker does beside its executors, as far as one program alone needs it.

A thread that beats, so that nothing here is taken for dead; lets begin what is due; does the leader's sweep; and passes
on what is asked of processes. An order (a delayed start, an abort) makes it beat at once.

| asked | is done |
|---|---|
| abort | at the next checkpoint; a second later what runs is interrupted in code of the project; nothing is killed |
| pause | at the next checkpoint, until it is resumed |

It starts nothing that a server would start by itself: no schedule, no hook, no backup.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Final, Protocol

from onserver.checkpoint import heed_by
from onserver.cluster.member import Ask, Beat, Member
from onserver.cluster.sweep import release_due, sweep
from onserver.connections.ending import Closer
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.life.asks import INTERRUPT_SECONDS, LOOK_SECONDS
from onserver.life.board import ABORT, PAUSE, Board
from onserver.life.heeding import Heeding, reach
from onserver.redis.answers import LinkError
from onserver.redis.link import Link
from onserver.server import Server

_WHAT: Final[Mapping[str, int]] = {"abort": ABORT, "pause": PAUSE}
#: How late the answer to a wait for orders may be, in seconds.
_LATE_SECONDS: Final = 5.0


class _Place(Protocol):
    holder: str
    head: str


class _Seat(Protocol):
    @property
    def current(self) -> int: ...
    def interrupt(self, number: int = 0) -> bool: ...


class Kept(Protocol):
    """The engine, as its keeper sees it."""

    server: Server
    member: Member

    @property
    def places(self) -> Sequence[_Place]:
        """Its holders."""
        ...

    @property
    def seats(self) -> Sequence[_Seat]:
        """Its threads."""
        ...

    def join_anew(self, fenced: Member) -> None:
        """Become another member."""
        ...


class Keeper:
    """See the top of this module."""

    def __init__(self, engine: Kept) -> None:
        self._engine = engine
        self._server = engine.server
        self._pause = engine.server.settings.member.beat_seconds
        self._board = Board()
        self._closer = Closer(self._server, self._server.store, lambda text: print(text, file=sys.stderr))
        self._asked: dict[int, Ask] = {}
        self._since: dict[int, float] = {}
        self._interrupted: set[int] = set()
        self._due_at: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="onserver-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        Heeding(self._server, self._board).begin()
        self._thread.start()

    def end(self) -> None:
        """Beat no longer."""
        self._stop.set()
        store = self._server.store
        store.command("RPUSH", store.key(f"orders:{self._engine.member.number}"), "end")
        self._thread.join()
        heed_by(None, None)

    def asked(self, number: int) -> bool:
        """Whether anything is asked of this process."""
        return bool(self._board.asked(number))

    # -- the thread

    def _work(self) -> None:
        with self._server.store.link() as link:
            while not self._stop.is_set():
                member, next_beat = self._engine.member, monotonic() + self._pause
                try:
                    self._heed(member, self._beat(member))
                except MemberFenced as fenced:
                    sys.stderr.write(f"{fenced} It joins anew.\n")
                    self._engine.join_anew(member)
                    continue
                except BrokerUnavailable as error:
                    sys.stderr.write(f"Redis does not answer: {error}\n")
                    self._stop.wait(min(self._pause, 0.2))
                    continue
                self._follow(link, member, next_beat)

    def _beat(self, member: Member) -> Beat:
        places = tuple(self._engine.places)
        beat = member.beat([(place.holder, place.head) for place in places])
        for place, head in zip(places, beat.heads, strict=True):
            place.head = head
        return beat

    def _heed(self, member: Member, beat: Beat) -> None:
        self._hear(beat.asks)
        self._due_at = monotonic() + beat.due_seconds if beat.leader and beat.due_seconds is not None else None
        if beat.leader:
            sweep(member)
        self._closer.heard(beat)

    def _follow(self, link: Link, member: Member, until: float) -> None:
        """Wait for the next beat, or an order; meanwhile do what is due."""
        while not self._stop.is_set() and monotonic() < until:
            self._interrupt()
            if self._due_at is not None and monotonic() >= self._due_at:
                left = release_due(member)
                self._due_at = None if left is None else monotonic() + left
            ends = (until, *((self._due_at,) if self._due_at is not None else ()))
            left = max(0.001, min(ends) - monotonic())
            if self._wait(link, member, min(left, LOOK_SECONDS) if self._pending else left):
                return

    def _wait(self, link: Link, member: Member, seconds: float) -> bool:
        """Wait for an order. True when one has come, or may have."""
        try:
            link.send("BLMPOP", seconds, 1, self._server.store.key(f"orders:{member.number}"), "LEFT", "COUNT", 100)
            return link.receive(seconds + _LATE_SECONDS) is not None
        except LinkError:
            link.close()
            return True

    # -- what is asked

    def _hear(self, asks: Sequence[Ask]) -> None:
        if not asks and not self._asked:
            return  # mostly
        now = monotonic()
        self._asked = {ask.number: ask for ask in asks}
        self._since = {ask.number: self._since.get(ask.number, now) for ask in asks}
        self._interrupted &= set(self._asked)
        self._board.write({ask.number: _WHAT[ask.what] for ask in asks})

    @property
    def _pending(self) -> bool:
        return any(ask.what == "abort" and ask.number not in self._interrupted for ask in self._asked.values())

    def _interrupt(self) -> None:
        """Interrupt what was asked to stop, and did not come to a checkpoint by now."""
        for ask in self._asked.values():
            waited = monotonic() - self._since[ask.number] >= INTERRUPT_SECONDS
            if ask.what == "abort" and waited and ask.number not in self._interrupted:
                seat = next((seat for seat in self._engine.seats if seat.current == ask.number), None)
                if seat is None or seat.interrupt(ask.number):
                    self._interrupted.add(ask.number)
                    reach(self._server, ask.holder, ask.number, level="interrupted")
