"""What is told of a Redis that fails over, is frozen, takes no writes, or starts anew: real servers, three workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from onserver import execute_on_server
from onserver.life.event_kinds import checked
from onserver.life.events import Event, read_events, tell_own
from onserver.redis.address import unix_address
from onserver.redis.embedded import Embedded
from onserver.redis.store import Store
from onserver.testing.cluster import Cluster, open_cluster
from onserver.testing.wait import wait_for
from tests.cluster.happened import TASKS, events, heard
from tests.test_redis_topologies import address_of, primary_of
from tests.topologies import Node, primary_and_replicas, sentinels

#: Seconds within which work goes on after the death of a Redis.
BACK = 10.0


def told_once(cluster: Cluster, name: str) -> Event:
    """The one event of this name, which hooks that run once have heard once."""
    cluster.wait_for(lambda: heard(cluster, "once", name))
    (event,) = events(cluster, name)
    assert len(heard(cluster, "once", name)) == 1
    return event


@contextmanager
def three_workers(address: str, folder: Path) -> Iterator[Cluster]:
    settings = {"redis_command_seconds": 2, "redis_connect_seconds": 1}
    with open_cluster(address, folder, tasks=TASKS, settings=settings) as cluster, cluster.as_current():
        cluster.start(3, executors=1)
        assert execute_on_server("jobs.work", 0).result(timeout=60) == 0
        yield cluster


def test_a_fail_over_is_told_once_and_work_goes_on_within_ten_seconds(tmp_path: Path) -> None:
    with (
        primary_and_replicas(tmp_path, 2) as nodes,
        sentinels(tmp_path, nodes[0], 2) as watching,
        three_workers(address_of(watching), tmp_path) as cluster,
    ):
        store, before = cluster.server.store, primary_of(watching)
        first = read_events(store)
        for node in nodes[1:]:
            wait_for(lambda node=node: node.command("XLEN", store.key("events")) >= len(first))  # type: ignore[misc]
        nodes[0].signal(signal.SIGKILL)
        wait_for(lambda: primary_of(watching) != before, 60, "the Sentinels to agree on another")
        began = time.monotonic()
        process = cluster.wait_for(lambda: execute_on_server("jobs.work", 1))
        assert process.result(timeout=60) == 1
        assert time.monotonic() - began < BACK + 5, "the machine may be busy"

        over = told_once(cluster, "redis.failed_over")
        assert over.payload["run"] != over.payload["before"]
        lost, back = told_once(cluster, "redis.lost"), told_once(cluster, "redis.back")
        assert lost.at_ms < back.at_ms
        assert back.payload["seconds"] < BACK + 5
        assert not events(cluster, "redis.restarted")
        assert not events(cluster, "worker.dead"), "nobody is declared dead for a silence that Redis caused"
        assert [event.id for event in read_events(store)][: len(first)] == [event.id for event in first]
        assert all(worker.alive for worker in cluster.workers)


def test_a_frozen_and_a_demoted_redis_are_told_once_when_they_answer_again(tmp_path: Path) -> None:
    with (
        primary_and_replicas(tmp_path, 1) as (primary, other),
        three_workers(f"redis://{primary}", tmp_path) as cluster,
    ):
        primary.freeze()
        for worker in cluster.workers:
            cluster.wait_for(lambda worker=worker: "Redis does not answer" in worker.output)  # type: ignore[misc]
        primary.thaw()
        assert told_once(cluster, "redis.lost").payload["address"].startswith("redis://127.0.0.1")
        assert told_once(cluster, "redis.back").payload["seconds"] > 0
        assert not events(cluster, "redis.read_only")

        _replicate(primary, other)
        for worker in cluster.workers:
            cluster.wait_for(lambda worker=worker: worker.output.count("Redis does not answer") == 2)  # type: ignore[misc]
        cluster.wait_for(lambda: _refusals(primary) > 60)  # each worker has been refused again and again
        primary.command("REPLICAOF", "NO", "ONE")
        cluster.wait_for(lambda: heard(cluster, "once", "redis.read_only"))
        assert len(events(cluster, "redis.read_only")) == 1
        assert len(events(cluster, "redis.lost")) == len(events(cluster, "redis.back")) == 2
        assert execute_on_server("jobs.work", 2).result(timeout=60) == 2

        used = int(primary.info("memory")["used_memory"])
        primary.command("CONFIG", "SET", "maxmemory", int(used * 1.06))
        over = told_once(cluster, "redis.memory")
        assert over.payload["over"]
        assert over.payload["limit_bytes"] == int(used * 1.06)
        primary.command("CONFIG", "SET", "maxmemory", used * 3)
        cluster.wait_for(lambda: len(heard(cluster, "once", "redis.memory")) == 2)
        assert not events(cluster, "redis.memory")[1].payload["over"]


def _refusals(node: Node) -> int:
    """How many writes a node has refused because it is a replica."""
    return int(node.info("errorstats").get("errorstat_READONLY", "count=0").removeprefix("count="))


def _replicate(node: Node, other: Node) -> None:
    """Make a primary the replica of its own replica, with all that it had."""
    wait_for(lambda: node.info("replication")["master_repl_offset"] == other.info("replication")["master_repl_offset"])
    other.command("REPLICAOF", "NO", "ONE")
    node.command("REPLICAOF", "127.0.0.1", other.port)
    wait_for(lambda: node.info("replication").get("master_link_status") == "up", 60, "the link of the replica")


def test_order_and_ids_are_kept_across_a_restart_of_redis_which_is_told(tmp_path: Path) -> None:
    with Embedded(tmp_path, appendfsync="always", linger_seconds=0) as embedded:
        embedded.start()
        with Store(unix_address(str(embedded.home.socket)), "shop", testing=True) as store:
            for n in range(1010):
                tell_own(store, "many", {"n": n})
            before = read_events(store)
            first = _server_of(embedded)
            os.kill(first, signal.SIGKILL)
            wait_for(lambda: _server_of(embedded) not in (0, first), 60, "the keeper to start another")
            tell_own(store, "after", {})
            *kept, restarted, after = read_events(store)
            assert kept == before[2:]
            assert [event.payload["n"] for event in kept] == list(range(12, 1010))
            assert (restarted.name, after.name) == ("redis.restarted", "after")
            assert checked(restarted.name, restarted.payload) == 114
            assert _parts(kept[-1].id) < _parts(restarted.id) < _parts(after.id)
            with closing(store.link()) as another:
                another.command("PING")  # a new connection to the same Redis
            assert len(read_events(store)) == 1000
            assert [event.name for event in read_events(store)].count("redis.restarted") == 1


def _server_of(embedded: Embedded) -> int:
    running = embedded.running()
    return 0 if running is None else running.server


def _parts(identity: str) -> list[int]:
    return [int(part) for part in identity.split("-")]
