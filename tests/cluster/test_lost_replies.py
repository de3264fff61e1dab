"""A reply that is lost: for every script that a worker sends, nothing is doubled and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from onserver import execute_many, execute_on_server
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


RETRIED = """
import asyncio
from onserver import Retry, procedure, process
from onserver.testing.ledger import note

def _try(until):
    me = process()
    note("tried", me.number, me.attempt, me.deliveries)
    if me.attempt < until:
        raise OSError(f"attempt {me.attempt}")
    return me.attempt

@procedure(retry=Retry(OSError, times=3, delays=[0, 0.5, 0]))
def tried(until):
    return _try(until)

@procedure(retry=Retry(OSError, times=3, delays=[0, 0.5, 0]))
async def tried_in_a_loop(until):
    await asyncio.sleep(0)
    return _try(until)
"""


#: Where it runs, and which of its three retries loses its reply.
RETRIES = [("", "tried", 1), ("", "tried", 2), ("", "tried_in_a_loop", 1), ("prefork", "tried", 1)]
MORE = [("", "tried", 3), ("", "tried_in_a_loop", 2), ("", "tried_in_a_loop", 3), ("prefork", "tried", 2)]
MORE += [("threads", "tried", 1), ("threads", "tried", 2)]


@pytest.mark.parametrize(
    ("pool", "name", "nth"), [*RETRIES, *(pytest.param(*one, marks=pytest.mark.long) for one in MORE)]
)
def test_a_retry_whose_reply_is_lost_is_one_attempt_and_runs_once_more(
    onserver_redis: str, tmp_path: Path, pool: str, name: str, nth: int
) -> None:
    """The settlement that records an attempt is sent twice: by then its process may wait, run here or elsewhere."""
    sha = script("step", testing=True).sha

    def is_it(words: Words) -> bool:
        return words[0] in RUNS and words[1] == sha and b"retry" in words

    with (
        Proxy(parse(onserver_redis), tmp_path / "proxy") as proxy,
        open_cluster(onserver_redis, tmp_path, tasks=RETRIED) as cluster,
        cluster.as_current(),
    ):
        cluster.start(1, pool=pool, executors=2, ONSERVER_REDIS=f"unix://{tmp_path / 'proxy'}")
        cluster.start(1, pool=pool, executors=2)  # it may take what the other one let go
        proxy.swallow_reply(nth, matching=is_it)
        one = execute_on_server(f"jobs.{name}", 4)
        others = execute_many(f"jobs.{name}", [1] * 5)
        assert one.result(timeout=60) == 4
        assert [other.result(timeout=60) for other in others] == [1] * 5
        tried = [tuple(map(int, words[2:])) for words in cluster.ledger.of("tried") if int(words[1]) == one.number]
        assert tried == [(attempt, 1) for attempt in (1, 2, 3, 4)]
        assert [attempt.error for attempt in one.record().attempts] == [f"attempt {n}" for n in (1, 2, 3)]
        assert {other.number: cluster.ledger.count("tried", other.number) for other in others} == {
            other.number: 1 for other in others
        }
