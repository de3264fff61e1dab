"""Replicas that must confirm, Sentinels and a cluster: real servers, and a real worker on each kind of address."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from onserver import execute_on_server
from onserver.errors import BrokerUnavailable
from onserver.redis.address import parse
from onserver.redis.answers import Unconfirmed
from onserver.redis.link import Link
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.testing.cluster import Cluster, open_cluster
from onserver.testing.proxy import RUNS, Proxy
from onserver.testing.wait import wait_for
from tests.cluster.jobs import TASKS
from tests.topologies import HOST, Node, cluster_nodes, primary_and_replicas, sentinels

#: How far numbers move on when a server finds that it has another Redis than before.
MOVED_ON = 1_000_000


def start(store: Store, procedure: str = "jobs.work") -> int:
    """Put one process, and answer its number."""
    words: list[Word] = ["", store.now_ms(), "default", 5, 0, "", "", "", "", 0, "t", procedure, "b", b""]
    number: int = store.run("put", store.nonce(), *words)[0]
    return number


def state(link: Link, key: str) -> bytes | None:
    """The state of the process whose record is `key`, read through this link."""
    found: bytes | None = link.command("HGET", key, "s")
    return found


def test_replicas(tmp_path: Path) -> None:
    """One start-up for all that needs a replica: it takes longer than what is asked of it."""
    with primary_and_replicas(tmp_path) as (primary, replica):
        a_start_waits_until_the_replica_has_it(primary, replica)
        a_start_that_no_replica_confirms_ends_in_a_named_error(primary, replica)
        what_was_sent_again_is_not_confirmed_by_its_new_connection(primary, replica)
        a_worker_holds_what_it_ended_until_the_replica_has_it(primary, replica, tmp_path)
        a_replica_that_was_killed_confirms_nothing(primary, replica)


def confirming(address: str, seconds: float = 3.0) -> Store:
    """A store whose writes count when one replica has them."""
    return Store(parse(address), f"t{secrets.token_hex(4)}", command_seconds=seconds, wait_for_replicas=1)


def a_start_waits_until_the_replica_has_it(primary: Node, replica: Node) -> None:
    with confirming(f"redis://{primary}", 20) as store, Link(parse(f"redis://{replica}")) as there:
        for _ in range(50):
            number = start(store)
            assert state(there, store.key(f"p:{number}")) == b"queued"
        replica.freeze()
        thaw = _later(0.5, replica.thaw)
        began = time.monotonic()
        number = start(store)
        assert time.monotonic() - began > 0.4, "it did not wait for the replica"
        thaw()
        assert state(there, store.key(f"p:{number}")) == b"queued"


def _later(seconds: float, act: Callable[[], object]) -> Callable[[], None]:
    """Act in some seconds, in a child, which needs nothing of this program; the answer waits for it."""
    child = os.fork()
    if child == 0:
        time.sleep(seconds)
        act()
        os._exit(0)
    return lambda: _ignore(os.waitpid(child, 0))


def _ignore(_: object) -> None:
    return


def a_start_that_no_replica_confirms_ends_in_a_named_error(primary: Node, replica: Node) -> None:
    with confirming(f"redis://{primary}") as store:
        start(store)
        replica.freeze()
        began = time.monotonic()
        with pytest.raises(Unconfirmed) as unconfirmed:
            start(store)
        assert time.monotonic() - began < 30  # the deadline is 3 s
        replica.thaw()
        text = str(unconfirmed.value)
        assert f"redis://{primary}/0 wrote it, but 0 of 1 replicas confirmed it (1 try in " in text
        assert "a fail-over loses it" in text
        assert unconfirmed.value.answered, "a worker that hears this ends nothing"
        assert store.command("HGET", store.key("p:2"), "s") == b"queued", "and it is there"
        assert start(store) == 3


def what_was_sent_again_is_not_confirmed_by_its_new_connection(primary: Node, replica: Node) -> None:
    with Proxy(parse(f"redis://{primary}")) as proxy, confirming(proxy.address.url(), 4) as store:
        start(store)
        replica.freeze()
        proxy.swallow_reply(matching=lambda words: words[0] in RUNS)
        with pytest.raises(Unconfirmed):
            start(store)
        replica.thaw()
        assert proxy.broken == 1
        assert start(store) == 3, "sent twice, it was done once"


def a_worker_holds_what_it_ended_until_the_replica_has_it(primary: Node, replica: Node, folder: Path) -> None:
    settings = {"wait_for_replicas": 1, "redis_command_seconds": 2}
    with open_cluster(f"redis://{primary}", folder, tasks=TASKS, settings=settings) as cluster, cluster.as_current():
        cluster.start(executors=1)
        process = execute_on_server("jobs.work", 7, 0.3)
        cluster.wait_for(lambda: cluster.ledger.of("started"))
        replica.freeze()
        cluster.wait_for(lambda: cluster.ledger.of("ended"))
        cluster.wait_for(lambda: "replicas confirmed it" in cluster.worker(0).output, 60)
        replica.thaw()
        assert process.result(timeout=60) == 7
        assert execute_on_server("jobs.work", 8).result(timeout=60) == 8
        assert cluster.ledger.count("started") == 2, "a run was begun twice"
        assert cluster.worker(0).alive


def a_replica_that_was_killed_confirms_nothing(primary: Node, replica: Node) -> None:
    with confirming(f"redis://{primary}") as store:
        start(store)
        replica.signal(signal.SIGKILL)
        with pytest.raises(Unconfirmed, match="0 of 1 replicas"):
            start(store)


def address_of(nodes: list[Node]) -> str:
    """Where the Sentinels say that the service `shop` is."""
    return f"redis+sentinel://{','.join(map(str, nodes))}/shop"


def work_goes_on(cluster: Cluster, numbers: set[int], count: int = 5) -> None:
    """Start processes, each under a number that was not given before, and have their results."""
    processes = [execute_on_server("jobs.work", n) for n in range(count)]
    for n, process in enumerate(processes):
        assert process.number not in numbers
        numbers.add(process.number)
        cluster.wait_for(lambda process=process: process.state == "done", 60)  # type: ignore[misc]
        assert process.result(timeout=60) == n


def test_sentinels(tmp_path: Path) -> None:
    """A fail-over that is asked for, and then one because the primary stands still, under one worker."""
    with primary_and_replicas(tmp_path, 2) as nodes, sentinels(tmp_path, nodes[0], 2) as watching:
        watching[0].freeze()  # the first of the address answers nobody: it is passed over
        settings = {"redis_command_seconds": 2, "redis_connect_seconds": 1}
        with (
            open_cluster(address_of(watching), tmp_path, tasks=TASKS, settings=settings) as cluster,
            cluster.as_current(),
        ):
            numbers: set[int] = set()
            cluster.start(executors=2)
            work_goes_on(cluster, numbers)
            cluster.storage.counter("kept").add(5)
            key = cluster.server.store.key("st:e:kept")
            for node in nodes[1:]:
                wait_for(lambda node=node: node.command("HGET", key, "v"), what="a copy of it")  # type: ignore[misc]
            watching[0].thaw()

            first = primary_of(watching)
            assert watching[1].command("SENTINEL", "FAILOVER", "shop") == b"OK"
            # the old primary lives and takes writes, which nobody will have: it must be left all the same
            second = others_follow(cluster, nodes, watching, not_at=first)
            work_goes_on(cluster, numbers)
            assert max(numbers) > MOVED_ON
            assert cluster.storage.counter("kept").add(1) == 6
            for node in nodes:
                if node.port not in (first, second):
                    wait_for(lambda node=node: node.command("HGET", key, "v") == b"6", what="a copy of it")  # type: ignore[misc]

            next(node for node in nodes if node.port == second).freeze()
            others_follow(cluster, nodes, watching, not_at=second)
            work_goes_on(cluster, numbers)
            assert max(numbers) > 2 * MOVED_ON
            assert cluster.storage.counter("kept").value == 6
            assert cluster.worker(0).alive


def primary_of(watching: list[Node]) -> int:
    """The port of the primary, as a Sentinel has it."""
    return int(watching[1].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop")[1])


def others_follow(cluster: Cluster, nodes: list[Node], watching: list[Node], not_at: int) -> int:
    """Wait until this program speaks to the new primary; answers its port."""
    port = wait_for(lambda: (found := primary_of(watching)) != not_at and found, 60, "a new primary")
    run = next(node for node in nodes if node.port == port).info("server")["run_id"]
    wait_for(lambda: run in _said(cluster.server.store, "INFO", "server"), 60, "this program to be there")
    return int(port)


def _said(store: Store, *words: str) -> str:
    """The answer, or nothing while there is none: a call that meets the frozen primary ends in its deadline."""
    try:
        return str(store.command(*words).decode())
    except BrokerUnavailable:
        return ""


def test_cluster(tmp_path: Path) -> None:
    """One start-up for all that needs a cluster."""
    with cluster_nodes(tmp_path) as nodes:
        a_store_finds_the_node_of_its_slot(nodes)
        a_worker_runs_and_goes_with_its_slot(nodes, tmp_path)


def owner_of(nodes: list[Node], key: str) -> Node:
    """The node that has the slot of a key, as all nodes see it."""
    slot = nodes[0].command("CLUSTER", "KEYSLOT", key)
    for start, end, (_, port, *_), *_ in nodes[0].command("CLUSTER", "SLOTS"):
        if start <= slot <= end:
            return next(node for node in nodes if node.port == port)
    raise AssertionError(f"slot {slot} is nobody's")


def a_store_finds_the_node_of_its_slot(nodes: list[Node]) -> None:
    """Through each wrong node, and also when the one that is asked first takes connections and answers nothing."""
    for name in ("shop", "depot", "till"):
        with Store(parse(f"redis+cluster://{nodes[0]}"), name) as store:
            owner = owner_of(nodes, store.prefix)
            assert start(store) == 1
            wrong = [node for node in nodes if node is not owner]
            for node in wrong:
                with Store(parse(f"redis+cluster://{node},{owner}"), name) as other:
                    assert other.command("HGET", other.key("p:1"), "s") == b"queued"
            wrong[0].freeze()
            address = parse(f"redis+cluster://{wrong[0]},{wrong[1]}")
            with Store(address, name, connect_seconds=0.3, command_seconds=3) as other:
                assert start(other) == 2
            wrong[0].thaw()


def a_worker_runs_and_goes_with_its_slot(nodes: list[Node], folder: Path) -> None:
    with open_cluster(f"redis+cluster://{nodes[1]}", folder, tasks=TASKS) as cluster, cluster.as_current():
        cluster.start(executors=2)
        store, numbers = cluster.server.store, set[int]()
        work_goes_on(cluster, numbers)
        with cluster.storage.use("nested") as nested:
            nested["mine"] = 1
        execute_on_server("jobs.increment", 3).result(timeout=60)
        assert cluster.storage["nested"] == {"deep": {"count": 3}, "mine": 1}
        assert execute_on_server("jobs.count", "hits").result(timeout=60) == 1
        assert cluster.storage.counter("hits").add(1) == 2

        source = owner_of(nodes, store.prefix)
        target = next(node for node in nodes if node is not source)
        move_slot(source, target, nodes, store.prefix)
        assert owner_of(nodes, store.prefix) is target
        work_goes_on(cluster, numbers)
        assert execute_on_server("jobs.count", "hits").result(timeout=60) == 3
        assert cluster.worker(0).alive, cluster.worker(0).output


def move_slot(source: Node, target: Node, nodes: list[Node], key: str) -> None:
    """Move the slot of a key and all that is in it, as `--cluster reshard` does."""
    slot = source.command("CLUSTER", "KEYSLOT", key)
    source_id, target_id = (node.command("CLUSTER", "MYID").decode() for node in (source, target))
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, 100):
        source.command("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
    for node in (target, source, *nodes):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", target_id)
