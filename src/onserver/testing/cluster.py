"""A cluster for tests: real workers as programs, which can be killed, stopped and woken, on a private Redis.

Each cluster is a server of its own name, so that tests share one Redis and nothing else. Its lease is short (2 s, beat
0.4 s), so that what a dead worker held is free again while a test looks on.
"""

import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from onserver.backup.asking import backup
from onserver.life.hook_arguments import BackupResult
from onserver.redis.keys import find_orphans
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.storage import Storage
from onserver.settings import find_project
from onserver.testing.clock import advance
from onserver.testing.ledger import VARIABLE, Ledger
from onserver.testing.programs import ENDS, WorkerProgram
from onserver.testing.wait import wait_for

T = TypeVar("T")

#: Lease and beat of a test's workers, in seconds.
LEASE, BEAT = 2.0, 0.4
#: Seconds within which a worker says that it is ready; the machine that runs tests may be busy.
READY = 60.0
#: Seconds that a worker of Celery's own gets to end: each child of its pool sleeps a second before it exits.
CELERY_ENDS = 30.0

#: `workers/__init__.py` of the projects that are made for a test.
CELERY_APP = """from onserver import Server
from onserver.celery_app.app import make_app

server = Server.load()
server.load_tasks()
app = make_app(server)
"""


class Cluster:
    """The workers of one server, and this program as its client.

    Args:
        project: The folder whose tasks the workers run.
        redis: Address of the Redis.
        name: Name of the server; nobody else uses it.
        folder: Where the output of the workers and the ledger go.
        settings: More settings, by their names in the settings file.
    """

    def __init__(
        self, project: Path, redis: str, name: str, folder: Path, settings: Mapping[str, object] | None = None
    ) -> None:
        self.project = project
        self.folder = folder
        self.workers: list[WorkerProgram] = []
        self.ledger = Ledger(folder / "ledger")
        given: dict[str, object] = {"name": name, "redis": redis, "member.lease_seconds": LEASE,
                                    "member.beat_seconds": BEAT} | dict(settings or {})  # fmt: skip
        self.variables = {f"ONSERVER_{key.replace('.', '_').upper()}": str(value) for key, value in given.items()}
        self.variables |= {"ONSERVER_TESTING": "1", "ONSERVER_PROJECT": str(project),
                           "ONSERVER_SIGNING_KEY": secrets.token_hex(16)}  # fmt: skip
        self.server = Server.load(project, environ=os.environ | self.variables)

    def as_current(self) -> AbstractContextManager[Server]:
        """Let `execute_on_server` and all else in this program mean this cluster's server."""
        return self.server.as_current()

    # ---- workers

    def start(
        self, workers: int = 1, *, pool: str = "", executors: int = 2, crash_at: str = "", ready: bool = True,
        grace: float = 1.0, application: str = "workers", options: Sequence[str] = (), **variables: str,
    ) -> list[WorkerProgram]:  # fmt: skip
        """Start workers at once.

        Args:
            workers: How many.
            pool: Empty for `onserver worker`; or a pool of Celery's, for `celery -A workers worker -P POOL`.
            executors: How many processes each runs at a time.
            crash_at: The step at which they kill themselves; see `onserver.crash`.
            ready: Wait until each takes work.
            grace: Seconds that running processes get when a worker is told to end.
            application: With a pool of Celery's: the application, as `celery -A` takes it.
            options: More of their command's options.
            variables: More of their environment.

        Returns:
            The new workers, in order; they are in `workers` too.
        """
        environment = self.environment() | variables
        if crash_at:
            environment["ONSERVER_CRASH_AT"] = crash_at
        started: list[WorkerProgram] = []
        for _ in range(workers):
            node = f"w{len(self.workers) + 1}"
            command = [*_command(node, pool, executors, grace, application), *options]
            started.append(
                WorkerProgram(
                    node, command, environment, self.folder / f"{node}.log", self.project, CELERY_ENDS if pool else ENDS
                )
            )
            self.workers.append(started[-1])
        if ready:
            for worker in started:
                self.wait_ready(worker)
        return started

    def environment(self) -> dict[str, str]:
        """Return the environment of a program that belongs to this cluster, client or worker."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ONSERVER_")}
        path = os.pathsep.join(filter(None, [str(self.project), inherited.get("PYTHONPATH", "")]))
        own = {"PYTHONPATH": path, "PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1", VARIABLE: str(self.ledger.path)}
        return inherited | own | self.variables

    def wait_ready(self, worker: WorkerProgram) -> None:
        """Wait until a worker takes work; fails with its output when it ended instead."""
        wait_for(lambda: " ready" in worker.output or not worker.alive, READY)
        if " ready" not in worker.output:  # one that was, and killed itself at once, is what a test may be about
            raise AssertionError(f"{worker!r} ended with status {worker.status}:\n{worker.output}")

    def worker(self, index: int) -> WorkerProgram:
        """Return the worker that was started as number `index`, from 0."""
        return self.workers[index]

    def kill(self, worker: WorkerProgram) -> None:
        """Kill a worker whole, as a machine that loses power does: no signal handler runs."""
        worker.signal(signal.SIGKILL, group=True)
        worker.wait()

    def stop(self, worker: WorkerProgram) -> None:
        """Freeze a worker whole (SIGSTOP); `cont` wakes it."""
        worker.signal(signal.SIGSTOP, group=True)

    def cont(self, worker: WorkerProgram) -> None:
        """Wake a frozen worker (SIGCONT)."""
        worker.signal(signal.SIGCONT, group=True)

    # ---- the server, as a client sees it

    @property
    def storage(self) -> Storage:
        """The server's storage."""
        return self.server.storage

    def backup(self, *, label: str = "", force: bool = False) -> BackupResult:
        """Have a worker make a backup, and wait until it has ended; archives go where the settings say."""
        with self.as_current():
            return backup(label=label, force=force)

    def advance(self, seconds: float) -> None:
        """Move the clock that every script of this server reads."""
        advance(self.server.store, seconds)

    def wait_for(self, fact: Callable[[], T], timeout: float = 60.0) -> T:
        """Wait until a fact holds and return it; fails with the output of the workers."""
        try:
            return wait_for(fact, timeout)
        except AssertionError as failure:
            failure.add_note("\n".join(f"--- {worker!r}\n{worker.output}" for worker in self.workers))
            raise

    def state(self) -> str:
        """Return the state of the server: none, starting, running, stopping, stopped or failed."""
        answer: bytes | None = self.server.store.command("HGET", self.server.store.key("server"), "state")
        return answer.decode() if answer else "none"

    # ---- the end

    def close(self) -> list[str]:
        """End every worker and look at what is left.

        Returns:
            Complaints: workers that did not end in time, keys without owner or lifetime, programs left running.
        """
        complaints = [complaint for worker in reversed(self.workers) if (complaint := worker.end())]
        for worker in self.workers:
            complaints += [f"pid {pid} of {worker!r} is left" for pid in worker.left]
        complaints += [f"key {orphan} has neither owner nor lifetime" for orphan in find_orphans(self.server.store)]
        drop_keys(self.server.store)
        self.server.close()
        return complaints


def drop_keys(store: Store) -> None:
    """Remove every key of a server that a test made."""
    cursor: Any = b"0"
    while True:
        cursor, keys = store.command("SCAN", cursor, "MATCH", store.prefix + "*", "COUNT", 1000)
        if keys:
            store.command("UNLINK", *keys)
        if int(cursor) == 0:
            return


def _command(node: str, pool: str, executors: int, grace: float, application: str) -> list[str]:
    if not pool:
        own = ["worker", "-n", node, "-c", str(executors), "--grace", str(grace)]
        return [sys.executable, "-m", "onserver.cli", *own]
    celery = ["-A", application, "worker", "-P", pool, "-c", str(executors), "-n", f"{node}@%h", "-l", "INFO"]
    return [sys.executable, "-m", "celery", *celery]


@contextmanager
def open_cluster(
    redis: str,
    folder: Path,
    project: Path | None = None,
    tasks: str = "",
    settings: Mapping[str, object] | None = None,
) -> Iterator[Cluster]:
    """Open a cluster without workers, and end it with the block: for fixtures of a wider scope.

    Args:
        redis: Address of the Redis, as the fixture `onserver_redis` gives it.
        folder: An empty folder for what the cluster writes.
        project: The project that it runs; the nearest one by default.
        tasks: Instead of a project, the source of one file: it becomes `tasks/jobs.py` of a project made for it.
        settings: More settings, by their names in the settings file.

    Raises:
        AssertionError: On leaving, something was left: a program, a key without owner or lifetime; or a worker did not
            end in time.
    """
    name = f"test-{secrets.token_hex(4)}"
    own = folder / name
    own.mkdir()
    found = _project_of(own, tasks) if tasks else project or find_project()
    cluster = Cluster(found, redis, name, own, settings)
    complaints: list[str] = []
    try:
        yield cluster
    finally:
        complaints += cluster.close()
    if complaints:
        raise AssertionError("left behind by this test:\n" + "\n".join(complaints))


def _project_of(folder: Path, tasks: str) -> Path:
    files = {
        "config/onserver.toml": 'redis = "embedded"\n',
        "tasks/jobs.py": tasks,
        "workers/__init__.py": CELERY_APP,
        "workers/server.py": "from onserver import Worker\n\nworker = Worker()\n",
    }
    for part, text in files.items():
        target = folder / "project" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder / "project"
