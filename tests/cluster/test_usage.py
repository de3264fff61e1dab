"""What the runs of a worker use is known while they run."""

from __future__ import annotations

from onserver import execute_on_server
from onserver.views.processes import Row, Seen
from tests.cluster.conftest import Open

TASKS = '''
from onserver import procedure, session

@procedure
def burns() -> int:
    """Computes until it is told to end."""
    looks, storage = 0, session().storage
    while "go" not in storage:
        looks += 1
    return looks
'''


def test_what_computes_has_used_a_processor_and_memory(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS)
    with cluster.as_current():
        one = execute_on_server("jobs.burns")

        def row() -> Row:
            return next(iter(Seen(cluster.server.store).rows([one.number])))

        cluster.wait_for(lambda: (row().cpu_seconds or 0) > 0.2)
        found = row()
        assert (found.memory or 0) > 1_000_000
        assert 0 < (found.cpu_seconds or 0) <= found.seconds + 1
        with cluster.storage.use() as root:
            root["go"] = True
        assert one.result(timeout=60) > 0
        assert (row().cpu_seconds, row().memory) == (None, None)
        member = cluster.server.store.key(f"member:{one.record().holder.partition('.')[0]}")
        cluster.wait_for(lambda: cluster.server.store.command("HGET", member, "usage") == b"-")
