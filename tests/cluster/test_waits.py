"""Processes that wait for each other: a circle and a full house are found, and stand-ins take what is waited for."""

from __future__ import annotations

import os
import signal

import pytest

from onserver import Process, execute_on_server
from onserver.errors import DeadlockDetected
from tests.cluster.conftest import Open

TASKS = '''
from onserver import Process, execute_on_server, process, procedure, session

@procedure
def depth(n: int) -> int:
    """Waits for one that waits for one that …"""
    return 0 if n == 0 else execute_on_server(depth, n - 1).result() + 1

@procedure
def awaits(number: int) -> int:
    return Process.get(number).result()

@procedure
def partner() -> int:
    """Waits for the process that it is told by a storage entry."""
    storage = session().storage
    while "other" not in storage:
        process().checkpoint()
    return Process.get(storage["other"]).result()

@procedure
def holds_and_waits(number: int) -> int:
    with session().storage.use("held"):
        return Process.get(number).result()

@procedure
def wants_held() -> int:
    storage = session().storage
    while "go" not in storage:
        process().checkpoint()
    with storage.use("held"):
        return 1
'''


def test_whoever_waits_is_stood_in_for(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS)
    with cluster.as_current():
        assert execute_on_server("jobs.depth", 4).result(timeout=60) == 4
        assert execute_on_server("jobs.depth", 4).result(timeout=60) == 4


def test_with_no_stand_in_left_a_full_house_is_found(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS, settings={"worker.stand_ins": 2})
    with cluster.as_current():
        assert execute_on_server("jobs.depth", 2).result(timeout=60) == 2
        with pytest.raises(DeadlockDetected, match="every executor there waits"):
            execute_on_server("jobs.depth", 6).result(timeout=60)
        assert execute_on_server("jobs.depth", 1).result(timeout=60) == 1


def test_two_that_wait_for_each_other(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        first = execute_on_server("jobs.partner")
        second = execute_on_server("jobs.awaits", first.number)
        cluster.wait_for(lambda: second.state == "waiting")
        assert second.record().why == f"#{first.number}"
        with cluster.storage.use() as root:
            root["other"] = second.number
        with pytest.raises(DeadlockDetected, match=rf"the end of #{second.number} would never end: #{second.number} "):
            first.result(timeout=60)
        with pytest.raises(DeadlockDetected):  # it failed with that error, which its waiter gets
            second.result(timeout=60)


def test_a_lock_and_a_process_in_one_circle(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        wants = execute_on_server("jobs.wants_held")
        holds: Process[int] = execute_on_server("jobs.holds_and_waits", wants.number)
        cluster.wait_for(lambda: holds.state == "waiting")
        with cluster.storage.use() as root:
            root["go"] = True
        with pytest.raises(DeadlockDetected):
            wants.result(timeout=60)
        assert holds.wait(timeout=60) == "failed"


def test_a_waiting_one_whose_executor_dies_waits_again(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, executors=2)
    with cluster.as_current():
        first = execute_on_server("jobs.partner")
        second = execute_on_server("jobs.awaits", first.number)
        cluster.wait_for(lambda: second.state == "waiting")
        for pid in cluster.worker(0).executors:
            os.kill(pid, signal.SIGKILL)
        cluster.wait_for(lambda: second.record().deliveries == 1)
        third = execute_on_server("jobs.depth", 0)
        with cluster.storage.use() as root:
            root["other"] = third.number
        assert second.result(timeout=60) == 0
