"""A process sees its session on every pool, in threads and coroutines: the server's, or that of its caller."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from onserver import Process, Server, Session, execute_on_server
from onserver.celery_app.app import make_app
from onserver.errors import NoWorker, SessionExpired
from onserver.process.in_session import IN_CALLERS_SESSION
from onserver.process.put import Order, Sender
from onserver.session.context import serving
from onserver.testing.cluster import Cluster, open_cluster

TASKS = """
import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

from celery import shared_task

from onserver import caller, procedure, session
from onserver.session.context import in_web


def seen():
    return [session().id, in_web()]


def stray(body):
    found = []
    thread = threading.Thread(target=lambda: found.append(body()))
    thread.start()
    thread.join()
    return found[0]


@procedure
def body():
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        pooled = pool.submit(context.run, seen).result()
    return [seen(), pooled, asyncio.run(several())]


async def several():
    async def one():
        await asyncio.sleep(0)
        return seen()

    found = await asyncio.gather(one(), asyncio.to_thread(seen), one())
    return found[0] if found[0] == found[1] == found[2] else found


@procedure
async def abody():
    return [seen(), await asyncio.to_thread(seen), await several()]


@procedure
def in_stray_thread():
    return [seen(), stray(lambda: seen() if session() else None)]


@shared_task(name="plain")
def plain():
    return [seen(), seen(), seen()]
"""
ROLES: dict[str, Any] = {"privileges": [], "permissions": {"allowed": []}, "restrictedByDefault": False}


class Running(NamedTuple):
    """A server with one worker.

    Attributes:
        pool: of the worker; empty for our own.
        late: server methods whose session was closed before there was a worker.
    """

    cluster: Cluster
    pool: str
    late: Sequence[Process[Any]]

    @property
    def server(self) -> Server:
        return self.cluster.server

    @property
    def own(self) -> list[object]:
        """What a process sees in the server's session."""
        return [self.server.session().id, False]


def start_as(server: Server, name: str, opened: Session, *, remote: bool = False) -> Process[Any]:
    """Start a server method as a request or a call does that is served in a session."""
    with serving(opened, remote=remote):
        return server.part(Sender).put(Order(procedure=name, shape=None, flags=IN_CALLERS_SESSION), [], {})


@pytest.fixture(
    scope="module",
    params=["", "prefork", "threads", pytest.param("solo", marks=pytest.mark.long)],
    ids=["executors", "prefork", "threads", "solo"],
)
def running(
    request: pytest.FixtureRequest, onserver_redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with (
        open_cluster(onserver_redis, tmp_path_factory.mktemp("sessions"), tasks=TASKS) as cluster,
        cluster.as_current(),
    ):
        (cluster.project / "config" / "roles.json").write_text(json.dumps(ROLES))
        server = cluster.server
        closed = server.sessions.open("web", user="eve")
        with pytest.warns(NoWorker):
            late = [start_as(server, name, closed) for name in ("jobs.body", "jobs.abody")]
        server.sessions.close(closed.id)
        cluster.start(1, pool=request.param)
        yield Running(cluster, request.param, late)
        for record in server.sessions.listed():
            server.sessions.close(record.id)


@pytest.mark.parametrize("name", ["jobs.body", "jobs.abody"])
def test_a_process_sees_the_servers_session(running: Running, name: str) -> None:
    assert execute_on_server(name).result(timeout=60) == [running.own] * 3
    web = running.server.sessions.open("web", user="ann")
    with serving(web):
        process = execute_on_server(name)
    assert process.result(timeout=60) == [running.own] * 3


def test_a_task_of_celerys_sees_the_servers_session(running: Running) -> None:
    assert make_app(running.server).signature("plain").apply_async().get(timeout=60) == [running.own] * 3


@pytest.mark.parametrize("name", ["jobs.body", "jobs.abody"])
@pytest.mark.parametrize("kind", ["web", "remote"])
def test_a_server_method_sees_the_session_of_its_caller(running: Running, name: str, kind: Any) -> None:
    opened = running.server.sessions.open(kind, user="ann")
    process = start_as(running.server, name, opened, remote=kind == "remote")
    assert process.result(timeout=60) == [[opened.id, kind == "web"]] * 3


def test_a_thread_of_a_body_sees_its_session_where_one_process_runs_at_a_time(running: Running) -> None:
    web = running.server.sessions.open("web")
    own, strayed = start_as(running.server, "jobs.in_stray_thread", web).result(timeout=60)
    assert own == [web.id, True]
    assert strayed == (None if running.pool == "threads" else own)


def test_a_server_method_whose_session_is_over_fails(running: Running) -> None:
    for process in running.late:
        with pytest.raises(SessionExpired):
            process.result(timeout=60)
        assert process.state == "failed"
