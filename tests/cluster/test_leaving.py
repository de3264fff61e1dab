"""How a worker leaves: by SIGTERM, by a second one, by `drain` and `stop --node`; and its executors, by `scale`."""

import json
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from onserver import Process, execute_on_server
from onserver.testing.cluster import Cluster
from tests.cluster.conftest import Open

#: Work that goes on while its gate is shut; a worker with OPEN=1 has no gates.
TASKS = """
import os
import time

from onserver import on_server_shutdown, procedure
from onserver.testing.ledger import note


def wait(gate):
    while not (os.environ.get("OPEN") or os.path.exists(os.environ["GATES"] + gate)):
        time.sleep(0.02)


@procedure(batch=True)
def gated(n, gate):
    note("begun", n, os.environ["NODE"])
    try:
        wait(gate)
    finally:
        note("cleaned", n, os.environ["NODE"])
    note("ended", n, os.environ["NODE"])
    return n


@on_server_shutdown
def close():
    note("shutdown")
"""


def test_sigterm_hands_back_at_once_what_was_claimed_and_not_begun(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    gates = f"{cluster.folder}/"
    (going,) = cluster.start(1, executors=10, grace=120.0, GATES=gates, NODE="going")
    with cluster.as_current():
        warm = [execute_on_server("jobs.gated", n, "warm") for n in range(10)]  # each of the ten is in a batch now
        cluster.wait_for(lambda: cluster.ledger.count("begun") == 10)
        batch = [execute_on_server("jobs.gated", n, "go") for n in range(100, 122)]
        (cluster.folder / "warm").touch()
        for process in warm:
            process.result(timeout=60)
        # two executors have claimed 16 and 6; the other eight are idle, and are given one each
        cluster.wait_for(lambda: cluster.ledger.count("begun") == 12)
        batch += [execute_on_server("jobs.gated", n, "go") for n in range(122, 130)]
        cluster.wait_for(lambda: cluster.ledger.count("begun") == 20)
        assert held(cluster) == 30
        cluster.start(1, executors=4, GATES=gates, NODE="other", OPEN="1")
        running = {words[1] for words in cluster.ledger.of("begun") if int(words[1]) >= 100}
        assert len(running) == 10
        began = time.monotonic()
        going.signal(signal.SIGTERM)
        cluster.wait_for(lambda: len(of(cluster, "ended", "other")) == 20)
        seconds = time.monotonic() - began
        assert going.alive, "it still runs what it had begun"
        assert of(cluster, "ended", "other").isdisjoint(running)
        (cluster.folder / "go").touch()
        assert going.wait() == 0
        assert sorted(process.result(timeout=60) for process in batch) == list(range(100, 130))
        assert {process.record().deliveries for process in batch} <= {0, 1}
    begun = [words[1] for words in cluster.ledger.of("begun") if int(words[1]) >= 100]
    assert sorted(begun) == sorted(set(begun)), "nothing has run twice"
    assert len(begun) == 30, "nothing was lost"
    assert of(cluster, "ended", "going") >= running
    assert "given to another" not in going.output
    print(f"the twenty had run elsewhere after {seconds:.2f} s")
    assert seconds < 10, "well within one where the machine has time"


def held(cluster: Cluster) -> int:
    store = cluster.server.store
    holders = [holder.decode() for holder in store.command("SMEMBERS", store.key("live"))]
    return sum(store.pipeline([("LLEN", store.key(f"held:{holder}")) for holder in holders]))


def of(cluster: Cluster, what: str, node: str) -> set[str]:
    return {words[1] for words in cluster.ledger.of(what) if words[2] == node}


def test_a_second_sigterm_interrupts_what_runs_and_it_runs_again_uncounted(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    (going,) = cluster.start(1, grace=120.0, GATES=f"{cluster.folder}/", NODE="going")
    with cluster.as_current():
        process = started_beside_another(cluster)
        going.signal(signal.SIGTERM)
        cluster.wait_for(lambda: "takes no more work" in going.output)
        going.signal(signal.SIGTERM)
        assert going.wait() == 0
        assert process.result(timeout=60) == 1
        assert process.record().deliveries <= 1
    assert cluster.ledger.count("cleaned", 1, "going") == 1, "its `finally` block has run"
    assert cluster.ledger.count("ended", 1, "other") == 1
    assert cluster.state() == "running"


def test_sigterm_while_the_server_stops_is_not_a_second_one(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    (going,) = cluster.start(1, grace=120.0, GATES=f"{cluster.folder}/", NODE="going")
    with cluster.as_current():
        process = execute_on_server("jobs.gated", 1, "go")
        cluster.wait_for(lambda: cluster.ledger.count("begun") == 1)
        stop = program(cluster, "stop", "--json")
        cluster.wait_for(lambda: "takes no more work" in going.output)
        going.signal(signal.SIGTERM)
        (cluster.folder / "go").touch()
        assert going.wait() == 0
        assert process.result(timeout=60) == 1
    assert stop.wait(60) == 0
    assert cluster.state() == "stopped"
    assert cluster.ledger.count("shutdown") == 1


def test_a_drained_worker_leaves_and_the_epoch_goes_on(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    first, _ = cluster.start(2, GATES=f"{cluster.folder}/", NODE="n")
    with cluster.as_current():
        both = [execute_on_server("jobs.gated", n, "go") for n in range(4)]
        cluster.wait_for(lambda: cluster.ledger.count("begun") == 4)
        drained = program(cluster, "drain", "w1", "--grace", "120")
        cluster.wait_for(lambda: "takes no more work" in first.output)
        again = program(cluster, "drain", "w2", "--json")
        assert again.wait(60) == 3, "nobody would stay"
        assert first.alive
        (cluster.folder / "go").touch()
        assert drained.wait(60) == 0
        assert first.wait() == 0
        for process in both:
            process.result(timeout=60)
    out, err = drained.communicate()
    assert "w1: drained after" in out
    assert "takes no more work" in err
    assert "2 processes running" in err
    assert cluster.state() == "running"
    assert cluster.ledger.count("cleaned") == 4
    assert cluster.ledger.count("shutdown") == 0
    assert program(cluster, "drain", "w1").wait(60) == 4, "it has gone"


def test_what_outlives_the_grace_of_a_drain_runs_elsewhere(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    (going,) = cluster.start(1, grace=120.0, GATES=f"{cluster.folder}/", NODE="going")
    with cluster.as_current():
        process = started_beside_another(cluster)
        drained = program(cluster, "drain", "w1", "--grace", "0.2", "--json")
        assert process.result(timeout=60) == 1
        assert drained.wait(60) == 0
        assert going.wait() == 0
    told = json.loads(drained.communicate()[0])["data"]
    assert (told["node"], told["member"] > 0) == ("w1", True)
    assert cluster.ledger.count("ended", 1, "other") == 1


def test_what_a_worker_runs_that_is_stopped_at_once_runs_elsewhere(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    (going,) = cluster.start(1, grace=120.0, GATES=f"{cluster.folder}/", NODE="going")
    with cluster.as_current():
        process = started_beside_another(cluster)
        stopped = program(cluster, "stop", "--node", "w1", "--json")
        assert process.result(timeout=60) == 1
        assert stopped.wait(60) == 0
        assert going.wait() == 0
    assert cluster.state() == "running"
    assert program(cluster, "stop", "--node", "w2").wait(60) == 3, "nobody would stay"


def test_a_worker_is_given_more_executors_and_fewer(cluster_of: Open) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    cluster.start(1, executors=1, GATES=f"{cluster.folder}/", NODE="n")
    with cluster.as_current():
        three = [execute_on_server("jobs.gated", n, "go") for n in range(3)]
        cluster.wait_for(lambda: cluster.ledger.count("begun") == 1)
        assert program(cluster, "scale", "w1", "3").wait(60) == 0
        cluster.wait_for(lambda: cluster.ledger.count("begun") == 3)
        assert executors(cluster) == 3
        assert program(cluster, "scale", "w1", "1").wait(60) == 0
        cluster.wait_for(lambda: executors(cluster) == 1)  # those that leave take no more
        assert cluster.ledger.count("cleaned") == 0, "what they run goes on"
        (cluster.folder / "go").touch()
        assert sorted(process.result(timeout=60) for process in three) == [0, 1, 2]
        assert cluster.ledger.count("begun") == 3
        assert execute_on_server("jobs.gated", 9, "go").result(timeout=60) == 9
    assert program(cluster, "scale", "w9", "1").wait(60) == 4


def executors(cluster: Cluster) -> int:
    """How many take work from the queue."""
    store = cluster.server.store
    return int(store.command("SCARD", store.key("serve:default")))


@pytest.mark.parametrize("pool", [pytest.param("prefork", marks=pytest.mark.long), "solo"])
def test_a_worker_of_celerys_can_be_drained(cluster_of: Open, pool: str) -> None:
    cluster = cluster_of(0, tasks=TASKS)
    (going,) = cluster.start(1, pool=pool, executors=1, OPEN="1", NODE="celery")
    cluster.start(1, OPEN="1", NODE="other")
    node = next(words for words in json.loads(told(cluster, "ps", "--members", "--json"))["data"]
                if words["node"].startswith("w1@"))["node"]  # fmt: skip
    assert program(cluster, "scale", node, "2").wait(60) == 3, "its pool scales itself"
    assert program(cluster, "stop", "--node", node).wait(60) == 3, "what runs there is let finish"
    assert program(cluster, "drain", node).wait(60) == 0
    assert going.wait() == 0
    assert cluster.state() == "running"


def started_beside_another(cluster: Cluster) -> Process[Any]:
    """A process that runs on the one worker there is, and then a second worker, which has no gates."""
    process = execute_on_server("jobs.gated", 1, "go")
    cluster.wait_for(lambda: cluster.ledger.count("begun", 1, "going"))
    cluster.start(1, GATES="", NODE="other", OPEN="1")
    return process


def program(cluster: Cluster, *words: str) -> subprocess.Popen[str]:
    """A command of this cluster's project."""
    return subprocess.Popen(
        [sys.executable, "-m", "onserver.cli", *words],
        env=cluster.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def told(cluster: Cluster, *words: str) -> str:
    return program(cluster, *words).communicate(timeout=60)[0]
