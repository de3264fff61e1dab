"""A reply that is lost: for every script that a worker sends, nothing is doubled and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from onserver import execute_many
from onserver.redis.address import parse
from onserver.redis.scripts import script
from onserver.testing.cluster import open_cluster
from onserver.testing.proxy import RUNS, Proxy, Words
from tests.cluster.jobs import TASKS, overlaps, runs

#: Scripts of a worker's life, and for `step` which of its replies is lost: a claim, a settlement with a claim, more.
LOST = [
    ("join", 1), ("register", 1), ("open_epoch", 1), ("enlist", 1), ("enlist", 2), ("enlist", 3), ("claim_hook", 1),
    ("claim_hook", 2), ("run_epoch", 1), ("beat", 1), ("beat", 3), ("bury", 1), ("silent", 1), ("step", 1), ("step", 2),
    ("step", 3), ("step", 5), ("step", 8), ("lock", 1), ("commit", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "nth"), LOST, ids=[f"{name}-{nth}" for name, nth in LOST])
def test_a_lost_reply_doubles_and_loses_nothing(onserver_redis: str, tmp_path: Path, name: str, nth: int) -> None:
    sha = script(name, testing=True).sha

    def is_it(words: Words) -> bool:
        return words[0] in RUNS and words[1] == sha

    with (
        Proxy(parse(onserver_redis), tmp_path / "proxy") as proxy,
        open_cluster(onserver_redis, tmp_path, tasks=TASKS) as cluster,
    ):
        proxy.swallow_reply(nth, matching=is_it)
        cluster.start(1, ONSERVER_REDIS=f"unix://{tmp_path / 'proxy'}")
        with cluster.as_current():
            processes = [*execute_many("jobs.work", range(10)), *execute_many("jobs.transfer", [1] * 5)]
            cluster.wait_for(lambda: {str(process.state) for process in processes} == {"done"})
        cluster.wait_for(lambda: proxy.broken)
        assert {number: len(spans) for number, spans in runs(cluster.ledger).items()} == {
            p.number: 1 for p in processes
        }
        assert overlaps(cluster.ledger) == []
        assert cluster.storage["x"] == {"left": -5, "right": 5}
        assert cluster.ledger.count("hook", "first") == 1
        assert cluster.storage["started"] == 1
