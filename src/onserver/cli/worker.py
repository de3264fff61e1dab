"""`onserver worker`: run one worker of the project, a supervisor with its executors, until it is told to leave."""

import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import click

from onserver.cli import exits
from onserver.cli.celery_side import (
    LateTracer,
    beat_entries,
    join_application,
    refuse_reload,
    remote_control,
    share_tracer,
    task_names,
)
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.errors import BadDeclaration
from onserver.life.code import Code
from onserver.life.health import Health
from onserver.life.supervisor import Supervisor
from onserver.life.worker import Worker
from onserver.process.signing import Signer
from onserver.project import DEFAULT_WORKER, import_tasks, load_worker, reimport_tasks
from onserver.redis.checks import check
from onserver.server import Server
from onserver.settings import Settings, load


@click.command()
@click.argument("file", default=DEFAULT_WORKER)
@click.option("-n", "--node", metavar="NODE", help="Name of this worker for people; by default FILE@HOST.")
@click.option("-Q", "--queues", metavar="Q1,Q2", help="Queues to listen on, instead of those of the file.")
@click.option("-c", "--executors", type=click.IntRange(0, 1024), help="How many processes run at once.")
@click.option("--async-executors", type=click.IntRange(0, 64), help="How many executors run `async def` procedures.")
@click.option("--async-slots", type=click.IntRange(1, 10_000), help="How many processes each of these runs at once.")
@click.option("--grace", type=SECONDS, metavar="S", help="How long a stop waits for what runs.")
@click.option("--health", metavar="ADDR", help="Answer /ready and /live over HTTP there, as in 127.0.0.1:8080.")
@click.option("--health-file", metavar="FILE", help="Touch this file with each good beat; it is removed at the end.")
@common_options
@pass_invocation
def worker(
    invocation: Invocation,
    /,
    file: str,
    node: str | None,
    queues: str | None,
    executors: int | None,
    grace: float | None,
    health: str | None,
    health_file: str | None,
    **loops: int | None,
) -> int:
    """Run a worker: `workers/FILE.py` of the project, `server` by default.

    SIGTERM or Ctrl-C lets it finish what runs and leave; what it had claimed and not begun, others have at once. A
    second one interrupts what runs, a third one kills it. SIGUSR2 takes new code.

    Exit status: 0 left, 1 the server did not start, 2 the project cannot be loaded, 6 cannot reach Redis.
    """
    named = str(Path(health_file).absolute()) if health_file else health_file  # from where it was said
    return run_worker(invocation, file, node, queues, executors, grace, loops=loops, health=health, health_file=named)


def run_worker(
    invocation: Invocation,
    file: str = DEFAULT_WORKER,
    node: str | None = None,
    queues: str | None = None,
    executors: int | None = None,
    grace: float | None = None,
    *,
    loops: Mapping[str, int | None] | None = None,
    health: str | None = None,
    health_file: str | None = None,
    development: bool = False,
) -> int:
    """Load the project and run the worker; also what `dev` does."""
    server = invocation.server()
    folder = invocation.project
    declared = _declared(folder, file, server.settings)
    declared = declared.but(queues=queues.split(",") if queues else None, **(loops or {}))
    count = executors if executors is not None else declared.executors
    seconds = grace if grace is not None else declared.grace_seconds
    server.require_roles()
    import_tasks(folder, server.settings.components)
    declared = join_application(server, declared, invocation.screen.say)
    server.registry.bind()
    server.part(Signer)  # a project without a signing key could not start anything
    checked = check(server.store, development=development)
    for text in checked.warnings:
        invocation.screen.say(f"warning  {text}")
    gate = threading.RLock()
    name = node or f"{Path(file).stem}@{socket.gethostname()}"
    supervisor = Supervisor(
        server,
        declared,
        node=name,
        executors=server.settings.worker.executors if count is None else count,
        grace_seconds=server.settings.worker.grace_seconds if seconds is None else seconds,
        load=lambda: Code.of(server, task_names(server), beat_entries(server), load(folder).queue),
        reload=lambda: _reload(server, folder),
        tracer=LateTracer(server),
        gate=gate,
        health=Health(server.settings, name, address=health, file=health_file, say=invocation.screen.say),
        say=invocation.screen.say,
    )
    share_tracer(server, invocation.screen.say)
    try:
        with remote_control(server, supervisor, gate):
            status = supervisor.run()
    finally:
        server.close()
    return exits.FAILED if status else exits.DONE


def _reload(server: Server, folder: Path) -> None:
    refuse_reload(server)
    server.require_roles()  # a changed file is in force from now on, and a wrong one is told
    reimport_tasks(folder, server.settings.components)


def _declared(folder: Path, file: str, settings: Settings) -> Worker:
    if settings.celery and file == DEFAULT_WORKER and not (folder / "workers" / f"{file}.py").exists():
        return Worker()  # an application that has joined need not have that folder
    module = load_worker(folder, file)
    found = getattr(module, "worker", None)
    if not isinstance(found, Worker):
        problem = "declares no worker"
        raise BadDeclaration(f"workers/{Path(file).stem}.py", problem, "It needs a line `worker = Worker()`.")
    return found
