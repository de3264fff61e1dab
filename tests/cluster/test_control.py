"""Abort, pause and resume: what runs, what waits, and what nobody has yet; levels are reached in their order."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from onserver import Process, execute_on_server
from onserver.celery_app.app import make_app
from onserver.errors import NoWorker, ProcessAborted, ProcessNotFound
from onserver.testing.cluster import LEASE, Cluster, open_cluster
from tests.cluster.conftest import Open
from tests.cluster.orders import TASKS, quick
from tests.commands import ran, settle_on

LONG = 60.0


@pytest.fixture(scope="module")
def shared(onserver_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with open_cluster(onserver_redis, tmp_path_factory.mktemp("control"), tasks=TASKS) as opened:
        opened.start(1, executors=2)
        yield opened


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    with shared.as_current():
        yield shared


def began(cluster: Cluster, procedure: str, *args: Any) -> Process[Any]:
    process = execute_on_server(f"jobs.{procedure}", *args)
    cluster.wait_for(lambda: cluster.ledger.count("began", process.number))
    return process


def in_state(cluster: Cluster, process: Process[Any], state: str) -> None:
    cluster.wait_for(lambda: process.state == state, 60)


def test_a_run_stops_at_its_next_checkpoint(cluster: Cluster) -> None:
    process = began(cluster, "heeds", LONG)
    answer = process.abort("no longer needed")
    assert (answer.number, answer.level) == (process.number, "asked")
    with pytest.raises(ProcessAborted, match=r"was aborted by \S+@\S+: no longer needed"):
        process.result(timeout=60)
    assert process.record().level == "asked"
    assert cluster.ledger.count("cleaned", process.number) == 1
    assert cluster.ledger.count("ended", process.number) == 0
    assert cluster.ledger.count("began", process.number) == 1


def test_a_run_without_checkpoints_is_interrupted(cluster: Cluster) -> None:
    process = began(cluster, "deaf", LONG)
    process.abort()
    assert process.wait(timeout=60) == "aborted"
    assert process.record().level == "interrupted"
    assert cluster.ledger.count("cleaned", process.number) == 1


def test_a_run_that_swallows_interruptions_is_killed_only_when_that_was_asked_for(cluster: Cluster) -> None:
    process = began(cluster, "stubborn", LONG)
    process.abort()
    cluster.wait_for(lambda: cluster.ledger.count("Interrupted", process.number), 60)
    assert process.state == "running"
    process.abort(force=True)
    assert process.wait(timeout=60) == "aborted"
    assert process.record().level == "killed"
    assert cluster.ledger.count("began", process.number) == 1


def test_an_error_that_the_abort_became_is_an_abort(cluster: Cluster) -> None:
    process = began(cluster, "wraps", LONG)
    process.abort()
    assert process.wait(timeout=60) == "aborted"


def test_an_abort_inside_use_writes_nothing_and_frees_the_lock(cluster: Cluster) -> None:
    process = began(cluster, "uses", LONG)
    process.abort()
    assert process.wait(timeout=60) == "aborted"
    with cluster.storage.use("held", timeout=60) as held:
        assert held.get("by") != process.number


def test_one_that_stands_in_line_or_waits_for_another_is_aborted_there(cluster: Cluster) -> None:
    holds = began(cluster, "uses", LONG)
    stands = began(cluster, "stands", 1)
    in_state(cluster, stands, "waiting")
    stands.abort()
    assert stands.wait(timeout=60) == "aborted"
    assert stands.record().level == "asked"
    holds.abort()
    assert holds.wait(timeout=60) == "aborted"


def test_one_that_waits_for_another_is_aborted_there(cluster: Cluster) -> None:
    waits = began(cluster, "waits", LONG)
    in_state(cluster, waits, "waiting")
    other = Process.get(int(waits.record().why.removeprefix("#")))
    waits.abort()
    assert waits.wait(timeout=60) == "aborted"
    assert other.state == "running"
    other.abort()
    assert other.wait(timeout=60) == "aborted"


def test_what_has_not_begun_never_does(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)  # its worker makes the procedures known, and leaves
    cluster.worker(0).signal(signal.SIGTERM)
    assert cluster.worker(0).wait() == 0
    with cluster.as_current():
        with pytest.warns(NoWorker):
            queued = execute_on_server("jobs.quick", 1)
        assert queued.abort("changed my mind").level == "removed"
        assert queued.abort().level == "ended"
        with pytest.raises(ProcessAborted, match="changed my mind"):
            queued.result(timeout=0)
        kept = execute_on_server("jobs.quick", 2)
        assert kept.pause().level == "paused"
        assert kept.pause().state == "paused"
        cluster.start(1)
        after = execute_on_server("jobs.quick", 3)
        assert after.result(timeout=60) == 3
        assert kept.state == "paused"
        assert kept.resume().level == "queued"
        assert kept.result(timeout=60) == 2
        assert kept.resume().level == "ended"
        assert cluster.ledger.count("began", queued.number) == 0


def test_a_stopped_run_goes_on_where_it_was_and_another_takes_its_place(cluster: Cluster) -> None:
    expected = began(cluster, "count", 200_000).result(timeout=60)
    process = began(cluster, "count", 200_000)
    process.pause()
    in_state(cluster, process, "paused")
    assert process.record().why == "its executor is stopped"
    others = [began(cluster, "count", 1000) for _ in range(2)]  # both places are taken
    assert len({other.result(timeout=60) for other in others}) == 1
    assert process.state == "paused"
    assert process.resume().level == "asked"
    assert process.result(timeout=60) == expected
    assert cluster.ledger.count("began", process.number) == 1


def test_a_delicate_run_pauses_at_its_checkpoint(cluster: Cluster) -> None:
    process = began(cluster, "delicate", 1.0)
    process.pause()
    in_state(cluster, process, "paused")
    assert process.record().why == "at a checkpoint"
    assert cluster.ledger.count("ended", process.number) == 0
    process.resume()
    assert process.result(timeout=60) == "ended"
    assert cluster.ledger.count("began", process.number) == 1


def test_a_pause_waits_for_the_end_of_use(cluster: Cluster) -> None:
    process = began(cluster, "uses", 1.0)
    process.pause()
    cluster.wait_for(lambda: process.state in ("paused", "done"), 60)
    with cluster.storage.use("held", timeout=60) as held:
        assert held["by"] == process.number  # it had left the block before it paused
    process.resume()
    assert process.result(timeout=60) == "ended"


def test_one_that_is_to_pause_leaves_its_line(cluster: Cluster) -> None:
    holds = began(cluster, "uses", LONG)
    stands = began(cluster, "stands", 1)
    in_state(cluster, stands, "waiting")
    stands.pause()
    in_state(cluster, stands, "paused")
    holds.abort()
    assert holds.wait(timeout=60) == "aborted"
    with cluster.storage.use("held", timeout=60):
        assert stands.state == "paused"  # it does not stand in the way
    stands.resume()
    assert stands.result(timeout=60) == 1


def test_a_paused_run_is_aborted(cluster: Cluster) -> None:
    process = began(cluster, "deaf", LONG)
    process.pause()
    in_state(cluster, process, "paused")
    process.abort()
    assert process.wait(timeout=60) == "aborted"
    assert process.pause().level == "ended"


def test_an_unknown_number(cluster: Cluster) -> None:
    process = began(cluster, "quick", 1)
    cluster.server.store.command("DEL", cluster.server.store.key(f"p:{process.number}"))
    for order in (process.abort, process.pause, process.resume):
        with pytest.raises(ProcessNotFound):
            order()


def test_a_paused_run_of_a_worker_that_dies_stays_paused(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS)
    with cluster.as_current():
        process = began(cluster, "heeds", 0.2)
        process.pause()
        in_state(cluster, process, "paused")
        cluster.kill(cluster.worker(0))
        (worker,) = cluster.start(1)
        assert execute_on_server("jobs.quick", 1).result(timeout=60) == 1
        in_state(cluster, process, "paused")
        assert process.resume().level == "queued"
        assert process.result(timeout=60) == "ended"
        assert cluster.ledger.count("began", process.number) == 2
        assert worker.alive


def test_a_stopped_run_outlives_the_lease(cluster: Cluster) -> None:
    """Its worker goes on and keeps its number, and what comes out is what would have come out."""
    expected = began(cluster, "count", 100_000).result(timeout=60)
    process = began(cluster, "count", 100_000)
    process.pause()
    in_state(cluster, process, "paused")
    holder, began_at = process.record().holder, monotonic()
    while monotonic() - began_at < 2 * LEASE:  # the time itself is the fact here
        assert began(cluster, "quick", 7).result(timeout=60) == 7
    assert process.record().holder == holder
    assert process.state == "paused"
    process.resume()
    assert process.result(timeout=60) == expected
    assert process.record().deliveries == 0
    assert cluster.ledger.count("began", process.number) == 1


def one_outcome(cluster: Cluster, times: int) -> None:
    """An abort given while the process is being claimed: it never began, or it was cut short, or it has ended."""
    for _ in range(times):
        process = execute_on_server("jobs.quick", 1)
        answer = process.abort()
        state = process.wait(timeout=60)
        began, ended = (cluster.ledger.count(word, process.number) for word in ("began", "ended"))
        if answer.level == "removed":
            assert (state, began) == ("aborted", 0)
        elif state == "aborted":
            assert ended == 0
        else:
            assert (state, began, ended) == ("done", 1, 1)


def test_an_abort_in_the_instant_of_the_claim(cluster: Cluster) -> None:
    one_outcome(cluster, 50)


@pytest.mark.long
def test_an_abort_in_the_instant_of_the_claim_often(cluster: Cluster) -> None:
    one_outcome(cluster, 5000)


def paused_or_done(cluster: Cluster, times: int) -> None:
    """A pause given while the process is being claimed: it is paused, or it has ended; it ends once in any case."""
    for _ in range(times):
        process = execute_on_server("jobs.quick", 1)
        process.pause()
        cluster.wait_for(lambda process=process: process.state in ("paused", "done"), 60)  # type: ignore[misc]
        process.resume()
        assert process.result(timeout=60) == 1
        assert cluster.ledger.count("ended", process.number) == 1


def test_a_pause_in_the_instant_of_the_claim(cluster: Cluster) -> None:
    paused_or_done(cluster, 50)


@pytest.mark.long
def test_a_pause_in_the_instant_of_the_claim_often(cluster: Cluster) -> None:
    paused_or_done(cluster, 5000)


def revoked_or_done(cluster: Cluster, times: int) -> None:
    """Celery's revoke, given while the process is being claimed: as an abort, whose other name it is."""
    app: Any = make_app(cluster.server)
    for n in range(times):
        sent = app.send_task("jobs.quick", (n,))
        sent.revoke()
        number = int(cluster.server.store.command("GET", cluster.server.store.key(f"id:{sent.id}")))
        state = Process.get(number).wait(timeout=60)
        began, ended = (cluster.ledger.count(word, number) for word in ("began", "ended"))
        assert sent.state == {"aborted": "REVOKED", "done": "SUCCESS"}[state]
        assert ended == (state == "done")
        assert began <= 1


def test_a_revoke_in_the_instant_of_the_claim(cluster: Cluster) -> None:
    revoked_or_done(cluster, 50)


@pytest.mark.long
def test_a_revoke_in_the_instant_of_the_claim_often(cluster: Cluster) -> None:
    revoked_or_done(cluster, 5000)


def test_orders_for_what_waits_hold_given_while_no_worker_is_up(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    with cluster.as_current(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)
        aborted, paused, other = (quick.start(n) for n in range(3))
        revoked: Any = make_app(cluster.server).send_task("jobs.quick", (3,))
        assert (aborted.abort().level, paused.pause().level) == ("removed", "paused")
        revoked.revoke()
        cluster.start(1)
        assert other.result(timeout=60) == 2
        assert (aborted.state, paused.state, revoked.state) == ("aborted", "paused", "REVOKED")
        assert [words[1] for words in cluster.ledger.of("began")] == [str(other.number)]
        paused.resume()
        assert paused.result(timeout=60) == 1


def test_orders_hold_given_while_no_worker_is_up(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        running, waiting = began(cluster, "deaf", 0.3), began(cluster, "heeds", 0.3)
        cluster.kill(cluster.worker(0))
        running.abort("while nobody is there")
        waiting.pause()
        cluster.start(1)
        assert running.wait(timeout=60) == "aborted"
        in_state(cluster, waiting, "paused")
        waiting.resume()
        assert waiting.result(timeout=60) == "ended"
        assert cluster.ledger.count("began", running.number) == 1


# -- where a run is


def test_a_run_tells_where_it_is_and_goes_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settle_on(cluster.server, monkeypatch)
    process = began(cluster, "deaf", LONG)
    told = ran(capsys, "stack", str(process.number))
    assert told.status == 0, told.err
    assert "most recent call first" in told.out
    assert "in deaf" in told.out
    assert "in deaf" in "\n".join(line.text for line in process.log())
    assert (process.state, process.record().deliveries) == ("running", 0)
    process.abort(force=True)
    in_state(cluster, process, "aborted")
    refused = ran(capsys, "stack", str(process.number))
    assert (refused.status, "does not run: it is aborted" in refused.err) == (3, True)
