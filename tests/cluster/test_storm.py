"""Random kills under load, seeded: the ledger, which is outside the system, says what happened."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from onserver import Process, execute_many
from onserver.testing.cluster import Cluster
from onserver.testing.wait import wait_for
from tests.cluster.conftest import Open
from tests.cluster.jobs import TASKS, overlaps, runs

LOOPS = (Path(__file__).parent / "loops_project.py").read_text()
FINAL = {"done", "failed", "lost", "dead"}


def storm(cluster: Cluster, seed: int, seconds: float) -> None:
    """Load and random kills for so long, then everything must have ended as promised."""
    chance = random.Random(seed)
    end, processes = monotonic() + seconds, list[Process[Any]]()
    kills = 0
    while monotonic() < end:
        processes += execute_many("jobs.work", [(n, chance.random() / 20) for n in range(20)])
        processes += execute_many("jobs.transfer", [1] * 5)
        moment = monotonic() + chance.uniform(0.1, 0.8)
        wait_for(lambda: monotonic() > moment)  # noqa: B023  # called at once
        worker = chance.choice([worker for worker in cluster.workers if worker.alive])
        if chance.random() < 0.8 and worker.executors:
            os.kill(chance.choice(worker.executors), signal.SIGKILL)
        else:
            cluster.kill(worker)
            cluster.start(1, ready=False)
        kills += 1
    cluster.wait_for(lambda: {str(process.state) for process in processes} <= FINAL, 60 + seconds)
    left = [(process.number, str(process.state)) for process in processes if str(process.state) != "done"]
    assert all(state == "dead" for _, state in left), left
    assert len(left) <= kills  # three deaths of one process are rare, and must be its own
    assert overlaps(cluster.ledger) == []
    known = {process.number for process in processes}
    assert not set(runs(cluster.ledger)) - known
    x = cluster.storage["x"]
    assert x["left"] + x["right"] == 0


@pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")  # all of them may be dead for a moment
@pytest.mark.parametrize("tasks", [TASKS, LOOPS], ids=["executors", "loops"])
def test_a_short_storm(cluster_of: Open, tasks: str) -> None:
    cluster = cluster_of(2, tasks=tasks)
    with cluster.as_current():
        storm(cluster, seed=4711, seconds=8)


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("tasks", [TASKS, LOOPS], ids=["executors", "loops"])
def test_a_long_storm(cluster_of: Open, tasks: str, seed: int) -> None:
    cluster = cluster_of(3, tasks=tasks)
    with cluster.as_current():
        storm(cluster, seed=seed, seconds=60)
