"""`celery -A workers worker` as a member: the life of a server, and kill -9."""

from __future__ import annotations

import os
import signal

import pytest

from onserver import execute_many, execute_on_server
from tests.cluster.conftest import Open
from tests.cluster.jobs import overlaps, runs


def test_four_celery_workers_of_one_instant_run_each_hook_once(cluster_of: Open) -> None:
    cluster = cluster_of(4, pool="solo")
    with cluster.as_current():
        assert execute_on_server("jobs.work", 1).result(timeout=60) == 1
    assert cluster.ledger.count("hook", "first", 1) == 1
    assert cluster.ledger.count("hook", "second", 1) == 1
    for worker in cluster.workers:
        cluster.kill(worker)
    cluster.start(1, pool="solo")
    assert cluster.ledger.count("hook", "first", 2, "crashed") == 1
    assert cluster.storage["started"] == 2


def test_a_failing_start_up_hook_ends_a_celery_worker(cluster_of: Open) -> None:
    failing = (
        "from onserver import on_server_startup\n\n@on_server_startup\ndef broken():\n    raise RuntimeError('no')\n"
    )
    cluster = cluster_of(0, tasks=failing)
    (worker,) = cluster.start(1, pool="solo", ready=False)
    assert worker.wait(60) == 1
    assert "ONS-5301" in worker.output
    assert worker.output.rstrip().splitlines()[-1] == "RuntimeError: no"


def test_the_last_celery_worker_to_leave_closes_the_epoch(cluster_of: Open) -> None:
    cluster = cluster_of(2, pool="solo")
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait(60) == 0
    assert cluster.state() == "running"
    cluster.worker(1).signal(signal.SIGTERM)
    assert cluster.worker(1).wait(60) == 0
    assert cluster.state() == "stopped"
    assert cluster.ledger.count("shutdown", 1) == 1
    assert cluster.ledger.count("drained", 1) == 1


def test_a_killed_child_of_a_prefork_pool_is_a_delivery(cluster_of: Open) -> None:
    cluster = cluster_of(1, pool="prefork", crash_at="mid_run:2")
    with cluster.as_current():
        processes = execute_many("jobs.work", range(6))
        cluster.wait_for(lambda: {str(process.state) for process in processes} == {"done"}, 60)
    assert overlaps(cluster.ledger) == []
    assert max(len(spans) for spans in runs(cluster.ledger).values()) == 2


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_the_work_of_a_killed_celery_worker_runs_again(cluster_of: Open, pool: str) -> None:
    cluster = cluster_of(2, pool=pool)
    with cluster.as_current():
        processes = execute_many("jobs.work", [(n, 1.0) for n in range(4)])
        cluster.wait_for(lambda: cluster.ledger.count("started") >= 2)
        pid = int(cluster.ledger.of("started")[0][3])
        victim = next(worker for worker in cluster.workers if os.getpgid(pid) == worker.pid)
        cluster.kill(victim)
        assert [process.result(timeout=60) for process in processes] == [0, 1, 2, 3]
    assert overlaps(cluster.ledger) == []


@pytest.mark.long
@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
@pytest.mark.parametrize("step", ["mid_run", "in_use", "before_commit", "after_commit"])
def test_every_step_on_every_pool(cluster_of: Open, pool: str, step: str) -> None:
    cluster = cluster_of(1, executors=0)  # runs the hooks, which use the storage too
    cluster.start(1, pool=pool, crash_at=step)
    with cluster.as_current():
        processes = execute_many("jobs.work" if step == "mid_run" else "jobs.transfer", [1] * 20)
        cluster.start(1, pool=pool)
        cluster.wait_for(lambda: {str(process.state) for process in processes} == {"done"}, 60)
        x = cluster.storage["x"]
        assert x.get("left", 0) + x.get("right", 0) == 0
    assert overlaps(cluster.ledger) == []
