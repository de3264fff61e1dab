"""What must not run twice (`rerun=False`), and had ended when its executor was killed, before Redis knew of that."""

from __future__ import annotations

from collections import Counter
from typing import Any

from onserver import Process, execute_many
from onserver.testing.cluster import Cluster
from tests.cluster.conftest import Open

TASKS = """
import os
import signal

from onserver import procedure, process
from onserver.testing.ledger import note


@procedure(batch=True, rerun=False)
def once(n):
    note("once", process().number)
    if n == 10 and os.environ.get("SUDDEN"):
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return n


@procedure(rerun=False)
async def once_on_a_loop(n):
    note("once", process().number)
    return n
"""


def test_it_is_lost_where_its_end_was_to_be_said_with_that_of_the_next_one(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS, crash_at="after_claim:12@executor")
    with cluster.as_current():
        processes = execute_many("jobs.once", range(20))
        assert ended(cluster, processes) == Counter(done=19, lost=1)
    ran = Counter(int(words[1]) for words in cluster.ledger.of("once"))
    assert ran == dict.fromkeys((process.number for process in processes), 1)


def test_it_is_lost_where_it_ran_on_a_loop(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS, crash_at="before_settle:6@executor")
    with cluster.as_current():
        processes = execute_many("jobs.once_on_a_loop", range(12))
        how = ended(cluster, processes)
        assert how["lost"] >= 1
    ran = Counter(int(words[1]) for words in cluster.ledger.of("once"))
    assert ran.total() == len(ran) >= how["done"]


def test_it_is_lost_where_its_whole_worker_was_killed(cluster_of: Open) -> None:
    """Nobody is left who knows which of those that it held had begun."""
    cluster = cluster_of(0, tasks=TASKS)
    cluster.start(1, executors=1, SUDDEN="1")
    with cluster.as_current():
        processes = execute_many("jobs.once", range(20))
        cluster.worker(0).wait()
        cluster.start(1, executors=1)
        assert ended(cluster, processes) == Counter(done=19, lost=1)
        assert str(processes[10].state) == "lost"
    ran = Counter(int(words[1]) for words in cluster.ledger.of("once"))
    assert ran == dict.fromkeys((process.number for process in processes), 1)


def ended(cluster: Cluster, processes: list[Process[Any]]) -> Counter[str]:
    """How they have ended, once all have."""

    def states() -> Counter[str]:
        return Counter(str(process.state) for process in processes)

    cluster.wait_for(lambda: set(states()) <= {"done", "lost"})
    return states()
