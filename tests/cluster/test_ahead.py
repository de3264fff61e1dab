"""Executors that claim ahead, in whole workers: nobody waits for a long one in front of them."""

from __future__ import annotations

import os
import signal
from collections import Counter

from onserver import execute_many, execute_on_server
from tests.cluster.conftest import Open

TASKS = """
import os
import time

from onserver import procedure
from onserver.testing.ledger import note


@procedure
def short(n):
    note("short", n)
    return n


@procedure
def long(gate):
    note("long", os.getpid())
    while not os.path.exists(gate):
        time.sleep(0.01)


@procedure(batch=True)
def part(gate):
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
"""


def test_a_long_one_holds_nobody_up_who_was_claimed_ahead_of_its_end(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=2, tasks=TASKS)
    gate = cluster.folder / "open"
    with cluster.as_current():
        before = execute_many("jobs.short", range(300))
        long = execute_on_server("jobs.long", str(gate))
        behind = execute_many("jobs.short", range(300, 600))
        for process in (*before, *behind):
            process.result(timeout=60)
        assert str(long.state) == "running"
        gate.touch()
        long.result(timeout=60)
    assert Counter(words[1] for words in cluster.ledger.of("short")) == Counter({str(n): 1 for n in range(600)})


def test_one_that_is_stopped_for_a_pause_right_after_short_ones_keeps_none_of_them(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=2, tasks=TASKS)
    gate = cluster.folder / "open"
    with cluster.as_current():
        before = execute_many("jobs.short", range(300))
        long = execute_on_server("jobs.long", str(gate))
        behind = execute_many("jobs.short", range(300, 600))
        cluster.wait_for(lambda: cluster.ledger.count("long"))
        long.pause()
        cluster.wait_for(lambda: str(long.state) == "paused")
        for process in (*before, *behind):
            process.result(timeout=60)
        assert str(long.state) == "paused"
        gate.touch()
        long.resume()
        long.result(timeout=60)
    assert Counter(words[1] for words in cluster.ledger.of("short")) == Counter({str(n): 1 for n in range(600)})
    assert cluster.ledger.count("long") == 1


def test_a_kill_right_after_short_ones_loses_and_doubles_none_of_them(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS)
    gate = cluster.folder / "open"
    with cluster.as_current():
        before = execute_many("jobs.short", range(300))
        long = execute_on_server("jobs.long", str(gate))
        behind = execute_many("jobs.short", range(300, 600))
        cluster.wait_for(lambda: cluster.ledger.count("long"))
        os.kill(int(cluster.ledger.of("long")[0][1]), signal.SIGKILL)
        gate.touch()
        for process in (*before, long, *behind):
            process.result(timeout=60)
        assert long.record().deliveries == 1  # of those that were cut off
        assert {process.record().deliveries for process in behind} == {0}
    assert Counter(words[1] for words in cluster.ledger.of("short")) == Counter({str(n): 1 for n in range(600)})


def test_the_end_of_a_part_of_a_batch_is_said_while_the_next_one_runs(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS)
    first, second = (cluster.folder / name for name in ("first", "second"))
    with cluster.as_current():
        before = execute_on_server("jobs.part", str(first))
        short = execute_on_server("jobs.part", "")
        long = execute_on_server("jobs.part", str(second))
        first.touch()  # both are claimed together then
        before.result(timeout=60)
        short.result(timeout=60)
        assert str(long.state) == "running"
        second.touch()
        long.result(timeout=60)
