"""kill -9 at every step: what was accepted is finished or dead-lettered, no runs overlap, nothing is half written."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest

from onserver import Process, execute_many, execute_on_server
from onserver.testing.cluster import BEAT, LEASE, Cluster
from tests.cluster.conftest import Open
from tests.cluster.jobs import overlaps, runs, work
from tests.leftovers import has_ended
from tests.measure import at_best

ENDED = {"done", "failed", "lost", "dead"}


def states(processes: list[Process[Any]]) -> list[str]:
    return [str(process.state).lower() for process in processes]


def all_ended(cluster: Cluster, processes: list[Process[Any]], timeout: float = 60.0) -> list[str]:
    cluster.wait_for(lambda: set(states(processes)) <= ENDED, timeout)
    return states(processes)


@pytest.mark.parametrize("step", ["after_claim", "before_run", "mid_run", "before_settle", "after_settle"])
def test_what_was_accepted_is_finished_when_an_executor_dies(cluster_of: Open, step: str) -> None:
    cluster = cluster_of(1, crash_at=f"{step}@executor")
    with cluster.as_current():
        processes = execute_many("jobs.work", range(20))
        assert set(all_ended(cluster, processes)) == {"done"}
    assert "was killed by SIGKILL" in cluster.worker(0).output
    assert overlaps(cluster.ledger) == []


def test_a_supervisor_that_dies_before_it_buries_its_executor_loses_nothing(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=0)  # runs the hooks, whose children are buried too
    (worker,) = cluster.start(1, executors=1, crash_at="before_bury@supervisor")
    with cluster.as_current():
        running = execute_on_server("jobs.work", 99, 1.0)
        waiting = execute_many("jobs.work", range(5))
        cluster.wait_for(lambda: cluster.ledger.count("started", running.number))
        os.kill(int(cluster.ledger.of("started")[0][3]), signal.SIGKILL)
        worker.wait()
        cluster.start(1)
        assert set(all_ended(cluster, [running, *waiting])) == {"done"}
    assert overlaps(cluster.ledger) == []


def test_a_killed_executor_is_replaced_and_its_process_runs_again_within_a_second(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1)

    def kill() -> float:
        process = execute_on_server("jobs.work", 1, 1.0)
        cluster.wait_for(lambda: cluster.ledger.count("started", process.number))
        killed = int(cluster.ledger.of("started")[-1][3])
        os.kill(killed, signal.SIGKILL)
        assert process.result(timeout=60) == 1
        assert killed not in cluster.worker(0).executors
        assert len(cluster.worker(0).executors) == 1
        first, second = runs(cluster.ledger)[process.number]
        return second[0] - first[1]

    with cluster.as_current():
        at_best(kill, 1.0)


def test_the_work_of_a_killed_worker_runs_again_within_lease_and_beat(cluster_of: Open) -> None:
    cluster = cluster_of(1)

    def kill() -> float:
        process = execute_on_server("jobs.work", 1, 600.0)
        cluster.wait_for(lambda: cluster.ledger.count("started", process.number))
        cluster.start(1)
        *_, runner, other = cluster.workers
        cluster.kill(runner)
        cluster.wait_for(lambda: cluster.ledger.count("started", process.number) == 2)
        first, second = runs(cluster.ledger)[process.number][:2]
        assert other.alive
        return second[0] - first[1]

    with cluster.as_current():
        at_best(kill, LEASE + 2 * BEAT + 1.0)


def test_a_leader_that_dies_in_its_duties_is_followed_by_another(cluster_of: Open) -> None:
    cluster = cluster_of(1, crash_at="in_sweep:3@supervisor")
    (other,) = cluster.start(1)
    with cluster.as_current():
        processes = execute_many("jobs.work", [(n, 0.1) for n in range(20)])
        cluster.worker(0).wait()
        assert set(all_ended(cluster, processes)) == {"done"}
        assert execute_on_server(work.options(delay=0.2), 1).result(timeout=60) == 1  # its heir has the duties
    assert other.alive
    assert overlaps(cluster.ledger) == []


def test_a_body_that_kills_its_worker_each_time_is_dead_lettered(cluster_of: Open) -> None:
    cluster = cluster_of(1, crash_at="mid_run:each@executor")
    with cluster.as_current():
        process = execute_on_server("jobs.work", 1)
        assert all_ended(cluster, [process]) == ["dead"]
    assert cluster.ledger.count("started", process.number) == 3


def test_a_process_that_may_not_run_again_is_lost_with_its_worker(cluster_of: Open) -> None:
    cluster = cluster_of(1, crash_at="mid_run@executor")
    with cluster.as_current():
        process = execute_on_server("jobs.once", 1)
        assert all_ended(cluster, [process]) == ["lost"]
        assert execute_on_server("jobs.once", 2).result(timeout=60) == 2
    assert cluster.ledger.count("started", process.number) == 1


def test_neighbours_of_a_crash_are_not_counted(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, crash_at="mid_run@executor")
    with cluster.as_current():
        quick = execute_many("jobs.quick", range(5))
        slow = execute_on_server("jobs.work", 1)
        more = execute_many("jobs.quick", range(5))
        assert set(all_ended(cluster, [*quick, slow, *more])) == {"done"}
    assert {words[2] for words in cluster.ledger.of("started") if int(words[1]) != slow.number} == {"1"}


def test_the_death_of_a_worker_counts_once(cluster_of: Open) -> None:
    """And what its dead, idle executors are handed meanwhile does not count at all."""
    cluster = cluster_of(1, executors=6)
    with cluster.as_current():
        cut = execute_on_server("jobs.work", 1, 600.0)
        cluster.wait_for(lambda: cluster.ledger.count("started", cut.number))
        cluster.kill(cluster.worker(0))
        # until Redis has seen that its executors are gone, it sends them what they are handed
        cluster.wait_for(lambda: b"blocked_clients:0" in cluster.server.store.command("INFO", "clients"))
        handed = [execute_on_server("jobs.quick", n) for n in range(3)]
        cluster.start(1, executors=1)
        cluster.wait_for(lambda: cluster.ledger.count("started", cut.number) == 2)
        assert [words[2] for words in cluster.ledger.of("started") if int(words[1]) == cut.number] == ["1", "2"]
        cut.abort(force=True)
        assert [process.result(timeout=60) for process in handed] == [0, 1, 2]
    assert {words[2] for words in cluster.ledger.of("started") if int(words[1]) != cut.number} == {"1"}


@pytest.mark.parametrize("step", ["in_use", "before_commit", "after_commit"])
def test_a_block_is_written_whole_or_not_at_all(cluster_of: Open, step: str) -> None:
    cluster = cluster_of(1, executors=0)  # runs the hooks, which use the storage too
    (worker,) = cluster.start(1, crash_at=f"{step}@executor")
    with cluster.as_current():
        processes = execute_many("jobs.transfer", [1] * 10)
        assert set(all_ended(cluster, processes)) == {"done"}
        x = cluster.storage["x"]
        assert x["left"] + x["right"] == 0
        assert x["right"] == (11 if step == "after_commit" else 10)
        assert "was killed by SIGKILL" in worker.output


def test_what_a_killed_executor_started_is_ended_with_it(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1)
    with cluster.as_current():
        process = execute_on_server("jobs.spawn", 2)
        cluster.wait_for(lambda: cluster.ledger.count("child") == 2 and cluster.ledger.count("started"))
        children = [psutil.Process(int(words[1])) for words in cluster.ledger.of("child")]
        os.kill(int(cluster.ledger.of("started")[0][3]), signal.SIGKILL)
        cluster.wait_for(lambda: all(map(has_ended, children)))
        assert process.number


def test_what_an_interrupted_run_started_is_ended_with_its_worker(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1)
    with cluster.as_current():
        execute_on_server("jobs.spawn", 2)
        cluster.wait_for(lambda: cluster.ledger.count("child") == 2 and cluster.ledger.count("started"))
        children = [psutil.Process(int(words[1])) for words in cluster.ledger.of("child")]
        assert not cluster.worker(0).end()
        cluster.wait_for(lambda: all(map(has_ended, children)))
