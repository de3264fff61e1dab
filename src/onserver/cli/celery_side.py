"""What a worker has to do with Celery, which it loads only where the project does, or names an application to join."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from onserver import lazy
from onserver.errors import ImportFailed
from onserver.life.executor import Settles, Tracer
from onserver.life.supervisor import Supervisor
from onserver.life.worker import Worker
from onserver.process.claim import Claim
from onserver.process.schedule import Entry
from onserver.server import Server

#: Celery's own tasks, which canvas is made of: every worker can run them.
CELERY_TASKS = (
    "celery.accumulate",
    "celery.backend_cleanup",
    "celery.chain",
    "celery.chord",
    "celery.chord_unlock",
    "celery.chunks",
    "celery.group",
    "celery.map",
    "celery.starmap",
)


class LateTracer:
    """Celery's tracer, loaded by the first process that needs it: most workers never do."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tracer: Tracer | None = None

    def begin(self) -> bool:
        """Tell Celery's signals that an executor begins, where the project uses Celery at all."""
        return "celery" in sys.modules and self._loaded().begin()

    def run(self, claim: Claim, holding: Settles) -> None:
        """Run a claim through Celery."""
        self._loaded().run(claim, holding)

    def _loaded(self) -> Tracer:
        made = self._tracer
        if made is None:
            made = self._tracer = lazy.load("onserver.celery_app.tracer:tracer_of")(self._server)
        return made


def task_names(server: Server) -> tuple[str, ...]:
    """Answer the names of Celery tasks that a worker can run here: Celery's own, and the project's if it has any."""
    if "celery" not in sys.modules:
        return CELERY_TASKS
    names: tuple[str, ...] = lazy.load("onserver.celery_app.tracer:task_names_of")(server)
    return names


def beat_entries(server: Server) -> tuple[Entry, ...]:
    """Answer the entries of the application's `beat_schedule`, where the project has loaded one."""
    if "celery" not in sys.modules:
        return ()
    app: Any = lazy.load("onserver.celery_app.app:make_app")(server)
    entries: tuple[Entry, ...] = lazy.load("onserver.celery_app.beat_entries:entries_of")(app)
    return entries


def join_application(server: Server, declared: Worker, say: Callable[[str], None]) -> Worker:
    """Load the Celery application that the setting `celery` names; the answer listens to its queues too.

    Raises:
        ImportFailed: ONS-1002.
    """
    if not server.settings.celery:
        return declared
    joined = lazy.load("onserver.celery_app.attach:load_application")(server)
    queues, line = lazy.load("onserver.celery_app.attach:described")(joined)
    say(f"celery   {server.settings.celery} {line}")
    return declared.but(queues=(*declared.queues, *queues))


def refuse_reload(server: Server) -> None:
    """An application that has joined cannot be imported anew in a program that runs it.

    Raises:
        ImportFailed: ONS-1002, the server has one.
    """
    if server.settings.celery:
        named = server.settings.celery
        raise ImportFailed(named, "an application is not taken anew while it runs; start a new worker beside this one")


def share_tracer(server: Server, say: Callable[[str], None]) -> None:
    """Before the fork: what executors share to run tasks of Celery's own, where the project has some."""
    if "celery" not in sys.modules:
        return
    lazy.load("onserver.celery_app.tracer:tracer_of")(server)
    wrapper = lazy.load("onserver.celery_app.wrapping:wrapped_by")()
    if wrapper:
        say(f"celery   {wrapper} wraps its tracer: procedures go through it too")


@contextmanager
def remote_control(server: Server, supervisor: Supervisor, gate: AbstractContextManager[object]) -> Iterator[None]:
    """While the block lasts `celery inspect` and `celery control` are answered, where the project uses Celery."""
    if "celery" not in sys.modules:
        yield
        return
    control: Any = lazy.load("onserver.celery_app.control:Control")(server, supervisor.node, gate, supervisor.seats)
    control.start()
    try:
        yield
    finally:
        control.close()
