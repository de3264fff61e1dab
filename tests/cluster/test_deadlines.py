"""Time limits of a run, and the time within which it must have begun, on real workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from onserver import execute_on_server, procedure
from onserver.errors import NoWorker, ProcessDead, ProcessTimeout
from onserver.testing.cluster import Cluster, open_cluster
from tests.cluster.conftest import Open

TASKS = """
import asyncio
import time
from onserver import Retry, procedure, process
from onserver.errors import ProcessTimeout
from onserver.testing.ledger import note

def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)

@procedure(timeout=0.5, grace=30)
def soft():
    note("began", process().number)
    try:
        spin(60)
    finally:
        note("cleaned", process().number)

@procedure(timeout=0.5, grace=0.5)
def hard():
    note("began", process().number)
    for _ in range(100):
        try:
            spin(60)
        except BaseException:
            note("swallowed", process().number)

@procedure(timeout=0.5, grace=30)
def swallows(how: str):
    note("began", process().number)
    try:
        spin(60)
    except BaseException as error:
        note("swallowed", process().number, type(error).__name__)
        if how == "raises":
            raise ValueError("something else") from None
    return "a result"

@procedure(timeout=0.5, grace=30)
async def swallows_in_loop(how: str):
    note("began", process().number)
    try:
        await asyncio.sleep(60)
    except BaseException as error:
        note("swallowed", process().number, type(error).__name__)
        if how == "raises":
            raise ValueError("something else") from None
    return "a result"

@procedure(timeout=0.4, grace=30, retry=Retry(ProcessTimeout, delays=[0, 0]))
async def tried_in_loop():
    note("began", process().number, process().attempt)
    await asyncio.sleep(60 if process().attempt < 3 else 0)
    return process().attempt

@procedure(timeout=0.4, grace=30, retry=Retry(ProcessTimeout, delays=[0, 0]))
def tried():
    note("began", process().number, process().attempt)
    spin(60 if process().attempt < 3 else 0)
    return process().attempt

@procedure(timeout=0.4, grace=0.3, retry=Retry(ProcessTimeout, delays=[0]), dead_letter=True)
def tried_hard():
    note("began", process().number, process().attempt)
    while True:
        try:
            spin(60)
        except BaseException:
            note("swallowed", process().number)

@procedure
def runs(seconds: float):
    note("began", process().number)
    spin(seconds)
    return "ended"

@procedure(pause="checkpoint", timeout=0.8, grace=0.2, rerun=False)
def by_checkpoint(seconds: float):
    note("began", process().number)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        process().checkpoint()
        time.sleep(0.01)
    return "ended"

@procedure(expires=0.5)
def expiring(seconds: float = 0.0):
    note("began", process().number)
    spin(seconds)
    return "ended"
"""

HOOK = """
from onserver import on_server_startup

@on_server_startup(timeout=0.3)
def opens():
    try:
        spin(60)
    finally:
        note("cleaned", "hook")
"""


@procedure(name="jobs.runs")
def runs(seconds: float) -> str:
    """Stands for the project's procedure of that name, for its options."""
    raise NotImplementedError(seconds)


@procedure(name="jobs.by_checkpoint", pause="checkpoint", timeout=0.8, grace=0.2)
def by_checkpoint(seconds: float) -> str:
    """Likewise."""
    raise NotImplementedError(seconds)


@procedure(name="jobs.expiring", expires=0.5)
def expiring(seconds: float = 0.0) -> str:
    """Likewise."""
    raise NotImplementedError(seconds)


@pytest.fixture(scope="module")
def shared(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("deadlines"), tasks=TASKS) as opened:
        opened.start(1, executors=1)
        yield opened


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    with shared.as_current():
        yield shared


def test_a_run_is_interrupted_at_its_time_limit(cluster: Cluster) -> None:
    process = execute_on_server("jobs.soft")
    with pytest.raises(ProcessTimeout, match=r"#\d+ was ended: it reached its timeout of 0.5 s"):
        process.result(timeout=30)
    assert process.state == "failed"
    assert cluster.ledger.count("began", process.number) == 1
    assert cluster.ledger.count("cleaned", process.number) == 1


def test_a_run_that_goes_on_is_killed_after_its_grace(cluster: Cluster) -> None:
    process = execute_on_server("jobs.hard")
    with pytest.raises(ProcessTimeout, match=r"timeout of 0\.5 s"):
        process.result(timeout=30)
    assert process.state == "failed"
    assert cluster.ledger.count("began", process.number) == 1
    assert execute_on_server("jobs.runs", 0.0).result(timeout=30) == "ended"


def test_a_start_has_a_time_limit_of_its_own(cluster: Cluster) -> None:
    with pytest.raises(ProcessTimeout, match=r"timeout of 0\.3 s"):
        runs.options(timeout=0.3).start(60.0).result(timeout=30)
    assert runs.options(timeout=30).start(0.0).result(timeout=30) == "ended"


@pytest.mark.parametrize("how", ["raises", "returns"])
@pytest.mark.parametrize(("procedure", "raised"), [("swallows", "Interrupted"), ("swallows_in_loop", "CancelledError")])
def test_whatever_the_body_makes_of_it_its_time_was_up(cluster: Cluster, procedure: str, raised: str, how: str) -> None:
    process = execute_on_server(f"jobs.{procedure}", how)
    with pytest.raises(ProcessTimeout, match=r"reached its timeout of 0\.5 s"):
        process.result(timeout=30)
    assert cluster.ledger.count("swallowed", process.number, raised) == 1


@pytest.mark.parametrize("procedure", ["tried", "tried_in_loop"])
def test_a_policy_may_run_it_again(cluster: Cluster, procedure: str) -> None:
    process = execute_on_server(f"jobs.{procedure}")
    assert process.result(timeout=30) == 3
    assert [words[2] for words in cluster.ledger.of("began") if words[1] == str(process.number)] == ["1", "2", "3"]
    assert [one.type for one in process.record().attempts] == ["ProcessTimeout"] * 2
    assert process.record().deliveries == 0


def test_one_that_was_killed_for_it_too(cluster: Cluster) -> None:
    process = execute_on_server("jobs.tried_hard")
    assert process.wait(timeout=30) == "dead"
    with pytest.raises(ProcessDead, match=r"ProcessTimeout: #\d+ was ended: it reached its timeout of 0\.4 s"):
        process.result()
    assert [words[2] for words in cluster.ledger.of("began") if words[1] == str(process.number)] == ["1", "2"]
    assert [one.number for one in process.record().attempts] == [1]
    assert process.record().deliveries == 0


@pytest.mark.parametrize(
    ("procedure", "why"), [("runs", "its executor is stopped"), ("by_checkpoint", "at a checkpoint")]
)
def test_a_pause_does_not_count_as_run_time(cluster: Cluster, procedure: str, why: str) -> None:
    start = runs.options(timeout=0.8) if procedure == "runs" else by_checkpoint
    process = start.start(0.4)
    cluster.wait_for(lambda: cluster.ledger.count("began", process.number))
    process.pause()
    cluster.wait_for(lambda: process.state == "paused", 15)
    assert process.record().why == why
    assert execute_on_server("jobs.runs", 6.5).result(timeout=30) == "ended"  # longer than its time and its grace
    process.resume()
    assert process.result(timeout=30) == "ended"
    assert cluster.ledger.count("began", process.number) == 1


def test_a_hook_is_interrupted_at_its_time_limit(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS + HOOK, ready=False)
    worker = cluster.worker(0)
    assert worker.wait() == 1
    assert cluster.ledger.count("cleaned", "hook") == 1
    assert "reached its timeout of 0.3 s" in worker.output


def test_what_has_not_begun_in_time_never_does(cluster: Cluster) -> None:
    with pytest.warns(NoWorker):
        late = expiring.options(queue="nowhere").start()
    with pytest.raises(ProcessTimeout, match=r"never began: nobody could run it within its expires of 0\.5 s"):
        late.result(timeout=30)
    in_time = execute_on_server("jobs.expiring", 1.0)  # it has begun in time, and may take longer
    assert in_time.result(timeout=30) == "ended"
    assert cluster.ledger.count("began", late.number) == 0


def test_a_paused_one_expires_too(cluster: Cluster) -> None:
    process = expiring.options(queue="nowhere", delay=3600).start()
    process.pause()
    assert process.wait(timeout=30) == "failed"
    assert process.resume().level == "ended"


def test_what_expired_while_no_worker_was_up_never_begins(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    with cluster.as_current():
        with pytest.warns(NoWorker):
            process = expiring.start()
        with pytest.raises(ProcessTimeout):
            process.result(timeout=0.7)  # nobody is there who could say it
        assert process.state == "queued"
        cluster.start(1)
        with pytest.raises(ProcessTimeout, match="never began"):
            process.result(timeout=30)
        assert cluster.ledger.count("began", process.number) == 0
