"""Abort and pause under Celery's own pools: as far as each of them can.

| | prefork | threads, solo |
|---|---|---|
| asked, at a checkpoint | `TaskRevokedError` | `TaskRevokedError` |
| interrupted, a second later | `SoftTimeLimitExceeded`, by signal | the same, in the thread, outside our calls |
| killed, where that was asked for | the pool's child | not possible: the record says so |
| paused | at the next checkpoint | at the next checkpoint |
| the time limit of a procedure | by Celery: interrupted, then killed | interrupted in the same way |

What is asked comes with the beat. It goes onto a board made before the pool forks, which its children share.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from time import monotonic
from types import FrameType
from typing import Any, Final

from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError
from celery.utils.log import get_logger
from celery.worker import state

from onserver.celery_app.holding import mark_of
from onserver.celery_app.runs import Limit, late_runs, thread_of
from onserver.cluster.member import Ask
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.life.asks import INTERRUPT_SECONDS
from onserver.life.board import ABORT, PAUSE, Board
from onserver.life.heeding import Heeding, reach
from onserver.process import coroutines
from onserver.server import Server

logger = get_logger(__name__)

#: What the record of a process says that was to be killed and cannot be.
NOT_HERE: Final = "cannot be killed: it runs in a thread of a Celery worker"
#: Modules inside which no exception is raised from another thread.
_OURS: Final = ("onserver.redis", "onserver.session", "onserver.celery_app", "onserver.process", "kombu", "celery")


class PoolOrders:
    """See the top of this module. Made before the pool is, by the program that will be forked."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._board = Board()
        self._asks: dict[int, Ask] = {}
        self._since: dict[int, float] = {}
        self._kill_at: dict[int, float] = {}
        self._reached: dict[int, str] = {}
        Heeding(server, self._board, error=TaskRevokedError).begin()

    def hear(self, asks: Sequence[Ask]) -> None:
        """Take what a beat told: all that is asked now."""
        now = monotonic()
        self._asks = {ask.number: ask for ask in asks}
        self._board.write({ask.number: ABORT if ask.what == "abort" else PAUSE for ask in asks})
        self._since = {number: self._since.get(number, now) for number in self._asks}
        for known in (self._kill_at, self._reached):
            for number in set(known) - set(self._asks):
                known.pop(number)
        for ask in asks:
            if ask.kill_seconds is not None:
                self._kill_at.setdefault(ask.number, now + ask.kill_seconds)

    def follow(self, worker: Any) -> None:
        """Do what is due now."""
        for limit in late_runs():
            _end_late(limit)
        now = monotonic()
        for number, ask in self._asks.items():
            if ask.what != "abort":
                continue
            if now >= self._kill_at.get(number, now + 1) and self._reached.get(number) != "killed":
                self._kill(worker, ask)
            elif now - self._since[number] >= INTERRUPT_SECONDS and number not in self._reached:
                self._interrupt(worker, ask)

    @property
    def pending(self) -> bool:
        """Whether something is under way that must be looked at again soon."""
        return any(ask.what == "abort" and self._reached.get(ask.number) != "killed" for ask in self._asks.values())

    def _interrupt(self, worker: Any, ask: Ask) -> None:
        pid = _child_of(worker, ask.number)
        thread = thread_of(ask.number)
        if pid:
            self._say(ask, "interrupted")
            os.kill(pid, signal.SIGUSR1)
        elif thread is not None and coroutines.cancel(thread):  # its loop may be waiting, where no exception reaches it
            self._say(ask, "interrupted")
        elif thread is not None and _may_be_interrupted(thread):
            self._say(ask, "interrupted")
            _raise_in(thread)

    def _kill(self, worker: Any, ask: Ask) -> None:
        pid = _child_of(worker, ask.number)
        self._say(ask, "killed", "" if pid else NOT_HERE)
        if pid:
            os.kill(pid, signal.SIGKILL)

    def _say(self, ask: Ask, level: str, refused: str = "") -> None:
        self._reached[ask.number] = level
        try:
            if refused:
                logger.warning("#%s %s", ask.number, refused)
                reach(self._server, ask.holder, ask.number, level=refused)
            else:
                reach(self._server, ask.holder, ask.number, level=level)
        except (MemberFenced, BrokerUnavailable) as error:  # the beat finds the same, and acts
            logger.warning("%s", error)


def _end_late(limit: Limit) -> None:
    """Interrupt a procedure in a thread at its time limit, once it is in code of the project; more cannot be done."""
    if limit.reached:
        logger.warning("#%s has reached its time limit, and %s", limit.number, NOT_HERE)
        limit.reached = 2
    elif _may_be_interrupted(limit.thread):
        limit.reached = 1
        _raise_in(limit.thread)


def _raise_in(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(SoftTimeLimitExceeded))


def _child_of(worker: Any, number: int) -> int:
    """The pid of the pool's child that runs a process; 0 where the pool has no children, or none of them does."""
    if not type(worker.pool).__module__.endswith("prefork"):
        return 0
    for request in tuple(state.active_requests):
        mark = mark_of(request.request_dict)
        if mark is not None and mark.get("number") == number:
            return int(request.worker_pid or 0)
    return 0


def _may_be_interrupted(thread: int) -> bool:
    """Whether a thread is in code of the project: an exception does not land inside ours, nor in Celery's."""
    frame: FrameType | None = sys._current_frames().get(thread)
    return frame is not None and not str(frame.f_globals.get("__name__", "")).startswith(_OURS)
