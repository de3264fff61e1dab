"""A restore under workers that are up: they wait it out, whatever is due meanwhile, and go on with what it brings."""

from __future__ import annotations

from pathlib import Path

from onserver import execute_on_server, procedure
from onserver.backup.cut import Cut
from onserver.backup.load import finish
from onserver.process.handle import Process
from onserver.process.maintenance import begin_maintenance, end_maintenance
from onserver.process.record import State
from onserver.testing.cluster import Cluster
from tests.cluster.conftest import Open
from tests.test_backup_load import killed_at


@procedure(name="jobs.count")
def count(name: str) -> int:
    raise AssertionError(f"it runs in the workers' project, and counts {name} there")


def beats(cluster: Cluster, times: int) -> None:
    """Wait until each worker has beaten so often."""
    for _ in range(times):
        before = last_beats(cluster)
        assert len(before) == len(cluster.workers)

        def all_have(before: dict[bytes, float] = before) -> bool:
            now = last_beats(cluster)
            return all(now.get(name, 0.0) > at for name, at in before.items())

        cluster.wait_for(all_have)
    assert all(worker.alive for worker in cluster.workers)


def last_beats(cluster: Cluster) -> dict[bytes, float]:
    store = cluster.server.store
    words = store.command("ZRANGE", store.key("members"), 0, -1, "WITHSCORES")
    workers = set(store.command("SMEMBERS", store.key("workers")))
    return {name: float(at) for name, at in zip(words[::2], words[1::2], strict=True) if name in workers}


def test_workers_wait_a_restore_out_and_go_on_with_what_it_brings(cluster_of: Open, tmp_path: Path) -> None:
    cluster = cluster_of(2, executors=2)
    store = cluster.server.store
    with cluster.as_current():
        execute_on_server("jobs.increment", 3).result(timeout=60)
        soon = execute_on_server(count.options(delay=1.0), "soon")
        with Cut(store) as cut:
            pieces = list(cut.entries())
        execute_on_server("jobs.increment", 3).result(timeout=60)
        begin_maintenance("a restore")
        assert soon.result(timeout=60) == 1
        killed_at("before_restore_end", store, pieces, tmp_path)
        beats(cluster, 3)  # what is due, by what was restored, is offered by nobody yet
        finish(store)
        end_maintenance()
        assert cluster.storage["nested"]["deep"]["count"] == 3
        again = Process[int].get(soon.number)  # it ran behind the instant of the backup, and so runs again
        cluster.wait_for(lambda: again.state is State.DONE)
        assert cluster.storage["soon"] == 1
        execute_on_server("jobs.increment", 1).result(timeout=60)
        assert cluster.storage["nested"]["deep"]["count"] == 4
        beats(cluster, 1)
        for worker in cluster.workers:
            assert "Traceback" not in worker.output
