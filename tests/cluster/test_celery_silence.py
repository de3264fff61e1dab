"""A silent Redis under Celery's own pools: what runs is ended before it could be given to others, and runs again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from onserver import execute_on_server
from onserver.errors import BrokerUnavailable
from onserver.testing.cluster import LEASE, Cluster, open_cluster
from onserver.testing.wait import wait_for
from tests.cluster.jobs import TASKS, overlaps, runs
from tests.cluster.redis_program import RedisProgram, redis_program

SETTINGS = {"redis_command_seconds": 1.5, "redis_connect_seconds": 0.5}
POOLS = ["threads", pytest.param("solo", marks=pytest.mark.long), pytest.param("prefork", marks=pytest.mark.long)]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProgram]:
    with redis_program(tmp_path / "redis") as program:
        yield program


@pytest.fixture
def cluster(redis: RedisProgram, tmp_path: Path) -> Iterator[Cluster]:
    with open_cluster(redis.url, tmp_path, tasks=TASKS, settings=SETTINGS) as opened, opened.as_current():
        yield opened


def of(cluster: Cluster, event: str, number: int) -> list[list[str]]:
    return [words for words in cluster.ledger.of(event) if int(words[1]) == number]


def passed(began: float, seconds: float) -> None:
    wait_for(lambda: monotonic() - began > seconds, seconds + 5)


@pytest.mark.parametrize("pool", POOLS)
def test_what_runs_is_ended_and_runs_again(cluster: Cluster, redis: RedisProgram, pool: str) -> None:
    (worker,) = cluster.start(1, pool=pool)
    process = execute_on_server("jobs.work", 1, 1.9 * LEASE)
    cluster.wait_for(lambda: cluster.ledger.count("started", process.number) == 1)
    redis.freeze()
    began = monotonic()
    with pytest.raises(BrokerUnavailable, match="no answer"):
        execute_on_server("jobs.work", 2)
    passed(began, 4 * LEASE)
    redis.thaw()
    assert process.result(timeout=60) == 1
    first, second = (float(words[4]) for words in of(cluster, "started", process.number))
    alive = [float(words[4]) for words in of(cluster, "alive", process.number)]
    last = max(at for at in alive if first < at < second)  # of the first run: by its time, for an exec keeps its pid
    assert second - last > LEASE
    assert {words[2] for words in of(cluster, "started", process.number)} == {"1"}, "no delivery is counted"
    assert cluster.ledger.count("ended", process.number) == 1
    assert overlaps(cluster.ledger) == []
    assert worker.alive
    assert "what runs here is ended" in worker.output
    assert cluster.ledger.count("hook", "first", 1) == 1
    assert cluster.state() == "running"


@pytest.mark.long
@pytest.mark.parametrize("pool", ["threads", "solo", "prefork"])
def test_a_second_worker_is_given_it_only_after_it_has_ended(cluster: Cluster, redis: RedisProgram, pool: str) -> None:
    cluster.start(2, pool=pool)
    processes = [execute_on_server("jobs.work", n, 1.9 * LEASE) for n in range(2)]
    cluster.wait_for(lambda: cluster.ledger.count("started") == 2)
    redis.freeze()
    passed(monotonic(), 4 * LEASE)
    redis.thaw()
    assert [process.result(timeout=60) for process in processes] == [0, 1]
    assert overlaps(cluster.ledger) == []


@pytest.mark.long
@pytest.mark.parametrize("pool", ["threads", "solo", "prefork"])
def test_a_refusing_redis_ends_nothing(cluster: Cluster, redis: RedisProgram, pool: str) -> None:
    cluster.start(1, pool=pool)
    process = execute_on_server("jobs.work", 1, 3 * LEASE)
    cluster.wait_for(lambda: cluster.ledger.count("started", process.number) == 1)
    redis.kill()
    passed(monotonic(), 4 * LEASE)
    redis.start()
    assert process.result(timeout=60) == 1
    assert len(runs(cluster.ledger)[process.number]) == 1


@pytest.mark.long
@pytest.mark.parametrize("pool", ["threads", "solo", "prefork"])
def test_what_may_finish_is_let_run(cluster: Cluster, redis: RedisProgram, pool: str) -> None:
    cluster.start(1, pool=pool)
    stubborn = execute_on_server("jobs.stubborn", 1.9 * LEASE)
    cluster.wait_for(lambda: cluster.ledger.count("started", stubborn.number) == 1)
    redis.freeze()
    passed(monotonic(), 4 * LEASE)
    redis.thaw()
    assert stubborn.result(timeout=60) == "ended"
    assert len(runs(cluster.ledger)[stubborn.number]) == 1
