"""The heart of a Celery worker: the thread that beats, and the one that watches whether Redis is heard.

Silence is told from refusal as everywhere: a Redis that refuses, loads its data or is read-only has answered, and
nobody can be given our work by it. After 0.8 leases of silence what runs here is ended, before another worker can be
given it:

    prefork         the pool's children are killed; Celery starts others, and hands back what they ran
    threads, solo   a thread cannot be killed, so this program becomes itself anew (`exec`): what it ran is gone with
                    its memory, and when Redis answers again it says so, and joins under a new number

Neither counts as a delivery, where this worker comes back before it was declared dead; what runs with
`when_cut="finish"` is let run, as long as nothing else runs beside it in threads. A body that holds the interpreter's
lock in C code is not ended, and neither is the beat heard then: what such a body says later is refused.
"""

import logging
import os
import select
import sys
import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any, Final

from celery.utils.log import get_logger
from celery.worker import state

from onserver.celery_app.desk import Desk
from onserver.celery_app.holding import Remote, mark_of
from onserver.celery_app.pool_orders import PoolOrders
from onserver.cluster.member import Beat, Member
from onserver.cluster.sweep import release_due, sweep
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.life.asks import LOOK_SECONDS
from onserver.life.duties import make_duties
from onserver.life.executor import CUT_SHARE, FENCED_STATUS
from onserver.life.happenings import Happenings
from onserver.life.health import Health
from onserver.life.marks import uptime
from onserver.life.orders import Orders
from onserver.process.timetable import Timetable
from onserver.server import Server

logger = get_logger(__name__)

#: Tells the program that follows on this one in whose name it ran what: "HOLDER NUMBER …".
VARIABLE: Final = "ONSERVER_CUT"
#: Seconds between two looks at what another worker does.
_LOOK_SECONDS: Final = 0.1
_SIGQUIT, _SIGKILL, _SIGTERM = 3, 9, 15


class Heart:
    """Beats for one worker.

    Args:
        worker: Celery's.
        desk: of its server.
        member: in whose name.
        orders: what is asked of processes that its pool runs.
        heed: told of each answered beat.
        timetable: what is started at its times, while this worker leads.
        health: told that it beats.
    """

    def __init__(
        self,
        worker: Any,
        desk: Desk,
        member: Member,
        orders: PoolOrders,
        heed: Callable[[Beat], None],
        timetable: Timetable,
        health: Health,
    ) -> None:
        self._worker = worker
        self._desk = desk
        self._member = member
        self._orders = orders
        self._heed = heed
        self._timetable = timetable
        self._health = health
        self._others = make_duties(desk.server, desk.store, logger.error)
        self._happenings = Happenings(desk.server, desk.store, member.node, logger.error)
        self._settings = desk.settings.member
        self._stop = threading.Event()
        self._heard = monotonic()
        self._cut_at = 0.0
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (("onserver-beat", self._beat), ("onserver-watch", self._watch))
        ]

    def start(self) -> None:
        """Begin to beat."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Beat no longer."""
        self._stop.set()

    # -- beating

    def _beat(self) -> None:
        due: float | None = None
        orders = Orders(self._desk.store, self._member.number, self._settings.lease_seconds / 5)
        while self._wait(orders, self._settings.beat_seconds if due is None else min(self._settings.beat_seconds, due)):
            sent, sent_up = monotonic(), uptime()
            self._health.again()
            try:
                beat = self._member.beat([(holder, "") for holder in (self._desk.holder, *self._desk.beside) if holder])
                self._heard = sent
                self._health.beat()
                self._happenings.heard(beat, sent_up)
                due = self._duties(beat)
                self._orders.hear([ask for ask in beat.asks if ask.holder == self._desk.holder])
                self._heed(beat)
                self._happenings.turn(self._member)
            except MemberFenced as fenced:
                if self._stop.is_set():
                    return  # this worker left while the beat was on its way
                logger.critical("%s", fenced)
                self._worker.exitcode = FENCED_STATUS
                os.kill(os.getpid(), _SIGQUIT)  # a cold shutdown
                return
            except BrokerUnavailable as error:
                logger.warning("Redis does not answer: %s", error)
                self._happenings.lost(error)
                if _answered(error):
                    self._heard = monotonic()

    def _wait(self, orders: Orders, seconds: float) -> bool:
        """Wait for the next beat, or until something is ordered; meanwhile do what was. False when this worker ends."""
        until = monotonic() + seconds
        while not self._stop.is_set():
            self._orders.follow(self._worker)
            left = until - monotonic()
            descriptor = orders.ask()
            slice_ = min(left, LOOK_SECONDS if self._orders.pending else _LOOK_SECONDS)
            if left <= 0:
                return True
            if descriptor is None:
                self._stop.wait(slice_)
            elif select.select([descriptor], [], [], slice_)[0] and (ordered := orders.read()):
                if "schedule" in ordered:
                    self._timetable.look()
                if "drain" in ordered:
                    os.kill(os.getpid(), _SIGTERM)  # a warm shutdown
                return True
        orders.close()
        return False

    def _duties(self, beat: Beat) -> float | None:
        for duty in self._others:
            duty.heard(beat)
        tick = self._timetable.heed(beat.leader and beat.state == "running", beat.now_ms)
        if tick is not None and monotonic() >= tick:
            tick = self._timetable.turn()
        if not beat.leader:
            return None
        due = beat.due_seconds
        if due is not None and due <= 0:
            due = release_due(self._member)
        sweep(self._member)
        return min((due, None if tick is None else max(0.0, tick - monotonic())), key=_soonest)

    # -- silence

    def _watch(self) -> None:
        lease = self._settings.lease_seconds
        while not self._stop.wait(lease / 20):
            if monotonic() - self._heard > CUT_SHARE * lease and self._cut_at < self._heard:
                self._cut_at = monotonic()
                self._cut()

    def _cut(self) -> None:
        """Redis has been silent for 0.8 leases."""
        seat = self._desk.seat
        ended = seat.running - seat.finishing if seat is not None else set[int]()
        if seat is None or not ended:
            return  # nothing runs that another worker could be given
        numbers = " ".join(f"#{number}" for number in sorted(ended))
        logger.critical("Redis has been silent for %g leases: what runs here is ended: %s", CUT_SHARE, numbers)
        if type(self._worker.pool).__module__.endswith("prefork"):
            seat.cut |= ended
            self._kill_children(seat.finishing)
        else:
            self._become_anew(seat.holder, ended)

    def _kill_children(self, spared: set[int]) -> None:
        marks = [(mark_of(request.request_dict), request.worker_pid) for request in tuple(state.active_requests)]
        kept = {pid for mark, pid in marks if mark is not None and mark.get("number") in spared}
        for process in list(getattr(self._worker.pool._pool, "_pool", ())):
            if process.pid not in kept:
                os.kill(process.pid, _SIGKILL)

    def _become_anew(self, holder: str, numbers: set[int]) -> None:
        environment = os.environ | {VARIABLE: " ".join((holder, *map(str, sorted(numbers))))}
        logging.shutdown()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606  # itself


def report_cut(server: Server, node: str) -> Member | None:
    """Say what the program before this one has not finished: it waits again, and no delivery is counted.

    Returns:
        The member that the program was. It leaves once its successor is a member, so that the epoch goes on; None where
        there is none, or it was declared dead.
    """
    holder, *numbers = os.environ.get(VARIABLE, "").split() or [""]
    if not holder:
        return None
    held = Remote(server.store, server.settings, holder)
    before = Member(server.store, server.settings, "worker", int(holder.partition(".")[0]), node)
    fenced = False
    try:
        for number in numbers:
            held.settle(int(number), "back", "", b"", "begun")
        before.bury(holder, 0, False)
    except MemberFenced as error:
        fenced = True
        logger.warning("%s What it ran counts as a delivery.", error)
    os.environ.pop(VARIABLE)
    return None if fenced else before


def _soonest(seconds: float | None) -> float:
    return inf if seconds is None else seconds


def _answered(error: BrokerUnavailable) -> bool:
    return bool(getattr(error, "answered", getattr(error.__cause__, "answered", False)))
