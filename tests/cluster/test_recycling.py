"""Executors are replaced after so many processes, at an age, or at a size, and nothing is lost or run twice."""

from __future__ import annotations

import pytest

from onserver import Process, execute_many, execute_on_server, wait_all
from tests.cluster.conftest import Open

TASKS = """
import os
from onserver import procedure

kept = []

@procedure
def pid(n: int) -> int:
    return os.getpid()

@procedure
def grow(megabytes: int) -> int:
    kept.append(b"x" * (megabytes << 20))
    return os.getpid()
"""


def test_after_so_many_processes(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=2, tasks=TASKS, settings={"worker.recycle_processes": 20})
    with cluster.as_current():
        first = set(cluster.worker(0).executors)
        processes: list[Process[int]] = []

        def pids() -> set[int]:
            processes.extend(execute_many("jobs.pid", range(50)))
            return set(wait_all(processes[-50:], timeout=60))

        cluster.wait_for(lambda: pids() - first)
        cluster.wait_for(lambda: not set(cluster.worker(0).executors) & first)
        assert {process.record().deliveries for process in processes} == {0}


@pytest.mark.parametrize("setting", ["recycle_seconds", "recycle_megabytes"])
def test_at_an_age_or_a_size(cluster_of: Open, setting: str) -> None:
    value = {"recycle_seconds": 0.5, "recycle_megabytes": 150}[setting]
    cluster = cluster_of(1, executors=1, tasks=TASKS, settings={f"worker.{setting}": value})
    with cluster.as_current():
        (first,) = cluster.worker(0).executors
        assert execute_on_server("jobs.grow", 200).result(timeout=60) == first or setting == "recycle_seconds"
        cluster.wait_for(lambda: first not in cluster.worker(0).executors, 60)
        assert execute_on_server("jobs.pid", 1).result(timeout=60) != first
