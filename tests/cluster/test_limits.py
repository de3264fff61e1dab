"""Limits and wide pauses with real workers, some of which are killed: what ran at once, by a ledger outside."""

from __future__ import annotations

import json
import os
import random
import signal
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from onserver import Process, execute_many, execute_on_server, wait_all
from onserver.errors import DeadlockDetected, NoWorker
from onserver.process import gates
from onserver.testing.cluster import Cluster
from onserver.testing.ledger import Ledger
from onserver.testing.wait import wait_for
from tests.cluster.conftest import Open

TASKS = (Path(__file__).parent / "limits_project.py").read_text()
COROUTINE = """

@procedure(limit=Limit(3))
async def turns(n):
    _note("started", "turns")
    await asyncio.sleep(0.1)
    _note("ended", "turns")
    return n
"""
FINAL = {"done", "dead"}


def at_once(ledger: Ledger) -> dict[str, int]:
    """For each key, how many runs lay over one another at most: from their start to their end or last sign of life."""
    spans: dict[tuple[str, ...], list[float]] = {}
    for words in ledger:
        if words[0] in ("started", "alive", "ended"):
            _, number, delivery, pid, at, key = words
            span = spans.setdefault((key, number, delivery, pid), [float(at), float(at)])
            span[1] = max(span[1], float(at))
    changes: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for (key, *_), (began, over) in spans.items():
        changes[key] += [(began, 1), (over, -1)]
    return {key: _most(sorted(moments)) for key, moments in changes.items()}


def _most(moments: Iterable[tuple[float, int]]) -> int:
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def all_ended(cluster: Cluster, processes: list[Process[Any]], timeout: float) -> None:
    cluster.wait_for(lambda: {str(process.state) for process in processes} <= FINAL, timeout)


def storm(cluster: Cluster, seed: int, seconds: float) -> None:
    """Random kills under load: the caps hold throughout, and all that was asked for is done in the end."""
    chance = random.Random(seed)
    end, processes = monotonic() + seconds, list[Process[Any]]()
    while monotonic() < end:
        processes += execute_many("jobs.three", [(n, 0.02 + chance.random() / 20) for n in range(12)])
        processes += execute_many("jobs.each", [(f"c{chance.randrange(3)}", chance.random() / 15) for _ in range(12)])
        processes += execute_many("jobs.computed", [(n, "ann", chance.random() / 15) for n in range(6)])
        moment = monotonic() + chance.uniform(0.2, 0.8)
        wait_for(lambda: monotonic() > moment)  # noqa: B023  # called at once
        worker = chance.choice([worker for worker in cluster.workers if worker.alive])
        if chance.random() < 0.8 and worker.executors:
            os.kill(chance.choice(worker.executors), signal.SIGKILL)
        else:
            cluster.kill(worker)
            cluster.start(1, ready=False)
    all_ended(cluster, processes, 90 + seconds)
    most = at_once(cluster.ledger)
    allowed = {"three": 3, "c0": 2, "c1": 2, "c2": 2, "ann/0": 1, "ann/1": 1}
    assert {key for key in allowed if most[key] > allowed[key]} == set()


def test_limits_hold_while_four_workers_are_killed(cluster_of: Open) -> None:
    cluster = cluster_of(4, tasks=TASKS)
    with cluster.as_current():
        storm(cluster, seed=4711, seconds=6)


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_limits_hold_in_a_long_storm(cluster_of: Open, seed: int) -> None:
    cluster = cluster_of(4, tasks=TASKS)
    with cluster.as_current():
        storm(cluster, seed=seed, seconds=60)


def test_the_slot_of_a_killed_executor_is_free_at_once(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, executors=4)
    with cluster.as_current():
        holding = execute_many("jobs.three", [(n, 600.0) for n in range(3)])
        cluster.wait_for(lambda: cluster.ledger.count("started") == 3)
        waiting = execute_on_server("jobs.three", 4)
        assert waiting.state == "queued"
        os.kill(int(cluster.ledger.of("started")[0][3]), signal.SIGKILL)
        cluster.wait_for(lambda: cluster.ledger.count("started") == 4)  # it begins again, being first in line
        assert at_once(cluster.ledger)["three"] <= 3
        holding[1].abort(force=True)
        assert waiting.result(timeout=20) == 4


def test_no_more_begin_in_a_time_than_are_allowed(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=TASKS)
    with cluster.as_current():
        processes = execute_many("jobs.often", range(35))
        assert wait_all(processes, timeout=30) == list(range(35))
        began = sorted(process.record().claimed_ms for process in processes)
    assert all(later - earlier >= 1500 for earlier, later in zip(began, began[10:], strict=False))
    assert began[-1] - began[0] < 3 * 1500 + 6000  # 3 turns are needed; nobody waited for one that never came


def test_new_code_brings_new_limits(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=TASKS)
    with cluster.as_current():
        wait_all(execute_many("jobs.three", [(n, 0.2) for n in range(8)]), timeout=20)
        assert at_once(cluster.ledger)["three"] <= 3
        (cluster.project / "tasks" / "jobs.py").write_text(TASKS.replace("Limit(3)", "Limit(1)"))
        cluster.worker(0).signal(signal.SIGUSR2)
        cluster.wait_for(lambda: ": code " in cluster.worker(0).output)
        before = len(list(cluster.ledger))
        wait_all(execute_many("jobs.three", [(n, 0.1) for n in range(6)]), timeout=20)
        later = cluster.folder / "later"
        later.write_text("".join("\t".join(words) + "\n" for words in list(cluster.ledger)[before:]))
        assert at_once(Ledger(later))["three"] == 1


def test_whoever_waits_for_what_needs_its_own_slot_is_told(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, executors=2)
    with cluster.as_current():
        assert execute_on_server("jobs.nested", 1).result(timeout=20) == 1
        told = r"needs a slot of the limit of `jobs\.nested`, and whoever has one waits"
        with pytest.raises(DeadlockDetected, match=told):
            execute_on_server("jobs.nested", 3).result(timeout=20)


def test_coroutines_are_limited_like_all_others(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=TASKS + COROUTINE)
    with cluster.as_current():
        assert wait_all(execute_many("jobs.turns", range(12)), timeout=30) == list(range(12))
        assert at_once(cluster.ledger)["turns"] <= 3


def test_a_queue_has_a_limit_of_its_own(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=TASKS, settings={"queue": json.dumps({"default": {"at_once": 2}})})
    with cluster.as_current():
        wait_all(execute_many("jobs.three", [(n, 0.1) for n in range(8)]), timeout=20)
        assert at_once(cluster.ledger)["three"] <= 2


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_limits_hold_in_celerys_own_pools(cluster_of: Open, pool: str) -> None:
    cluster = cluster_of(1, tasks=TASKS, pool=pool, executors=4)
    with cluster.as_current():
        processes = execute_many("jobs.three", [(n, 0.1) for n in range(9)])
        processes += execute_many("jobs.computed", [(n, "ann", 0.05) for n in range(8)])
        all_ended(cluster, processes, 40)
        most = at_once(cluster.ledger)
        assert (most["three"] <= 3, most["ann/0"], most["ann/1"]) == (True, 1, 1)


def test_a_pause_that_was_given_while_nobody_was_there_is_obeyed_by_all_who_come(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    cluster.kill(cluster.worker(0))
    with cluster.as_current(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)
        gates.pause_procedure(cluster.server, "jobs.free")
        held = [execute_on_server("jobs.free", n) for n in range(3)]
        for other in range(2):
            (worker,) = cluster.start(1)
            assert execute_on_server("jobs.each", f"c{other}").result(timeout=10) == f"c{other}"
            assert {str(process.state) for process in held} == {"queued"}
            cluster.kill(worker)
        cluster.start(1)
        gates.resume_procedure(cluster.server, "jobs.free")
        assert wait_all(held, timeout=10) == [0, 1, 2]


def test_a_pause_of_a_queue_stops_what_runs_in_it_as_well_where_that_is_said(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        running = execute_many("jobs.three", [(n, 1.0) for n in range(2)])
        cluster.wait_for(lambda: cluster.ledger.count("started") == 2)
        gates.pause_procedure(cluster.server, "jobs.three", running=True)
        cluster.wait_for(lambda: {str(process.state) for process in running} == {"paused"})
        waiting = execute_on_server("jobs.three", 3)
        assert execute_on_server("jobs.free", 4).result(timeout=10) == 4  # others have taken their places
        gates.resume_procedure(cluster.server, "jobs.three")
        assert {str(process.state) for process in running} == {"paused"}
        assert waiting.result(timeout=10) == 3  # the third slot: those that are paused keep theirs
        gates.resume_procedure(cluster.server, "jobs.three", running=True)
        assert wait_all(running, timeout=20) == [0, 1]
    assert at_once(cluster.ledger)["three"] <= 3
