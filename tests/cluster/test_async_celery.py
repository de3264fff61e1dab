"""Coroutines in Celery's hands: in canvas, and in its own pools, where each thread that runs tasks keeps one loop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from celery import chain, chord, group

from onserver import Process, execute_many, execute_on_server
from onserver.celery_app.app import make_app
from onserver.errors import ProcessAborted
from onserver.testing.cluster import Cluster, open_cluster
from tests.cluster.conftest import Open

TASKS = '''
import asyncio
import os
import threading

from celery import shared_task

from onserver import caller, procedure, process, session
from onserver.testing.ledger import note

pools = {}


@procedure
async def add(x, y):
    await asyncio.sleep(0.01)
    return x + y


@procedure
async def total(values):
    return sum(values)


@shared_task(name="plain_add")
def plain_add(x, y):
    return x + y


@procedure
async def loop(_n):
    """Which thread runs it, on which loop; a pool that is bound to a loop goes on to the next one."""
    await asyncio.sleep(0)
    here = asyncio.get_running_loop()
    pools.setdefault(threading.get_ident(), here)
    same = pools[threading.get_ident()] is here
    return [os.getpid(), threading.get_ident(), same]


@procedure
async def known():
    inside = await asyncio.gather(asyncio.to_thread(lambda: process().number), asyncio.sleep(0))
    return inside[0] == process().number and caller() is not None and session() is not None


@procedure
async def long(seconds):
    note("started", process().number, process().deliveries)
    try:
        await asyncio.sleep(seconds)
    finally:
        note("cleaned", process().number)
    return "ended"


@procedure
async def fails():
    await asyncio.sleep(0)
    raise LookupError("on purpose")
'''


#: Tried by `make test-long`.
LONG = [pytest.param(pool, marks=pytest.mark.long) for pool in ("solo", "threads")]


@pytest.fixture(scope="module", params=["", "prefork", *LONG], ids=["executors", "prefork", "solo", "threads"])
def cluster(
    request: pytest.FixtureRequest, onserver_redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("celery"), tasks=TASKS) as opened:
        opened.start(1, pool=request.param)
        with opened.as_current():
            yield opened


@pytest.fixture
def app(cluster: Cluster) -> Any:
    return make_app(cluster.server)


def process_of(cluster: Cluster, task_id: str) -> Process[Any]:
    store = cluster.server.store
    return Process.get(int(cluster.wait_for(lambda: store.command("GET", store.key(f"id:{task_id}")))))


def test_canvas_of_coroutines_and_tasks(app: Any) -> None:
    add, plain = app.signature("jobs.add", (1,)), app.signature("plain_add", (1,))
    assert chain(app.signature("jobs.add", (1, 1)), plain, add, plain).apply_async().get(timeout=60) == 5
    header = [app.signature("jobs.add" if i % 2 else "plain_add", (i, 1)) for i in range(20)]
    assert chord(header)(app.signature("jobs.total")).get(timeout=60) == sum(range(1, 21))
    assert group(header).apply_async().get(timeout=60) == list(range(1, 21))


def test_each_thread_that_runs_them_keeps_its_loop(cluster: Cluster) -> None:
    found = [process.result(timeout=60) for process in execute_many("jobs.loop", range(30))]
    assert all(same for _, _, same in found)


def test_a_run_is_known_inside(cluster: Cluster, app: Any) -> None:
    assert execute_on_server("jobs.known").result(timeout=60) is True
    assert chain(app.signature("jobs.known"), app.signature("plain_add", (1,))).apply_async().get(timeout=60) == 2


def test_what_it_raises_comes_back(cluster: Cluster, app: Any) -> None:
    with pytest.raises(LookupError, match="on purpose"):
        execute_on_server("jobs.fails").result(timeout=60)
    result = chain(app.signature("jobs.fails"), app.signature("plain_add", (1,))).apply_async()
    with pytest.raises(LookupError, match="on purpose"):
        result.parent.get(timeout=60)


def test_abort_cancels_it_in_canvas_too(cluster: Cluster, app: Any) -> None:
    result = chain(app.signature("jobs.long", (60.0,)), app.signature("plain_add", (1,))).apply_async()
    process = process_of(cluster, result.parent.id)
    cluster.wait_for(lambda: cluster.ledger.count("started", process.number))
    process.abort("changed my mind")
    with pytest.raises(ProcessAborted, match="changed my mind"):
        process.result(timeout=60)
    cluster.wait_for(lambda: cluster.ledger.count("cleaned", process.number))


def test_a_step_of_a_chain_that_a_stop_cancels_runs_again_uncounted(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, grace=0.3)
    with cluster.as_current():
        first = make_app(cluster.server).signature("jobs.long", (2.0,))
        sent = chain(first, make_app(cluster.server).signature("jobs.total", ())).apply_async()
        process = process_of(cluster, sent.parent.id)
        cluster.wait_for(lambda: cluster.ledger.count("started", process.number))
        cluster.worker(0).signal(signal.SIGTERM)
        assert cluster.worker(0).wait() == 0
        assert process.state == "queued"
        cluster.start(1)
        assert process.result(timeout=60) == "ended"
        assert [words[2] for words in cluster.ledger.of("started")] == ["1", "1"]
