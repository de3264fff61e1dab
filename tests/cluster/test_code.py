"""Old and new code side by side, and new code in a running worker."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

from onserver import execute_many, execute_on_server, server_epoch
from onserver.errors import NoWorker
from onserver.testing.cluster import Cluster
from onserver.views.processes import Seen
from tests.cluster.conftest import Open
from tests.cluster.jobs import overlaps

OLD = """
from onserver import on_server_startup, procedure, process
from onserver.testing.ledger import note

@on_server_startup
def opened():
    note("hook", "opened")

@procedure
def both(n):
    note("started", process().number, process().deliveries, 0, 0)
    return "old"
"""
NEW = (
    OLD.replace('return "old"', 'return "new"')
    + """

@procedure
def added(n):
    return n + 1
"""
)


def why(cluster: Cluster, number: int) -> str:
    (row,) = Seen(cluster.server.store).rows([number])
    return row.why


def test_a_procedure_that_only_one_worker_has_waits_for_that_worker(tmp_path: Path, cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=OLD)
    newer = tmp_path / "newer"
    shutil.copytree(cluster.project, newer)
    (newer / "tasks" / "jobs.py").write_text(NEW)
    with cluster.as_current(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)
        cluster.server.store.command("HSET", cluster.server.store.key("procedures"), "jobs.added", "{}")
        waiting = [execute_on_server("jobs.added", n) for n in range(5)]
        assert execute_on_server("jobs.both", 0).result(timeout=60) == "old"
        assert why(cluster, waiting[0].number) == "no worker on queue `default` has `jobs.added`"
        cluster.start(1, ONSERVER_PROJECT=str(newer))
        assert [process.result(timeout=60) for process in waiting] == [1, 2, 3, 4, 5]
        more = [*execute_many("jobs.both", range(100)), *execute_many("jobs.added", range(100))]
        results = [process.result(timeout=60) for process in more]
        assert set(results[:100]) <= {"old", "new"}
        assert results[100:] == list(range(1, 101))


def test_reload_takes_new_code_and_loses_nothing(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=OLD)
    worker = cluster.worker(0)
    with cluster.as_current():
        before = server_epoch()
        processes = execute_many("jobs.both", range(200))
        (cluster.project / "tasks" / "jobs.py").write_text(NEW)
        worker.signal(12)  # SIGUSR2
        processes += execute_many("jobs.both", range(200))
        results = [process.result(timeout=60) for process in processes]
        cluster.wait_for(lambda: execute_on_server("jobs.both", 0).result(timeout=60) == "new")
        assert set(results) <= {"old", "new"}
        assert execute_on_server("jobs.added", 1).result(timeout=60) == 2
        assert server_epoch() == before
    assert cluster.ledger.count("hook", "opened") == 1
    assert overlaps(cluster.ledger) == []
    assert {words[2] for words in cluster.ledger.of("started")} == {"1"}


def test_a_reload_that_does_not_import_keeps_the_old_code(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=OLD)
    worker = cluster.worker(0)
    (cluster.project / "tasks" / "jobs.py").write_text("import no_such_module\n")
    worker.signal(12)
    cluster.wait_for(lambda: "the old code goes on" in worker.output)
    assert "No module named 'no_such_module'" in worker.output
    with cluster.as_current():
        assert execute_on_server("jobs.both", 0).result(timeout=60) == "old"


def test_the_command_reload_waits_for_every_worker(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=OLD)
    (cluster.project / "tasks" / "jobs.py").write_text(NEW)
    for _ in range(2):  # an order after an order: the same list is waited on again
        command = [sys.executable, "-m", "onserver.cli", "reload"]
        done = subprocess.run(
            command, env=cluster.environment(), cwd=cluster.project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("2 executors new") == 2
    with cluster.as_current():
        assert execute_on_server("jobs.added", 1).result(timeout=60) == 2


def test_a_reload_reads_the_limits_of_queues_anew_for_the_whole_cluster(cluster_of: Open) -> None:
    cluster = cluster_of(2, tasks=OLD)
    file = cluster.project / "config" / "onserver.toml"
    without = file.read_text()
    file.write_text(without + "\n[queue.default]\nat_once = 1\n")
    cluster.worker(0).signal(12)  # one of the two
    cluster.wait_for(lambda: limited(cluster) == ["default"])
    file.write_text(without + "\n[queue.default]\nat_once = -1\n")
    cluster.worker(0).signal(12)
    cluster.wait_for(lambda: "the old code goes on" in cluster.worker(0).output)
    cluster.start(1, ready=False)
    assert cluster.worker(2).wait() == 2
    file.write_text(without)
    assert limited(cluster) == ["default"]
    cluster.worker(1).signal(12)
    cluster.wait_for(lambda: not limited(cluster))


def limited(cluster: Cluster) -> list[str]:
    """The queues that have a limit, as `ps --limits` lists them."""
    command = [sys.executable, "-m", "onserver.cli", "ps", "--limits", "--json"]
    done = subprocess.run(
        command, env=cluster.environment(), cwd=cluster.project, capture_output=True, text=True, check=False
    )
    return [row["name"] for row in json.loads(done.stdout)["data"] if row["kind"] == "queue"]
