"""The log of a process on real executors: whoever wrote it, whatever became of the executor."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from onserver import Process, execute_many, execute_on_server
from onserver.celery_app.app import make_app
from onserver.errors import ProcessLost
from onserver.process.number import number_of
from onserver.testing.cluster import Cluster, open_cluster
from tests.cluster.conftest import Open

TASKS = (Path(__file__).parent / "logs_project.py").read_text()


@pytest.fixture(scope="module")
def shared(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("logs"), tasks=TASKS) as opened:
        opened.start(1, executors=2)
        yield opened


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    with shared.as_current():
        yield shared


def texts(process: Process[object]) -> list[str]:
    return [line.text for line in process.log()]


def has(process: Process[object], *wanted: str) -> bool:
    return set(wanted) <= set(texts(process))


def has_all(process: Process[object], wanted: list[str]) -> bool:
    return texts(process) == wanted


def test_whoever_writes_it(cluster: Cluster) -> None:
    process = execute_on_server("jobs.speaks_in_every_way")
    process.result(timeout=60)
    cluster.wait_for(partial(has, process, "without an end", "its errors"))
    found = {line.text: (line.source, line.level, line.worker) for line in process.log()}
    assert found == {
        "printed": ("out", "", "w1"),
        "printed to the error output": ("err", "", "w1"),
        "WARNING shop.tasks: logged 1": ("err", "WARNING", "w1"),
        "ERROR shop.tasks: logged 2": ("err", "ERROR", "w1"),
        "written below Python": ("out", "", "w1"),
        "a program": ("out", "", "w1"),
        "its errors": ("err", "", "w1"),
        "without an end": ("out", "", "w1"),
    }
    out = [line.text for line in process.log() if line.source == "out"]
    assert out == ["printed", "written below Python", "a program", "without an end"]


def test_a_traceback_that_is_logged(cluster: Cluster) -> None:
    process = execute_on_server("jobs.fails_aloud")
    process.result(timeout=60)
    cluster.wait_for(partial(has, process, "ValueError: it went wrong"))
    assert {line.level for line in process.log()} == {"ERROR"}


def test_a_hook_has_a_log(cluster: Cluster) -> None:
    ended = cluster.server.store.command("ZRANGE", cluster.server.store.key("ended"), 0, -1)
    hooks = [process for process in map(Process.get, map(int, ended)) if process.record().hook]
    assert [texts(hook) for hook in hooks] == [["the hook speaks"]]


def test_the_last_words_of_an_executor_that_is_killed(cluster: Cluster) -> None:
    process = execute_on_server("jobs.dies", "kill")
    with pytest.raises(ProcessLost):
        process.result(timeout=60)
    assert texts(process) == ["before the end", "the program too", "last words"]  # they are there when its end is known


def test_the_last_words_of_one_that_crashes_are_there_to_the_last_letter(cluster: Cluster) -> None:
    process = execute_on_server("jobs.dies", "abort")
    with pytest.raises(ProcessLost):
        process.result(timeout=60)
    assert {"before the end", "the program too", "last words", "half a wor", "Fatal Python error: Aborted"} <= set(
        texts(process)
    )


def test_the_last_words_of_one_that_is_killed_from_outside(cluster: Cluster) -> None:
    process = execute_on_server("jobs.waits")
    cluster.wait_for(lambda: len(texts(process)) == 1)
    os.kill(int(texts(process)[0]), signal.SIGKILL)
    with pytest.raises(ProcessLost):
        process.result(timeout=60)
    assert texts(process)[1:] == ["still at it"]


def test_many_on_two_executors_keep_their_names(cluster: Cluster) -> None:
    processes = execute_many("jobs.speaks", [(f"p{n}", n % 5) for n in range(200)])
    for process in processes:
        assert process.result(timeout=60) == process.number
    for n, process in enumerate(processes):
        wanted = [f"p{n} says {line}" for line in range(n % 5)]
        cluster.wait_for(partial(has_all, process, wanted))


def test_those_that_are_claimed_together_keep_their_names(cluster: Cluster) -> None:
    processes = execute_many("jobs.one_of_many", [(n,) for n in range(300)])
    for process in processes:
        assert process.result(timeout=60) == process.number
    for n, process in enumerate(processes):
        cluster.wait_for(partial(has_all, process, [f"I am {n}"] if n % 3 == 0 else []))


def test_a_chatty_process_costs_redis_little_and_keeps_its_end(cluster: Cluster) -> None:
    store = cluster.server.store
    before = _calls(cluster)
    process = execute_on_server("jobs.chatters", 50_000)
    process.result(timeout=60)
    cluster.wait_for(partial(has, process, "line 49999"))
    assert texts(process) == [f"line {line}" for line in range(49_000, 50_000)]
    assert int(store.command("HGET", store.key(f"p:{process.number}"), "ln")) == 50_000
    assert _calls(cluster) - before < 10_000  # 50 lines or more in a trip, with everything else that goes on


def test_what_is_kept_is_a_setting(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings={"process.log_lines": 3})
    with cluster.as_current():
        process = execute_on_server("jobs.speaks", "a", 10)
        process.result(timeout=60)
        cluster.wait_for(lambda: texts(process) == ["a says 7", "a says 8", "a says 9"])


def test_a_log_ends_with_its_record(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, settings={"process.keep_seconds": 1})
    with cluster.as_current():
        process = execute_on_server("jobs.speaks", "a", 10)
        store = cluster.server.store
        cluster.wait_for(lambda: not store.command("EXISTS", store.key(f"p:{process.number}")))
        cluster.wait_for(lambda: not store.command("EXISTS", store.key(f"log:{process.number}")))


def _calls(cluster: Cluster) -> int:
    text = cluster.server.store.command("INFO", "commandstats").decode()
    return int(text.partition("cmdstat_evalsha:calls=")[2].partition(",")[0])


# ---- Celery's own pools


#: Tried by `make test-long`.
LONG = [pytest.param(pool, marks=pytest.mark.long) for pool in ("threads", "solo")]


@pytest.fixture(scope="module", params=["prefork", *LONG])
def pooled(
    request: pytest.FixtureRequest, onserver_redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp(request.param), tasks=TASKS) as opened:
        opened.start(1, pool=request.param)
        yield opened


def test_under_celerys_pools_what_is_logged_and_printed_is_kept(pooled: Cluster) -> None:
    with pooled.as_current():
        process = execute_on_server("jobs.speaks_in_every_way")
        process.result(timeout=60)
        found = [(line.source, line.level, line.text) for line in process.log()]
        assert found == [
            ("out", "", "printed"),
            ("out", "", "printed to the error output"),
            ("log", "WARNING", "shop.tasks: logged 1"),
            ("log", "ERROR", "shop.tasks: logged 2"),
            ("out", "", "without an end"),
        ]
        assert process.log()[0].worker.startswith("w1@")


def test_under_celerys_pools_a_traceback_is_kept(pooled: Cluster) -> None:
    with pooled.as_current():
        process = execute_on_server("jobs.fails_aloud")
        process.result(timeout=60)
        assert {line.level for line in process.log()} == {"ERROR"}
        assert texts(process)[0] == "shop.tasks: caught"
        assert texts(process)[-1] == "ValueError: it went wrong"


def test_under_celerys_pools_each_has_its_own(pooled: Cluster) -> None:
    with pooled.as_current():
        processes = execute_many("jobs.speaks", [(f"p{n}", 3) for n in range(20)])
        for n, process in enumerate(processes):
            process.result(timeout=60)
            assert texts(process) == [f"p{n} says {line}" for line in range(3)]


def test_under_celerys_pools_progress_is_kept(pooled: Cluster) -> None:
    with pooled.as_current():
        process = execute_on_server("jobs.counts", 5000)
        seen = [progress.done for progress in process.progress(timeout=60)]
        assert seen == sorted(seen)
        assert seen[-1] == 5000
        assert process.record().progress is not None


def plain(cluster: Cluster) -> Process[Any]:
    """A task of Celery's own, that has ended."""
    app = make_app(cluster.server)
    result = app.send_task("plain", ("word",))
    assert result.get(timeout=60) == "word"
    number = number_of(cluster.server.store.birth, str(result.id))
    if number is None:
        number = int(cluster.server.store.command("GET", cluster.server.store.key(f"id:{result.id}")))
    return Process(cluster.server, number)


def test_a_task_of_celerys_has_a_log(pooled: Cluster) -> None:
    with pooled.as_current():
        assert [text.rpartition("a task ")[2] for text in texts(plain(pooled))] == ["logs word", "prints word"]


def test_a_task_of_celerys_has_a_log_in_an_executor(cluster: Cluster) -> None:
    process = plain(cluster)
    cluster.wait_for(partial(has, process, "a task prints word"))


def test_progress_in_an_executor(cluster: Cluster) -> None:
    process = execute_on_server("jobs.counts", 5000)
    seen = [progress.done for progress in process.progress(timeout=60)]
    assert seen == sorted(seen)
    assert seen[-1] == 5000
