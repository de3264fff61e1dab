"""Celery's worker joins the server: a bootstep between the pool and the consumer.

On start it takes a seat and waits until the epoch runs; then Celery consumes. A failed start-up hook ends the worker
with status 1, the hook's traceback last on the screen. On a warm shutdown the shutdown hooks run while the pool still
works, then Celery drains its pool and, when all is acknowledged, the member leaves (`worker_shutdown`); what was not
begun is handed back. A cold shutdown ends the pool first, and leaves then.
"""

import os
import signal
import sys
from contextlib import suppress
from typing import Any

from celery import bootsteps
from celery.signals import worker_shutdown
from celery.utils.log import get_logger
from celery.worker import state as worker_state

from onserver.celery_app.membership import WorkerMember
from onserver.errors import ReachError
from onserver.life.code import Code

logger = get_logger(__name__)

#: Exit status of a worker that must end at once.
LOST_STATUS = 71
_LEAVE_SECONDS = 10.0


class Membership(bootsteps.StartStopStep):
    """See the top of this module."""

    requires = ("celery.worker.components:Pool",)
    label = "Onserver"

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._worker = worker
        self._member: WorkerMember | None = None

    def start(self, worker: Any) -> None:
        """Join, and wait until the epoch runs."""
        app = worker.app
        server = app.desk.server
        server.load_tasks()
        app.register_procedures()
        queues = list(app.amqp.queues.consume_from)
        code = Code.of(server, tuple(app.tasks))
        member = self._member = WorkerMember(server, worker.hostname, queues, code, _stop, self._end_at_once)
        app.desk.seat = member.join_server()
        worker_shutdown.connect(self._after_shutdown, sender=worker, weak=False)
        member.start()
        if member.wait_until("running", look=worker_state.maybe_shutdown) == "failed":
            self._fail(member)

    def close(self, worker: Any) -> None:
        """Take nothing more; the shutdown hooks run, if this is the last worker."""
        member = self._member
        if member is None or not member.is_alive():
            return
        member.seat.retired = True
        with suppress(ReachError):  # without Redis nothing is handed to us either
            member.member.retire(member.seat.holder)
        member.ask("leaving")
        member.wait_until("leaving")

    def stop(self, worker: Any) -> None:
        """Celery drains its pool next; we leave when that is done."""

    def terminate(self, worker: Any) -> None:
        """End the pool at once, then leave: what it ran waits again for others."""
        worker.pool.terminate()
        self._leave()

    def _after_shutdown(self, **_: Any) -> None:
        self._leave()

    def _leave(self) -> None:
        member, self._member = self._member, None
        if member is None:
            return
        with suppress(ReachError):  # what was not said is done again by others; we are declared dead
            member.seat.flush()
        if member.is_alive():
            member.ask("gone")
            member.join(_LEAVE_SECONDS + self._worker.app.desk.settings.hook.timeout_seconds)
        self._worker.app.desk.seat = None

    def _fail(self, member: WorkerMember) -> None:
        """The start has failed: status 1, and the traceback is the last thing on the screen."""
        self._member = None
        self._worker.pool.terminate()
        sys.stdout.flush()
        sys.stderr.write(f"{member.failure}\n")
        sys.stderr.flush()
        os._exit(1)

    def _end_at_once(self, why: str) -> None:
        """End this worker and all that its pool runs, now: somebody else has, or may be given, the work."""
        logger.critical("%s This worker ends.", why)
        for child in getattr(getattr(self._worker.pool, "_pool", None), "_pool", ()) or ():
            with suppress(OSError, AttributeError, TypeError):  # it has ended already
                os.kill(child.pid, signal.SIGKILL)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(LOST_STATUS)


def _stop() -> None:
    """Let Celery shut down warmly."""
    worker_state.should_stop = 0
