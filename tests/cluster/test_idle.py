"""An idle worker hardly talks: the budget is two round trips a second for a worker of two executors."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest

from onserver import execute_on_server
from onserver.redis.address import parse
from onserver.testing.cluster import open_cluster
from onserver.testing.proxy import Proxy
from onserver.testing.wait import wait_for
from tests.cluster.conftest import Open
from tests.cluster.jobs import TASKS, work

LOOPS = (Path(__file__).parent / "loops_project.py").read_text()
SECONDS = 8.0
ORDINARY = {"member.lease_seconds": 10, "member.beat_seconds": 2}


@pytest.mark.parametrize("tasks", [TASKS, LOOPS], ids=["executors", "loops"])
def test_an_idle_worker_makes_at_most_two_round_trips_a_second(onserver_redis: str, tmp_path: Path, tasks: str) -> None:
    with (
        Proxy(parse(onserver_redis), tmp_path / "proxy") as proxy,
        open_cluster(onserver_redis, tmp_path, tasks=tasks, settings=ORDINARY) as cluster,
    ):
        cluster.start(1, executors=2, ONSERVER_REDIS=f"unix://{tmp_path / 'proxy'}")
        with cluster.as_current():
            assert execute_on_server("jobs.work", 1).result(timeout=60) == 1
            before, began = len(proxy.commands), monotonic()
            wait_for(lambda: monotonic() - began > SECONDS, SECONDS + 5)
            assert (len(proxy.commands) - before) / SECONDS <= 2.0
            assert execute_on_server("jobs.work", 2).result(timeout=60) == 2


def test_a_due_time_wakes_the_leader_between_its_beats(cluster_of: Open) -> None:
    cluster = cluster_of(1, settings={"member.lease_seconds": 600, "member.beat_seconds": 100})
    with cluster.as_current():
        for n in range(2):  # within 60 s: no beat comes by then
            began = monotonic()
            assert execute_on_server(work.options(delay=0.3), n).result(timeout=60) == n
            assert monotonic() - began >= 0.25  # its time is by the clock of Redis, which is known to some ms
