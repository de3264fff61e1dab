"""`onserver worker`: run one worker of the project, a supervisor with its executors, until it is told to leave."""

import socket
import sys
import threading
from pathlib import Path

import click

from onserver import lazy
from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.errors import BadDeclaration
from onserver.life.code import Code
from onserver.life.executor import Settles, Tracer
from onserver.life.supervisor import Supervisor
from onserver.life.worker import Worker
from onserver.process.claim import Claim
from onserver.process.signing import Signer
from onserver.project import DEFAULT_WORKER, import_tasks, load_worker, reimport_tasks
from onserver.redis.checks import check
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


@click.command()
@click.argument("file", default=DEFAULT_WORKER)
@click.option("-n", "--node", metavar="NODE", help="Name of this worker for people; by default FILE@HOST.")
@click.option("-Q", "--queues", metavar="Q1,Q2", help="Queues to listen on, instead of those of the file.")
@click.option("-c", "--executors", type=click.IntRange(0, 1024), help="How many processes run at once.")
@click.option("--grace", type=SECONDS, metavar="S", help="How long a stop waits for what runs.")
@common_options
@pass_invocation
def worker(
    invocation: Invocation, file: str, node: str | None, queues: str | None, executors: int | None, grace: float | None
) -> int:
    """Run a worker: `workers/FILE.py` of the project, `server` by default.

    SIGTERM or Ctrl-C lets it finish what runs and leave, a second one ends it at once. SIGUSR2 takes new code.

    Exit status: 0 left, 1 the server did not start, 2 the project cannot be loaded, 6 cannot reach Redis.
    """
    return run_worker(invocation, file, node, queues, executors, grace)


def run_worker(
    invocation: Invocation,
    file: str = DEFAULT_WORKER,
    node: str | None = None,
    queues: str | None = None,
    executors: int | None = None,
    grace: float | None = None,
    *,
    development: bool = False,
) -> int:
    """Load the project and run the worker; also what `dev` does."""
    server = invocation.server()
    folder = invocation.project
    declared = _declared(folder, file)
    if queues:
        declared = Worker(queues.split(","), declared.executors, declared.grace_seconds)
    count = executors if executors is not None else declared.executors
    seconds = grace if grace is not None else declared.grace_seconds
    import_tasks(folder)
    server.registry.bind()
    server.part(Signer)  # a project without a signing key could not start anything
    checked = check(server.store, development=development)
    for text in checked.warnings:
        invocation.screen.say(f"warning  {text}")
    gate = threading.RLock()
    supervisor = Supervisor(
        server,
        declared,
        node=node or f"{Path(file).stem}@{socket.gethostname()}",
        executors=server.settings.worker.executors if count is None else count,
        grace_seconds=server.settings.worker.grace_seconds if seconds is None else seconds,
        load=lambda: Code.of(server, task_names(server)),
        reload=lambda: reimport_tasks(folder),
        tracer=LateTracer(server),
        gate=gate,
        say=invocation.screen.say,
    )
    if "celery" in sys.modules:  # the project has tasks of Celery's own: executors share what it takes to run them
        lazy.load("onserver.celery_app.tracer:tracer_of")(server)
        wrapper = lazy.load("onserver.celery_app.wrapping:wrapped_by")()
        if wrapper:
            invocation.screen.say(f"celery   {wrapper} wraps its tracer: procedures go through it too")
    control = (
        lazy.load("onserver.celery_app.control:Control")(server, supervisor.node, gate, supervisor.seats)
        if _wants_control(server)
        else None
    )
    if control is not None:
        control.start()
    try:
        status = supervisor.run()
    finally:
        if control is not None:
            control.close()
        server.close()
    return exits.FAILED if status else exits.DONE


def _wants_control(server: Server) -> bool:
    """Whether `celery inspect` and `celery control` are answered: where the project uses Celery itself."""
    return "celery" in sys.modules or bool(server.settings.celery)


def task_names(server: Server) -> tuple[str, ...]:
    """Answer the names of Celery tasks that a worker can run here: Celery's own, and the project's if it has any."""
    if "celery" not in sys.modules:
        return CELERY_TASKS
    names: tuple[str, ...] = lazy.load("onserver.celery_app.tracer:task_names_of")(server)
    return names


def _declared(folder: Path, file: str) -> Worker:
    module = load_worker(folder, file)
    found = getattr(module, "worker", None)
    if not isinstance(found, Worker):
        problem = "declares no worker"
        raise BadDeclaration(f"workers/{Path(file).stem}.py", problem, "It needs a line `worker = Worker()`.")
    return found
