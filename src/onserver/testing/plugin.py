"""The pytest plug-in: it needs no configuration, and finds the project as every program does.

| fixture | gives |
|---|---|
| `onserver_redis` | the address of a private, real Redis, started once per run (per worker of xdist) |
| `onserver` | the project on it under a fresh server name; processes run inline when they are started |
| `onserver_live` | the same with one real worker, in a thread of the test's program |
| `onserver_cluster` | makes clusters of real workers, each a program of the operating system |

Each of them ends in a moment. What has not ended after 10 seconds (a program: 20, one of Celery's: 30) fails the test,
which shows where the threads were. A key that is left without owner or lifetime, or a program that is left running, is
a failure of the test that left it.
"""

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from onserver.errors import ProjectNotFound
from onserver.redis.embedded import Embedded
from onserver.redis.keys import find_orphans
from onserver.server import Server
from onserver.settings import find_project
from onserver.testing.cluster import Cluster, drop_keys, open_cluster
from onserver.testing.inline import OnServer


def pytest_configure(config: pytest.Config) -> None:
    """Let the tests of a project import its `tasks`."""
    try:
        project = str(find_project(config.rootpath))
    except ProjectNotFound:
        return  # these tests are of something else
    if project not in sys.path:
        sys.path.insert(0, project)


@pytest.fixture(scope="session")
def onserver_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a private, real Redis, shared by all tests of this run; each has a server name of its own."""
    with Embedded(tmp_path_factory.mktemp("redis"), linger_seconds=0) as embedded:
        embedded.start()
        yield f"unix://{embedded.home.socket}"


@pytest.fixture
def onserver(
    onserver_redis: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnServer]:
    """Give the project on a private Redis: processes run inline, before `execute_on_server` returns."""
    with _opened(onserver_redis, monkeypatch, tmp_path_factory.mktemp("backups"), live=False) as opened:
        yield opened


@pytest.fixture
def onserver_live(
    onserver_redis: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnServer]:
    """Give the project on a private Redis, with one worker in a thread of this program."""
    with _opened(onserver_redis, monkeypatch, tmp_path_factory.mktemp("backups"), live=True) as opened:
        yield opened


@contextmanager
def _opened(redis: str, monkeypatch: pytest.MonkeyPatch, backups: Path, *, live: bool) -> Iterator[OnServer]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    name = f"test-{secrets.token_hex(4)}"
    variables = {"ONSERVER_NAME": name, "ONSERVER_REDIS": redis, "ONSERVER_SIGNING_KEY": secrets.token_hex(16)}
    variables |= {"ONSERVER_MEMBER_LEASE_SECONDS": "60"}
    variables |= {"ONSERVER_BACKUP_FOLDER": str(backups), "ONSERVER_BACKUP_JOURNAL_FOLDER": str(backups)}
    variables |= {"ONSERVER_BACKUP_VERIFY": os.environ.get("ONSERVER_BACKUP_VERIFY", "false")}
    with Server.load(environ=os.environ | variables) as server:
        server.load_tasks()
        opened = OnServer(server, live=live)
        opened.open()
        try:
            yield opened
        finally:
            try:
                opened.close()
                orphans = [str(orphan) for orphan in find_orphans(server.store)]
            finally:
                drop_keys(server.store)
    if orphans:
        raise AssertionError("left behind by this test, with neither owner nor lifetime:\n" + "\n".join(orphans))


class MakeCluster(Protocol):
    """Makes a cluster of `workers` real workers; see `onserver.testing.cluster.open_cluster`."""

    def __call__(
        self,
        workers: int = 1,
        *,
        pool: str = "",
        project: Path | None = None,
        tasks: str = "",
        executors: int = 2,
        crash_at: str = "",
        settings: Mapping[str, object] | None = None,
    ) -> Cluster:
        """Make it and wait until every worker is ready."""
        ...


@pytest.fixture
def onserver_cluster(onserver_redis: str, tmp_path: Path) -> Iterator[MakeCluster]:
    """Make clusters of real workers, which are ended with the test."""
    with ExitStack() as opened:

        def make(
            workers: int = 1, *, pool: str = "", project: Path | None = None, tasks: str = "", executors: int = 2,
            crash_at: str = "", settings: Mapping[str, object] | None = None,
        ) -> Cluster:  # fmt: skip
            cluster = opened.enter_context(open_cluster(onserver_redis, tmp_path, project, tasks, settings))
            if workers:
                cluster.start(workers, pool=pool, executors=executors, crash_at=crash_at)
            return cluster

        yield make
