"""The life of a server: each hook once per epoch, whoever starts, dies and comes again."""

from __future__ import annotations

import signal

import pytest

from onserver import execute_on_server
from tests.cluster.conftest import Open

FAILING = """
from onserver import on_server_startup, procedure

@on_server_startup
def broken():
    raise RuntimeError("no rates today")

@procedure
def work():
    return 1
"""
ENDLESS = """
import time
from onserver import on_server_startup

@on_server_startup(timeout=0.5)
def endless():
    time.sleep(600)
"""
DEAF = """
import time
from contextlib import suppress
from onserver import on_server_startup

@on_server_startup(timeout=0.5)
def endless():
    while True:
        with suppress(BaseException):
            time.sleep(600)
"""


STARTING = """
from onserver import execute_on_server, on_server_shutdown, on_server_startup, procedure
from onserver.testing.ledger import note

@procedure
def work(word):
    note("ran", word)
    return word

def ask(word):
    note("asked", execute_on_server(work, word).result(timeout=60))

@on_server_startup
def opened():
    ask("before the server runs")

@on_server_shutdown
def closing():
    ask("while it stops")

@on_server_shutdown(when="drained")
def closed():
    execute_on_server(work, "at the next start")
"""


def test_four_workers_of_one_instant_run_each_hook_once(cluster_of: Open) -> None:
    cluster = cluster_of(4)
    with cluster.as_current():
        assert execute_on_server("jobs.work", 1).result(timeout=60) == 1
    assert cluster.ledger.count("hook", "first", 1) == 1
    assert cluster.ledger.count("hook", "second", 1) == 1
    hooks_end = max(i for i, words in enumerate(cluster.ledger) if words[0].startswith("hook"))
    assert all(i > hooks_end for i, words in enumerate(cluster.ledger) if words[0] == "started")


def test_after_a_crash_of_everything_the_next_start_has_the_storage(cluster_of: Open) -> None:
    cluster = cluster_of(2)
    for worker in cluster.workers:
        worker.signal(signal.SIGKILL, group=True)
    for worker in cluster.workers:
        worker.wait()
    cluster.start(1)
    assert cluster.ledger.count("hook", "first", 2, "crashed") == 1
    assert cluster.storage["started"] == 2


def test_after_a_clean_stop_the_storage_is_empty(cluster_of: Open) -> None:
    cluster = cluster_of(2)
    for worker in cluster.workers:
        worker.signal(signal.SIGTERM)
    assert [worker.wait() for worker in cluster.workers] == [0, 0]
    assert cluster.state() == "stopped"
    assert cluster.ledger.count("shutdown", 1) == 1
    assert cluster.ledger.count("drained", 1) == 1
    cluster.start(1)
    assert cluster.ledger.count("hook", "first", 2, "clean") == 1
    assert cluster.storage["started"] == 1


def test_a_hook_whose_runner_died_before_it_began_is_run_again(cluster_of: Open) -> None:
    cluster = cluster_of(1, crash_at="in_hook@executor")
    assert "was killed by SIGKILL" in cluster.worker(0).output
    assert cluster.ledger.count("hook", "first", 1) == 1
    assert cluster.state() == "running"


def test_a_storage_that_is_to_be_kept_is_there_after_a_clean_stop(cluster_of: Open) -> None:
    cluster = cluster_of(1, settings={"storage.keep": "true"})
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait() == 0
    assert cluster.state() == "stopped"
    cluster.start(1)
    assert cluster.ledger.count("hook", "first", 2, "clean") == 1
    assert cluster.storage["started"] == 2


@pytest.mark.parametrize("pool", ["", "solo"])
@pytest.mark.parametrize("tasks", [ENDLESS, DEAF], ids=["heeds", "deaf"])
def test_a_start_up_hook_that_takes_too_long_is_ended_and_fails_the_start(
    cluster_of: Open, pool: str, tasks: str
) -> None:
    cluster = cluster_of(0, tasks=tasks)
    (worker,) = cluster.start(1, pool=pool, ready=False)
    assert worker.wait() == 1
    assert "`jobs.endless`" in worker.output
    assert worker.output.rstrip().splitlines()[-1].endswith("it reached its timeout of 0.5 s.")
    assert cluster.state() == "failed"


def test_a_hook_whose_runner_died_is_run_again_and_can_see_it(cluster_of: Open) -> None:
    cluster = cluster_of(1, crash_at="mid_hook@executor")
    assert [words[4] for words in cluster.ledger.of("hook") if words[1] == "first"] == ["1", "2"]
    assert cluster.ledger.count("hook", "second", 1) == 1
    assert cluster.state() == "running"


def test_a_failing_start_up_hook_ends_every_waiting_worker_with_its_traceback_last(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=FAILING)
    workers = cluster.start(3, ready=False)
    assert [worker.wait(60) for worker in workers] == [1, 1, 1]
    for worker in workers:
        assert worker.output.rstrip().splitlines()[-1] == "RuntimeError: no rates today"
        assert "ONS-5301" in worker.output
    assert cluster.state() == "failed"


def test_a_worker_leaves_and_the_epoch_goes_on(cluster_of: Open) -> None:
    cluster = cluster_of(2)
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait() == 0
    assert cluster.state() == "running"
    with cluster.as_current():
        assert execute_on_server("jobs.work", 1).result(timeout=60) == 1
    assert cluster.ledger.count("shutdown") == 0


def test_what_runs_at_a_stop_is_drained(cluster_of: Open) -> None:
    cluster = cluster_of(1, grace=15.0)
    with cluster.as_current():
        running = execute_on_server("jobs.work", 1, 1.0)
        cluster.wait_for(lambda: cluster.ledger.count("started", running.number))
        cluster.worker(0).signal(signal.SIGTERM)
        assert cluster.worker(0).wait(60) == 0
        assert running.result(timeout=60) == 1
    words = [line[0] for line in cluster.ledger]
    assert words.index("shutdown") < words.index("ended") < words.index("drained")


def test_a_worker_that_comes_while_the_server_stops_opens_the_next_epoch(cluster_of: Open) -> None:
    cluster = cluster_of(1, grace=15.0)
    with cluster.as_current():
        running = execute_on_server("jobs.work", 1, 2.0)
        cluster.wait_for(lambda: cluster.ledger.count("started", running.number))
        cluster.worker(0).signal(signal.SIGTERM)
        cluster.wait_for(lambda: cluster.state() == "stopping")
        cluster.start(1)
        assert cluster.worker(0).wait(60) == 0
        assert running.result(timeout=60) == 1
    assert cluster.ledger.count("hook", "first", 2, "clean") == 1
    assert len(cluster.server.store.command("ZRANGE", cluster.server.store.key("members"), 0, -1)) == 1


def test_what_a_hook_starts_runs_although_nothing_else_may(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=STARTING)
    assert cluster.ledger.count("asked", "before the server runs") == 1
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait() == 0
    assert cluster.ledger.count("asked", "while it stops") == 1
    assert cluster.ledger.count("ran", "at the next start") == 0
    cluster.start(1)
    cluster.wait_for(lambda: cluster.ledger.count("ran", "at the next start"))
