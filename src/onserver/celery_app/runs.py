"""The run of a process inside Celery's tracer: from here on `session()`, `process()` and `caller()` answer.

Celery's pools run a task in another thread or process than the one that claimed it; what a run must know travels in the
header `onserver`. The run is entered by a receiver of `task_prerun`, left by one of `task_postrun`: between the two
lies all that the tracer does for a task, its callbacks included, so that what these start has the same caller.
"""

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from celery import states
from celery.signals import task_postrun, task_prerun

from onserver.celery_app.elsewhere import end
from onserver.celery_app.holding import mark_of
from onserver.celery_app.task import REFUSED, ProcedureTask
from onserver.errors import SessionExpired
from onserver.process.in_session import InSession, session_of_run
from onserver.server import Server
from onserver.session.context import Run, current_run, entered
from onserver.session.promotions import Scope


def run_of(server: Server, request: Any) -> Run | None:
    """The run that a delivered request stands for, or None where it came some other way (eager, broadcast).

    One whose session has ended before it began has none, and its task raises why instead of running its body.
    """
    mark = mark_of(request)
    if mark is None:
        return None
    try:
        where = session_of_run(server, str(mark.get("flags", "")), mark["caller"], str(request.task))
    except SessionExpired as error:  # a receiver of signals can refuse nothing
        request.__dict__[REFUSED], where = error, InSession(None)
    return Run(
        number=int(mark["number"]),
        delivery=int(mark["delivery"]),
        holder=str(mark["holder"]),
        procedure=str(request.task),
        name=str(mark["name"] or request.task),
        root=mark["root"],
        session=where.session,
        caller=mark["caller"],
        started=time(),
        attempt=int(mark["attempt"]),
        web=where.web,
        scope=Scope(where.promoted),
    )


def enter_runs() -> None:
    """Let all tasks of this program be runs; safe to call again."""
    task_prerun.connect(_enter, weak=False, dispatch_uid="onserver.enter")
    task_postrun.connect(_leave, weak=False, dispatch_uid="onserver.leave")


_ENTERED = "onserver_entered"
_threads: dict[int, int] = {}


@dataclass
class Limit:
    """The time limit of a procedure that runs in a thread of this program.

    Attributes:
        number: of its process.
        thread: by its identity.
        soft_at: when it is to be interrupted, monotonic.
        hard_at: when it ought to have ended.
        reached: how far that has come: 0, 1 interrupted, 2 it did not help.
    """

    number: int
    thread: int
    soft_at: float
    hard_at: float
    reached: int = 0

    @property
    def late(self) -> bool:
        """Whether something is to be done about it."""
        return self.reached < 2 and monotonic() >= (self.hard_at if self.reached else self.soft_at)


_limits: dict[int, Limit] = {}


def thread_of(number: int) -> int | None:
    """The thread of this program that runs a process, by its identity; None where none does."""
    return _threads.get(number)


def late_runs() -> list[Limit]:
    """The procedures in threads of this program that have reached their time limits."""
    return [limit for limit in tuple(_limits.values()) if limit.late]


#: How many receivers `enter_runs` connects.
OWN_RECEIVERS = 2


def _enter(sender: Any = None, task: Any = None, **_: Any) -> None:
    desk = getattr(getattr(task, "app", None), "desk", None)
    if desk is None:
        return
    run = run_of(desk.server, task.request)
    current = current_run()
    if run is None or (current is not None and current.number == run.number):
        return
    mark = mark_of(task.request)
    desk.server.storage.cache.require(int(mark["change"]) if mark else 0)
    block = ExitStack()
    _threads[run.number] = threading.get_ident()
    block.callback(_threads.pop, run.number, None)
    hard, soft = task.request.timelimit or (None, None)
    if soft and isinstance(task, ProcedureTask):
        now = monotonic()
        _limits[run.number] = Limit(run.number, threading.get_ident(), now + soft, now + (hard or soft))
        block.callback(_limits.pop, run.number, None)
    block.enter_context(entered(run))
    task.request.__dict__[_ENTERED] = block


def _leave(sender: Any = None, task: Any = None, state: Any = "", retval: Any = None, **_: Any) -> None:
    block = task.request.__dict__.pop(_ENTERED, None)
    if block is None:
        return
    block.close()
    mark = mark_of(task.request)
    if mark is None:
        return
    if mark.get("elsewhere"):
        end(task.app.desk, mark, str(state), retval)
    elif state == states.RETRY and task.request.ignore_result:  # which Celery does not store
        task.app.backend.mark_as_retry(task.request.id, retval.exc, request=task.request)
