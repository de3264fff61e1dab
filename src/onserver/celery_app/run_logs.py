"""The logs of processes under Celery's own pools, where nobody reads what a child of the pool writes.

Celery sets up the loggers of its worker and tells when it has (`after_setup_logger`): then they get one handler more,
which keeps what is logged while a process runs here. As Celery redirects what is printed to a logger of its own
(`worker_redirect_stdouts`), prints are among it, each argument of `print` as a line of its own. Where a project sets up
logging itself (`setup_logging`), nothing is kept, unless it adds a `RunHandler`. What programs print that a task starts
is not heard; of a child of the pool that is killed, what it logged in its last quarter of a second is lost.

Lines are written by a thread, a quarter of a second after the first at the latest, and at the end of each run.
"""

import logging
import threading
from typing import Any, Final

from celery import current_task
from celery.signals import after_setup_logger, after_setup_task_logger

from onserver.errors import BrokerUnavailable
from onserver.process.log import LEVELS, Source
from onserver.process.log_book import EVERY_SECONDS, LogBook
from onserver.redis.answers import LinkError
from onserver.server import Server
from onserver.session.context import Run, current_run
from onserver.session.running import Running, tell_before_end

logger = logging.getLogger("onserver")

_IDLE_SECONDS: Final = 10.0
#: The logger to which Celery redirects what is printed.
_REDIRECTED: Final = "celery.redirected"
_TRACER: Final = "celery.app.trace"
_KEPT: Final = "onserver_kept"
#: How the names of threads begin that run no code of the project: what they log is about it, and not its own.
_OUR_THREADS: Final = "onserver-"


class RunHandler(logging.Handler):
    """Keeps what is logged while a process runs, with that process."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, unless it was kept by the handler of another logger, or is about the keeping."""
        run = current_run()
        if run is None or hasattr(record, _KEPT) or threading.current_thread().name.startswith(_OUR_THREADS):
            return
        if record.name == _TRACER and record.levelno <= logging.INFO:
            return  # that it has succeeded is in its record
        setattr(record, _KEPT, True)
        redirected = record.name == _REDIRECTED
        text = record.getMessage() if redirected else f"{record.name}: {self.format(record)}"
        level = "" if redirected else min(LEVELS, key=lambda name: abs(getattr(logging, name) - record.levelno))
        Server.current().part(_Lines).add(run, "out" if redirected else "log", text, level)


class _Lines:
    """The lines of one program on their way to Redis. Made by `server.part(_Lines)`."""

    THREAD: Final = "onserver-logs"

    def __init__(self, server: Server) -> None:
        self._store = server.store
        self._book = LogBook(server.settings.process)
        self._bell = threading.Condition()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        tell_before_end(self)

    def add(self, run: Run, source: Source, text: str, level: str) -> None:
        """Gather what is logged."""
        request = current_task.request if current_task else None  # a thread that a task has started has none
        now_ms, worker = self._store.now_ms(), str(getattr(request, "hostname", "") or "")
        with self._bell:
            for line in text.splitlines():
                self._book.add(run.number, now_ms, source, line, level, worker)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self.THREAD, daemon=True)
                self._thread.start()
            else:
                self._bell.notify()

    def ending(self, run: Running) -> None:  # all that is gathered is written
        """A run ends: what it has logged is written before its end is said."""
        self._write(now=True)

    def _work(self) -> None:
        while True:
            with self._bell:
                due = self._book.due_seconds()
                if due is None and not self._bell.wait(_IDLE_SECONDS) and self._book.due_seconds() is None:
                    self._thread = None
                    return
                if due:
                    self._bell.wait(due)
            if not self._write():
                with self._bell:
                    self._bell.wait(EVERY_SECONDS)

    def _write(self, *, now: bool = False) -> bool:
        """Write what is due. False while Redis is away: it stays here."""
        with self._writing:
            while True:
                with self._bell:
                    words = self._book.take(now=now)
                if not words:
                    return True
                try:
                    self._store.run("log", *words)
                except BrokerUnavailable as error:
                    if isinstance(error, LinkError) and not error.again:
                        with self._bell:
                            self._book.give_up(error)
                        return True
                    logger.debug("lines are kept for later: %s", error)
                    return False
                with self._bell:
                    self._book.written()


def keep_logs() -> None:
    """Keep the logs of all runs of this program's tasks; safe to call again."""
    for told in (after_setup_logger, after_setup_task_logger):
        told.connect(_add, weak=False, dispatch_uid="onserver.logs")


def _add(sender: Any = None, logger: Any = None, **_: Any) -> None:
    if not any(isinstance(handler, RunHandler) for handler in logger.handlers):
        logger.addHandler(RunHandler())
