"""Processes that wait for each other: a circle and a full house are found, and stand-ins take what is waited for."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

from onserver import Process, execute_on_server
from onserver.errors import DeadlockDetected
from onserver.testing.cluster import Cluster
from tests.cluster.conftest import Open

TASKS = '''
from onserver import Process, as_completed, execute_many, execute_on_server, process, procedure, session, wait_all

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

def _told(key):
    storage = session().storage
    while key not in storage:
        process().checkpoint()
    return [Process.get(number) for number in storage[key]]

@procedure
def all_of(key: str) -> list:
    return wait_all(_told(key))

@procedure
def first_of(key: str) -> int:
    return next(iter(as_completed(_told(key)))).number

@procedure
async def first_of_in_a_loop(key: str) -> int:
    async for one in as_completed(_told(key)):
        return one.number

@procedure
def follows(key: str) -> int:
    (one,) = _told(key)
    return sum(1 for _ in one.progress())

@procedure
def until(key: str) -> str:
    _told(key)
    return key

@procedure
def fan(n: int) -> int:
    """Waits for many that only its own executor could run."""
    one = sum(wait_all(execute_many(depth, [0] * n)))
    return one + sum(each.result() for each in as_completed(execute_many(depth, [1] * n)))
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


def tell(cluster: Cluster, key: str, *processes: Process[Any]) -> None:
    with cluster.storage.use() as root:
        root[key] = [process.number for process in processes]


def waits(cluster: Cluster, process: Process[Any]) -> str:
    cluster.wait_for(lambda: process.state == "waiting" or process.state.ended)
    return process.record().why


def test_a_circle_through_any_of_those_that_are_all_waited_for(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=3, tasks=TASKS)
    with cluster.as_current():
        runs = execute_on_server("jobs.until", "end")
        every = execute_on_server("jobs.all_of", "every")
        awaits = execute_on_server("jobs.awaits", every.number)
        assert waits(cluster, awaits) == f"#{every.number}"
        tell(cluster, "every", runs, awaits)
        named = f"the end of #{runs.number}, #{awaits.number} would never end: #{awaits.number} "
        with pytest.raises(DeadlockDetected, match=re.escape(named)):
            every.result(timeout=60)
        tell(cluster, "end")


def test_a_circle_that_is_closed_by_another_than_the_one_who_waits_for_all(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=3, tasks=TASKS)
    with cluster.as_current():
        runs = execute_on_server("jobs.until", "end")
        last = execute_on_server("jobs.partner")
        every = execute_on_server("jobs.all_of", "every")
        tell(cluster, "every", runs, last)
        assert waits(cluster, every) == f"#{runs.number}, #{last.number}"
        with cluster.storage.use() as root:
            root["other"] = every.number
        with pytest.raises(DeadlockDetected, match=f"the end of #{every.number} would never end"):
            last.result(timeout=60)
        tell(cluster, "end")
        with pytest.raises(DeadlockDetected):  # it failed with that error, which its waiter gets
            every.result(timeout=60)


@pytest.mark.parametrize("name", ["first_of", "first_of_in_a_loop"])
def test_the_first_of_several_is_waited_for_as_long_as_one_of_them_goes_on(cluster_of: Open, name: str) -> None:
    cluster = cluster_of(1, executors=4, tasks=TASKS)
    with cluster.as_current():
        runs = execute_on_server("jobs.until", "end")
        first = execute_on_server(f"jobs.{name}", "first")
        awaits = execute_on_server("jobs.awaits", first.number)
        assert waits(cluster, awaits) == f"#{first.number}"
        tell(cluster, "first", awaits, runs)
        assert waits(cluster, first) == f"the first of #{runs.number}, #{awaits.number}"
        tell(cluster, "end")
        assert first.result(timeout=60) == awaits.result(timeout=60) == runs.number


@pytest.mark.parametrize("name", ["first_of", "first_of_in_a_loop"])
def test_a_circle_through_all_of_those_of_which_the_first_is_waited_for(cluster_of: Open, name: str) -> None:
    cluster = cluster_of(1, executors=4, tasks=TASKS)
    with cluster.as_current():
        first = execute_on_server(f"jobs.{name}", "first")
        both = [execute_on_server("jobs.awaits", first.number) for _ in range(2)]
        for one in both:
            assert waits(cluster, one) == f"#{first.number}"
        tell(cluster, "first", *both)
        with pytest.raises(DeadlockDetected, match=f"the first end of #{both[0].number}, #{both[1].number}"):
            first.result(timeout=60)


def test_who_follows_a_process_that_waits_for_it_waits_for_ever(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=2, tasks=TASKS)
    with cluster.as_current():
        follows = execute_on_server("jobs.follows", "followed")
        awaits = execute_on_server("jobs.awaits", follows.number)
        assert waits(cluster, awaits) == f"#{follows.number}"
        tell(cluster, "followed", awaits)
        with pytest.raises(DeadlockDetected, match=f"the end of #{awaits.number} would never end"):
            follows.result(timeout=60)


def test_who_follows_a_process_that_runs_shows_it_and_hears_its_end(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=2, tasks=TASKS)
    with cluster.as_current():
        runs = execute_on_server("jobs.until", "end")
        follows = execute_on_server("jobs.follows", "followed")
        tell(cluster, "followed", runs)
        assert waits(cluster, follows) == f"progress of #{runs.number}"
        tell(cluster, "end")
        assert follows.result(timeout=60) == 0


def test_whoever_waits_for_several_is_stood_in_for(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS)
    with cluster.as_current():
        assert execute_on_server("jobs.fan", 5).result(timeout=60) == 5


def test_with_no_stand_in_left_who_waits_for_several_is_a_full_house(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS, settings={"worker.stand_ins": 0})
    with cluster.as_current(), pytest.raises(DeadlockDetected, match="every executor there waits"):
        execute_on_server("jobs.fan", 5).result(timeout=60)
