"""Workers that stand still and wake up, and work that outlives a lease."""

from __future__ import annotations

import os
import signal

from onserver import execute_on_server
from onserver.testing.cluster import LEASE
from tests.cluster.conftest import Open
from tests.cluster.jobs import overlaps, runs, work


def test_a_worker_stopped_for_longer_than_its_lease_changes_nothing_any_more(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1)
    frozen = cluster.worker(0)
    with cluster.as_current():
        process = execute_on_server("jobs.hold", 1.0)
        cluster.wait_for(lambda: cluster.ledger.count("holding", process.number))
        cluster.stop(frozen)
        cluster.start(1)
        assert process.result(timeout=60) is None
        assert cluster.storage["y"]["last"] == process.number
        written = cluster.storage.version("y")
        cluster.cont(frozen)
        cluster.wait_for(lambda: frozen.output.count(" ready") == 2)
        assert "was declared dead" in frozen.output
        assert cluster.storage.version("y") == written
        assert cluster.ledger.count("holding", process.number) == 2
        assert execute_on_server("jobs.work", 7).result(timeout=60) == 7


def test_a_frozen_supervisor_does_not_let_two_runs_overlap(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1)
    frozen = cluster.worker(0)
    with cluster.as_current():
        process = execute_on_server("jobs.work", 1, 3 * LEASE)
        cluster.wait_for(lambda: cluster.ledger.count("started", process.number))
        os.kill(frozen.pid, signal.SIGSTOP)
        cluster.start(1)
        assert process.result(timeout=60) == 1
        os.kill(frozen.pid, signal.SIGCONT)
    assert len(runs(cluster.ledger)[process.number]) == 2
    assert overlaps(cluster.ledger) == []


def test_work_that_outlives_the_lease_runs_exactly_once(cluster_of: Open) -> None:
    cluster = cluster_of(2)
    with cluster.as_current():
        long = execute_on_server("jobs.work", 1, 4 * LEASE)
        delayed = execute_on_server(work.options(delay=1.5 * LEASE), 2)
        assert delayed.result(timeout=60) == 2
        assert long.result(timeout=60) == 1
    assert {number: len(spans) for number, spans in runs(cluster.ledger).items()} == {long.number: 1, delayed.number: 1}
