"""Coroutines in async executors: many at a time on one loop, and killed, drained, silenced as everything else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from onserver import Process, execute_many, execute_on_server, mailbox
from onserver.errors import DeadlockDetected, ProcedureFailed, ProcessAborted, ProcessTimeout
from onserver.redis.address import parse
from onserver.redis.scripts import script
from onserver.testing.cluster import LEASE, Cluster, open_cluster
from onserver.testing.proxy import RUNS, Proxy, Words
from onserver.testing.wait import wait_for
from tests.cluster.conftest import Open
from tests.cluster.jobs import overlaps, runs
from tests.cluster.redis_program import RedisProgram, redis_program

TASKS = (Path(__file__).parent / "loops_project.py").read_text()
LONG = 60.0
ENDED = {"done", "failed", "lost", "dead", "aborted"}


@pytest.fixture(scope="module")
def shared(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("async"), tasks=TASKS) as opened:
        opened.start(1)
        yield opened


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    with shared.as_current():
        yield shared


def started(cluster: Cluster, procedure: str, *args: Any) -> Process[Any]:
    process = execute_on_server(f"jobs.{procedure}", *args)
    cluster.wait_for(lambda: cluster.ledger.count("started", process.number))
    return process


def in_state(cluster: Cluster, process: Process[Any], state: str) -> None:
    cluster.wait_for(lambda: process.state == state)


def loop_of(cluster: Cluster, process: Process[Any]) -> int:
    """The pid of the executor that runs, or ran, a process."""
    return int(next(words[3] for words in cluster.ledger.of("started") if int(words[1]) == process.number))


def deliveries(cluster: Cluster, process: Process[Any]) -> list[int]:
    return [int(words[2]) for words in cluster.ledger.of("started") if int(words[1]) == process.number]


# ---- running


def test_a_hundred_run_at_once_beside_plain_ones(cluster: Cluster) -> None:
    many = execute_many("jobs.work", [(n, LONG) for n in range(100)])
    cluster.wait_for(lambda: {process.number for process in many} <= set(runs(cluster.ledger)))
    waiting = execute_on_server("jobs.work", 100)
    assert {loop_of(cluster, process) for process in many} == {loop_of(cluster, many[0])}
    assert [process.result(timeout=20) for process in execute_many("jobs.plain", range(20))] == list(range(20))
    assert waiting.state == "queued"
    many[0].abort()
    assert waiting.result(timeout=20) == 100
    for process in many:
        process.abort()
    assert {process.wait(timeout=30) for process in many} == {"aborted"}


def test_a_run_is_known_in_the_tasks_and_threads_that_it_starts(cluster: Cluster) -> None:
    results = [process.result(timeout=20) for process in execute_many("jobs.everybody", [()] * 20)]
    assert results == [True] * 20


def test_blocking_waits_are_refused_by_name(cluster: Cluster) -> None:
    told, *rest = execute_on_server("jobs.refused").result(timeout=20)
    assert [text.partition("Use ")[2] for text in told] == [
        "`await process`.", "`await process`.", "`await process().asleep(…)`.", "`async with storage.use(…)`.",
    ]  # fmt: skip
    assert rest == [1, 1, 1]


def test_a_run_that_awaits_another_says_so_and_gives_its_place_away(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, options=("--async-slots", "2"))
    with cluster.as_current():
        waits = started(cluster, "waits", LONG)
        in_state(cluster, waits, "waiting")
        other = Process.get(int(waits.record().why.removeprefix("#")))
        in_state(cluster, other, "running")
        assert execute_on_server("jobs.nests", 12).result(timeout=30) == 12
        other.abort()
        with pytest.raises(ProcessAborted):
            waits.result(timeout=20)
        with pytest.raises(DeadlockDetected, match="waits in queue `default`"):
            execute_on_server("jobs.nests", 40).result(timeout=30)  # ten for each slot may have begun


def test_what_a_run_leaves_behind_ends_with_it(cluster: Cluster) -> None:
    process = execute_on_server("jobs.leaves_behind")
    assert process.result(timeout=20) is True
    assert cluster.ledger.count("beside", process.number) == 1
    assert cluster.ledger.count("beside ended", process.number) == 1


def test_leaving_by_an_exit_ends_the_process_and_not_its_executor(cluster: Cluster) -> None:
    before = execute_on_server("jobs.where").result(timeout=20)
    with pytest.raises(ProcedureFailed, match="SystemExit"):
        execute_on_server("jobs.exits").result(timeout=20)
    assert "SystemExit(3) in a task" in cluster.ledger.of("task")[-1][1]
    assert execute_on_server("jobs.where").result(timeout=20) == before


def test_each_print_is_of_the_one_that_printed(cluster: Cluster) -> None:
    many = {word: execute_on_server("jobs.says", word) for word in ("one", "two", "three")}
    for process in many.values():
        process.result(timeout=20)
    for word, process in many.items():
        expected = [text for i in range(20) for text in (f"{word} {i}", f"{word} half")]
        cluster.wait_for(lambda: [line.text for line in process.log()] == expected)  # noqa: B023  # called at once


def test_a_loop_that_is_kept_from_turning_is_named_once(cluster: Cluster) -> None:
    other = started(cluster, "work", 1, LONG)
    process = started(cluster, "blocks", 3.0)
    assert process.result(timeout=20) == "slept"
    (line,) = [line for line in cluster.worker(0).output.splitlines() if "kept its loop from turning" in line]
    assert line.startswith(f"#{process.number} #{process.number} jobs.blocks has kept its loop")
    assert "time.sleep(seconds)" in cluster.worker(0).output
    assert other.abort().level == "asked"


def test_a_limit_holds_on_a_loop(cluster: Cluster) -> None:
    many = execute_many("jobs.few", [0.1] * 12)
    for process in many:
        process.result(timeout=30)
    spans = runs(cluster.ledger)
    moments = [(at, change) for process in many for at, change in zip(spans[process.number][0], (1, -1), strict=True)]
    assert max(accumulate(change for _, change in sorted(moments))) == 2


def test_a_mailbox_works_off_its_calls_on_a_loop(cluster: Cluster) -> None:
    box = mailbox("loops")
    for n in range(10):
        box.call("jobs.works_off", n)
    cluster.wait_for(lambda: cluster.ledger.count("call ended") == 10)
    lines = [(words[0], int(words[2])) for words in cluster.ledger if words[0].startswith("call")]
    assert lines == [(word, n) for n in range(10) for word in ("call", "call ended")]
    box.kill()


# ---- orders


def test_abort_cancels_and_keeps_its_reason(cluster: Cluster) -> None:
    process, beside = started(cluster, "work", 1, LONG), started(cluster, "work", 2, 1.0)
    process.abort("no longer needed")
    with pytest.raises(ProcessAborted, match="no longer needed"):
        process.result(timeout=20)
    assert process.record().level == "interrupted"
    assert cluster.ledger.count("cleaned", process.number) == 1
    assert beside.result(timeout=20) == 2
    assert deliveries(cluster, beside) == [1]


def test_abort_by_force_kills_the_executor_and_the_others_run_again_uncounted(cluster: Cluster) -> None:
    process, beside = started(cluster, "deaf", LONG), started(cluster, "work", 2, 3.0)
    process.abort()
    cluster.wait_for(lambda: cluster.ledger.count("swallowed", process.number))
    assert process.state == "running"
    process.abort(force=True)
    assert process.wait(timeout=20) == "aborted"
    assert process.record().level == "killed"
    assert beside.result(timeout=30) == 2
    assert deliveries(cluster, beside) == [1, 1]
    assert deliveries(cluster, process) == [1]


def test_a_paused_run_takes_no_step_and_goes_on_where_it_was(cluster: Cluster) -> None:
    process, beside = started(cluster, "ticks", 60), started(cluster, "work", 1, 1.0)
    process.pause()
    in_state(cluster, process, "paused")
    assert process.record().why == "at an await"
    ticks = cluster.ledger.count("tick", process.number)
    assert beside.result(timeout=20) == 1
    assert cluster.ledger.count("tick", process.number) == ticks < 60
    process.resume()
    assert process.result(timeout=20) == 60
    assert [int(words[2]) for words in cluster.ledger.of("tick") if int(words[1]) == process.number] == list(range(60))


def test_a_delicate_run_pauses_at_a_checkpoint(cluster: Cluster) -> None:
    process = started(cluster, "delicate", 1.0)
    process.pause()
    in_state(cluster, process, "paused")
    assert process.record().why == "at a checkpoint"
    process.resume()
    assert process.result(timeout=20) == "ended"


def test_a_delicate_run_pauses_where_it_waits(cluster: Cluster) -> None:
    process = started(cluster, "delicate_waits", 0.5)
    in_state(cluster, process, "waiting")
    process.pause()
    in_state(cluster, process, "paused")
    assert process.record().why == "at a checkpoint"
    process.resume()
    assert process.result(timeout=20) == 1


def test_a_run_does_not_pause_inside_use_and_leaves_its_place_in_a_line(cluster: Cluster) -> None:
    uses = started(cluster, "uses", 1.0)
    cluster.wait_for(lambda: cluster.ledger.count("holding", uses.number))
    stands = started(cluster, "stands", 1)
    in_state(cluster, stands, "waiting")
    stands.pause()
    in_state(cluster, stands, "paused")
    uses.pause()
    in_state(cluster, uses, "paused")
    assert cluster.ledger.count("ended", uses.number) == 0
    assert cluster.ledger.count("left", uses.number) + 1 >= 1
    with cluster.storage.use("held", timeout=10) as held:  # nobody has it, and nobody stands before us
        assert held["by"] == uses.number
    uses.resume()
    stands.resume()
    assert uses.result(timeout=20) == "ended"
    assert stands.result(timeout=20) == 1


def test_a_paused_run_can_be_aborted(cluster: Cluster) -> None:
    process = started(cluster, "sleeps", LONG)
    process.pause()
    in_state(cluster, process, "paused")
    process.abort()
    assert process.wait(timeout=20) == "aborted"


def test_a_sleep_is_woken(cluster: Cluster) -> None:
    process = started(cluster, "sleeps", LONG)
    cluster.wait_for(process.wake)
    assert process.result(timeout=20) is True


# ---- deaths


@pytest.mark.parametrize("step", ["after_claim", "before_run", "mid_run", "before_settle", "after_settle"])
def test_what_was_accepted_is_finished_when_the_executor_dies(cluster_of: Open, step: str) -> None:
    cluster = cluster_of(1, tasks=TASKS, executors=0, crash_at=f"{step}@executor")
    with cluster.as_current():
        processes = execute_many("jobs.work", [(n, 0.1) for n in range(40)])
        cluster.wait_for(lambda: {str(process.state) for process in processes} <= ENDED)
        assert {str(process.state) for process in processes} == {"done"}
    assert "was killed by SIGKILL" in cluster.worker(0).output
    assert overlaps(cluster.ledger) == []


def test_only_the_run_that_an_executor_died_in_is_counted(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        beside = [started(cluster, "sleeps", 5.0) for _ in range(3)]
        kills = execute_on_server("jobs.kills", 1)
        assert kills.wait(timeout=30) == "dead"
        assert deliveries(cluster, kills) == [1, 2, 3]
        assert [process.result(timeout=30) for process in beside] == [False] * 3
        assert {tuple(deliveries(cluster, process)) for process in beside} == {(1, 1, 1, 1)}


def test_a_death_between_two_steps_counts_the_run_that_began_first(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        first, second = started(cluster, "sleeps", 3.0), started(cluster, "sleeps", 3.0)
        once = started(cluster, "once", LONG)
        for process in (first, second):
            in_state(cluster, process, "waiting")
        once.abort()
        assert once.wait(timeout=20) == "aborted"
        os.kill(loop_of(cluster, first), signal.SIGKILL)
        assert [first.result(timeout=30), second.result(timeout=30)] == [False, False]
        assert (deliveries(cluster, first), deliveries(cluster, second)) == ([1, 2], [1, 1])


def test_what_may_not_run_again_is_lost_beside_whatever_died(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        once = started(cluster, "once", LONG)
        work = started(cluster, "work", 1, 1.0)
        os.kill(loop_of(cluster, once), signal.SIGKILL)
        assert once.wait(timeout=20) == "lost"
        assert work.result(timeout=30) == 1
        lost, again = started(cluster, "once", LONG), started(cluster, "work", 1, LONG)
        (other,) = cluster.start(1)
        cluster.kill(cluster.worker(0))
        assert lost.wait(timeout=30) == "lost"
        cluster.wait_for(lambda: len(deliveries(cluster, again)) == 2)
        assert other.alive
        again.abort()
        assert again.wait(timeout=20) == "aborted"
    assert overlaps(cluster.ledger) == []


def test_a_worker_stopped_for_longer_than_its_lease_does_not_let_two_runs_overlap(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        process = started(cluster, "work", 1, 2 * LEASE)
        os.kill(cluster.worker(0).pid, signal.SIGSTOP)
        cluster.start(1)
        assert process.result(timeout=60) == 1
        os.kill(cluster.worker(0).pid, signal.SIGCONT)
    assert len(runs(cluster.ledger)[process.number]) == 2
    assert overlaps(cluster.ledger) == []


def test_a_frozen_worker_changes_nothing_when_it_wakes_up(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    frozen = cluster.worker(0)
    with cluster.as_current():
        uses, stubborn = started(cluster, "uses", 1.0), started(cluster, "stubborn", 1.0)
        cluster.wait_for(lambda: cluster.ledger.count("holding", uses.number))
        cluster.stop(frozen)
        cluster.start(1)
        assert uses.result(timeout=60) == stubborn.result(timeout=60) == "ended"
        written = cluster.storage.version("held")
        cluster.cont(frozen)
        cluster.wait_for(lambda: frozen.output.count(" ready") == 2)
        assert "was declared dead" in frozen.output
        assert cluster.storage.version("held") == written
        assert execute_on_server("jobs.work", 7).result(timeout=60) == 7


# ---- time limits


def test_a_time_limit_cancels_one_and_its_grace_kills_the_executor(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        beside = started(cluster, "work", 1, 6.0)
        soon = started(cluster, "limited", LONG)
        with pytest.raises(ProcessTimeout, match="1 s"):
            soon.result(timeout=20)
        assert deliveries(cluster, beside) == [1]
        stubborn = started(cluster, "limited", LONG, True)
        with pytest.raises(ProcessTimeout, match="1 s"):
            stubborn.result(timeout=20)
        assert beside.result(timeout=30) == 1
        assert (deliveries(cluster, beside), deliveries(cluster, stubborn)) == ([1, 1], [1])


def test_what_has_raised_is_tried_again(cluster: Cluster) -> None:
    assert execute_on_server("jobs.flaky", 2).result(timeout=20) == 3
    with pytest.raises(OSError, match="attempt 3"):
        execute_on_server("jobs.flaky", 5).result(timeout=20)


# ---- leaving


def test_a_drained_worker_finishes_what_it_runs(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, grace=20.0)
    with cluster.as_current():
        running = [started(cluster, "work", n, 1.0) for n in range(5)]
        cluster.worker(0).signal(signal.SIGTERM)
        assert cluster.worker(0).wait() == 0
        assert [process.result(timeout=0) for process in running] == list(range(5))
        assert {process.record().state for process in running} == {"done"}
        assert "killed" not in cluster.worker(0).output, "the executor ends by itself, and not when the grace is over"


def test_what_outlives_the_grace_time_is_cancelled_and_runs_again_uncounted(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS, grace=0.5)
    with cluster.as_current():
        running = started(cluster, "work", 1, LONG)
        deaf = started(cluster, "deaf", LONG)
        cluster.worker(0).signal(signal.SIGTERM)
        assert cluster.worker(0).wait() == 0
        assert cluster.ledger.count("cleaned", running.number) == 1
        assert cluster.ledger.count("swallowed", deaf.number) == 1
        cluster.start(1)
        cluster.wait_for(lambda: len(deliveries(cluster, running)) == len(deliveries(cluster, deaf)) == 2)
        assert deliveries(cluster, running) == deliveries(cluster, deaf) == [1, 1]
        for process in (running, deaf):
            process.abort(force=True)
            assert process.wait(timeout=20) == "aborted"


@pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")
def test_reload_takes_new_code_while_old_runs_end(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        old = started(cluster, "work", 1, 2.0)
        new = TASKS + "\n\n@procedure\nasync def added(n):\n    return n + 1\n"
        (cluster.project / "tasks" / "jobs.py").write_text(new)
        cluster.worker(0).signal(signal.SIGUSR2)
        cluster.wait_for(lambda: "executors new" in cluster.worker(0).output or "code" in cluster.worker(0).output)
        process = cluster.wait_for(lambda: execute_on_server("jobs.added", 1))
        assert process.result(timeout=20) == 2
        assert old.result(timeout=20) == 1
        assert deliveries(cluster, old) == [1]


@pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")
def test_a_worker_without_coroutines_has_no_loop_and_one_without_loops_leaves_them(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks="from onserver import procedure\n\n@procedure\ndef plain(n):\n    return n\n")
    assert len(cluster.worker(0).executors) == 2
    other = cluster_of(1, tasks=TASKS, options=("--async-executors", "0"))
    with other.as_current():
        waiting = execute_many("jobs.work", range(200))
        assert [process.result(timeout=20) for process in execute_many("jobs.plain", range(50))] == list(range(50))
        assert {process.state for process in waiting} == {"queued"}
        other.start(1, executors=0)
        assert [process.result(timeout=20) for process in waiting] == list(range(200))


# ---- Redis


@pytest.mark.parametrize(
    ("word", "nth"),
    [("step", 1), ("step", 2), ("step", 3), ("step", 4), ("step", 7), ("BLMPOP", 1), ("BLMPOP", 2), ("BLMPOP", 5)],
)
def test_a_lost_reply_doubles_and_loses_nothing(onserver_redis: str, tmp_path: Path, word: str, nth: int) -> None:
    sha = script("step", testing=True).sha

    def is_it(words: Words) -> bool:
        if word == "step":
            return words[0] in RUNS and words[1] == sha
        return words[0] == b"BLMPOP" and b"x:" in words[3]

    with (
        Proxy(parse(onserver_redis), tmp_path / "proxy") as proxy,
        open_cluster(onserver_redis, tmp_path, tasks=TASKS) as cluster,
    ):
        proxy.swallow_reply(nth, matching=is_it)
        cluster.start(1, executors=0, ONSERVER_REDIS=f"unix://{tmp_path / 'proxy'}")
        with cluster.as_current():
            processes = [execute_on_server("jobs.work", n, 0.05) for n in range(5)]
            processes += execute_many("jobs.work", [(n, 0.1) for n in range(10)])
            processes += [started(cluster, "work", n, 0.0) for n in range(5)]  # one after the other: handed over
            cluster.wait_for(lambda: {str(process.state) for process in processes} == {"done"}, 30)
        cluster.wait_for(lambda: proxy.broken)
        assert {number: len(spans) for number, spans in runs(cluster.ledger).items()} == {
            process.number: 1 for process in processes
        }


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProgram]:
    with redis_program(tmp_path / "redis", "always") as program:
        yield program


def test_a_frozen_redis_ends_what_runs_but_what_finishes(redis: RedisProgram, tmp_path: Path) -> None:
    with open_cluster(redis.url, tmp_path, tasks=TASKS) as cluster, cluster.as_current():
        cluster.start(1, ONSERVER_REDIS_COMMAND_SECONDS="1.5", ONSERVER_REDIS_CONNECT_SECONDS="0.5")
        process, stubborn = started(cluster, "work", 1, 1.9 * LEASE), started(cluster, "stubborn", 1.9 * LEASE)
        redis.freeze()
        began = monotonic()
        wait_for(lambda: monotonic() - began > 4 * LEASE, 5 * LEASE)  # how long it lasts is the fact here
        redis.thaw()
        assert process.result(timeout=60) == 1
        assert stubborn.result(timeout=60) == "ended"
        assert deliveries(cluster, process) == [1, 1]
        assert deliveries(cluster, stubborn) == [1]
        assert cluster.ledger.count("cleaned", process.number) == 2
        assert overlaps(cluster.ledger) == []
        deaf = started(cluster, "deaf", LONG)  # on the loop that went on: orders reach it as before
        assert loop_of(cluster, deaf) == loop_of(cluster, stubborn)
        deaf.abort(force=True)
        assert deaf.wait(timeout=20) == "aborted"


def test_nothing_accepted_is_lost_when_redis_is_killed_under_load(redis: RedisProgram, tmp_path: Path) -> None:
    with open_cluster(redis.url, tmp_path, tasks=TASKS) as cluster, cluster.as_current():
        cluster.start(1, ONSERVER_REDIS_COMMAND_SECONDS="1.5", ONSERVER_REDIS_CONNECT_SECONDS="0.5")
        accepted: list[Process[Any]] = []
        for restart in range(3):
            accepted += execute_many("jobs.work", [(n, 0.05) for n in range(100)])
            cluster.wait_for(lambda: cluster.ledger.count("started") > 40 * (restart + 1))  # noqa: B023  # at once
            redis.kill()
            redis.start()
        cluster.wait_for(lambda: {str(process.state) for process in accepted} == {"done"}, 60)
        assert overlaps(cluster.ledger) == []
