"""Executors that claim ahead, in whole workers: nobody waits for a long one in front of them."""

from __future__ import annotations

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
    note("long")
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
