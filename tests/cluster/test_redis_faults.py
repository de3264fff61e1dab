"""Redis killed, frozen, refused: what was accepted is kept, nothing overlaps, and workers go on without a restart."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from onserver import Process, execute_many, execute_on_server
from onserver.errors import BrokerUnavailable
from onserver.redis.answers import OutOfMemory
from onserver.testing.cluster import LEASE, Cluster, open_cluster
from onserver.testing.wait import wait_for
from tests.cluster.jobs import TASKS, overlaps, runs, work
from tests.cluster.redis_program import RedisProgram, redis_program


@pytest.fixture
def redis(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RedisProgram]:
    with redis_program(tmp_path / "redis", getattr(request, "param", "always")) as program:
        yield program


@pytest.fixture
def cluster(redis: RedisProgram, tmp_path: Path) -> Iterator[Cluster]:
    with open_cluster(redis.url, tmp_path, tasks=TASKS) as opened:
        # Workers are quick to take silence for silence; this program, whose calls are to succeed, has time.
        opened.start(2, ONSERVER_REDIS_COMMAND_SECONDS="1.5", ONSERVER_REDIS_CONNECT_SECONDS="0.5")
        with opened.as_current():
            yield opened


def ended(cluster: Cluster, processes: list[Process[Any]]) -> set[str]:
    final = {"done", "failed", "lost", "dead"}
    cluster.wait_for(lambda: {str(process.state) for process in processes} <= final, 60)
    return {str(process.state) for process in processes}


def passed(since: float, seconds: float) -> None:
    """Wait until so much time has passed: how long a fault lasts is the fact here."""
    wait_for(lambda: monotonic() - since > seconds, seconds + 5)


def test_nothing_accepted_is_lost_when_redis_is_killed_under_load(cluster: Cluster, redis: RedisProgram) -> None:
    supervisors = [worker.pid for worker in cluster.workers]
    accepted: list[Process[Any]] = []
    for restart in range(3):
        accepted += execute_many("jobs.work", [(n, 0.01) for n in range(50)])
        cluster.wait_for(lambda: cluster.ledger.count("started") > 20 * (restart + 1))  # noqa: B023  # called at once
        redis.kill()
        redis.start()
    assert ended(cluster, accepted) == {"done"}
    assert overlaps(cluster.ledger) == []
    assert [worker.pid for worker in cluster.workers if worker.alive] == supervisors
    assert execute_on_server("jobs.work", 7).result(timeout=60) == 7


@pytest.mark.parametrize("redis", ["everysec"], indirect=True)
def test_no_number_is_given_twice_when_redis_forgets_its_last_second(cluster: Cluster, redis: RedisProgram) -> None:
    before = {process.number for process in execute_many("jobs.quick", range(300))}
    redis.kill()
    redis.start()
    after = {process.number for process in execute_many("jobs.quick", range(300))}
    assert not before & after
    assert min(after) > max(before) + 900_000


@pytest.mark.parametrize("redis", ["everysec"], indirect=True)
def test_what_redis_has_forgotten_is_reported(
    cluster: Cluster, redis: RedisProgram, caplog: pytest.LogCaptureFixture
) -> None:
    for worker in cluster.workers:
        cluster.kill(worker)
    kept = execute_many("jobs.quick", range(20))
    lost = execute_many("jobs.quick", range(100))
    redis.kill()
    (tail,) = (redis.folder / "appendonlydir").glob("*.incr.aof")
    with tail.open("r+b") as file:
        file.truncate(tail.stat().st_size - 5000)  # a torn tail: one script is all there or not at all
    redis.start()
    more = execute_on_server("jobs.quick", 1)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "onserver"]
    assert "without 100 processes that it had accepted" in said
    assert f"#{lost[0].number}, " in said
    cluster.start(1)
    assert [process.result(timeout=60) for process in [*kept, more]] == [*range(20), 1]


def test_a_frozen_redis_ends_what_runs_and_counts_no_delivery(cluster: Cluster, redis: RedisProgram) -> None:
    supervisors = [worker.pid for worker in cluster.workers]
    process = execute_on_server("jobs.work", 1, 1.9 * LEASE)
    stubborn = execute_on_server("jobs.stubborn", 1.9 * LEASE)
    cluster.wait_for(lambda: cluster.ledger.count("started") == 2)
    redis.freeze()
    began = monotonic()
    with pytest.raises(BrokerUnavailable, match="no answer"):
        execute_on_server("jobs.work", 2)
    passed(began, 4 * LEASE)
    redis.thaw()
    assert process.result(timeout=60) == 1
    assert stubborn.result(timeout=60) == "ended"
    spans = runs(cluster.ledger)
    assert len(spans[process.number]) == 2
    assert len(spans[stubborn.number]) == 1
    assert overlaps(cluster.ledger) == []
    assert {words[2] for words in cluster.ledger.of("started") if int(words[1]) == process.number} == {"1"}
    assert [worker.pid for worker in cluster.workers if worker.alive] == supervisors
    assert not any("was declared dead" in worker.output for worker in cluster.workers)
    again = execute_many("jobs.work", [(n, 600.0) for n in range(4)])  # on all executors: orders reach them as before
    cluster.wait_for(lambda: {one.number for one in again} <= set(runs(cluster.ledger)), 30)
    for one in again:
        one.abort()
    cluster.wait_for(lambda: {str(one.state) for one in again} == {"aborted"}, 30)


def test_a_refusing_redis_ends_nothing(cluster: Cluster, redis: RedisProgram) -> None:
    process = execute_on_server("jobs.work", 1, 3 * LEASE)
    cluster.wait_for(lambda: cluster.ledger.count("started", process.number))
    redis.kill()
    began = monotonic()
    with pytest.raises(BrokerUnavailable, match="refused"):
        execute_on_server("jobs.work", 2)
    passed(began, 4 * LEASE)
    redis.start()
    assert process.result(timeout=60) == 1
    assert len(runs(cluster.ledger)[process.number]) == 1


def test_a_worker_that_is_told_to_leave_while_redis_is_away_leaves(cluster: Cluster, redis: RedisProgram) -> None:
    redis.kill()
    worker = cluster.worker(0)
    cluster.wait_for(lambda: "Redis does not answer" in worker.output)
    worker.signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    redis.start()
    assert execute_on_server("jobs.work", 1).result(timeout=60) == 1


def test_a_full_redis_takes_nothing_new_and_what_runs_ends(cluster: Cluster, redis: RedisProgram) -> None:
    store = cluster.server.store
    long = execute_on_server("jobs.work", 1, 3.0)
    stuck = execute_on_server("jobs.work", 2, 600.0)
    cluster.wait_for(lambda: {str(long.state), str(stuck.state)} == {"running"})
    later = execute_on_server(work.options(delay=3600), 3)
    queued = execute_many("jobs.work", [(n, 0.01) for n in range(20)])
    store.command("CONFIG", "SET", "maxmemory", "1mb")

    with pytest.raises(OutOfMemory, match="maxmemory"):
        execute_on_server("jobs.work", 4)
    assert later.abort("no room").level == "removed"
    assert stuck.abort("no room", force_after=1).state in ("aborted", "running")
    cluster.wait_for(lambda: stuck.state == "aborted")
    assert long.result(timeout=60) == 1
    assert ended(cluster, queued) == {"done"}
    leaving, staying = cluster.workers
    assert not leaving.end()
    assert staying.alive

    store.command("CONFIG", "SET", "maxmemory", "0")
    assert execute_on_server("jobs.work", 5).result(timeout=60) == 5
