"""What speed is made of, counted: round trips, commands of Redis, instructions of Python. No time is measured here.

A figure that grows makes every process slower on each machine; a clock would only say so on a quiet one. Where a change
is worth what it costs, its figure is raised here, and `docs/performance.md` says why.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from onserver import execute_many, execute_on_server, registry, wait_all
from onserver.life.executor import MOST_AHEAD, SHORT_RUNS
from onserver.process.declare import procedure
from onserver.process.pump import Pump
from onserver.redis.address import Address, parse
from onserver.redis.embedded import Embedded
from onserver.redis.scripts import names, script
from onserver.redis.store import Store
from onserver.server import Server
from onserver.testing.cluster import Cluster, open_cluster
from onserver.testing.proxy import RUNS, Proxy
from onserver.testing.wait import wait_for
from onserver.views.finding import held
from tests.cluster.jobs import TASKS
from tests.commandstats import commands
from tests.floor import Floor, open_floor
from tests.inline_worker import make_server

ROOT = Path(__file__).parents[1]
#: No beat comes while something is counted.
SILENT = {"member.lease_seconds": 3600, "member.beat_seconds": 600}
ORDINARY = {"member.lease_seconds": 10, "member.beat_seconds": 2}
MANY = 50
IDLE_SECONDS = 30.0


@procedure(name="counts.noop")
def noop(number: int) -> int:
    """Never run: the floor ends it."""
    return number


@pytest.fixture
def floor(redis_address: Address) -> Iterator[Floor]:
    """With nothing declared but `noop`: that others have limits is more to look at."""
    everything = registry.kept()
    registry.keep({key: one for key, one in everything.items() if "counts.noop" in key})
    assert registry.kept()
    with open_floor(redis_address) as floor:
        yield floor
    registry.keep(everything)


@contextmanager
def watched(redis: str, folder: Path, settings: dict[str, int]) -> Iterator[tuple[Cluster, Proxy, Proxy]]:
    """A cluster whose client and whose workers are each behind a proxy that keeps what they send."""
    with (
        Proxy(parse(redis), folder / "client") as of_client,
        Proxy(parse(redis), folder / "workers") as of_workers,
        open_cluster(f"unix://{folder / 'client'}", folder, tasks=TASKS, settings=settings) as cluster,
        cluster.as_current(),
    ):
        cluster.variables["ONSERVER_REDIS"] = f"unix://{folder / 'workers'}"
        yield cluster, of_client, of_workers


def said(commands: Sequence[Any], since: int = 0) -> Counter[str]:
    """What was sent: scripts by their names, other commands by theirs."""
    known = {script(name, testing=testing).sha: name for name in names() for testing in (True, False)}
    return Counter(known.get(words[words[0] in RUNS], words[0].decode()) for words in commands[since:])


def waits(proxy: Proxy) -> bool:
    """Whether an executor has nothing to do and waits to be given something."""
    return proxy.commands[-1][0] == b"BLMPOP"


# ---- round trips


def test_a_call_and_its_result_are_three_round_trips(onserver_redis: str, tmp_path: Path) -> None:
    with watched(onserver_redis, tmp_path, SILENT) as (cluster, of_client, of_workers):
        cluster.start(1, executors=1)
        assert execute_on_server("jobs.work", 0).result(timeout=60) == 0  # all are connected
        wait_for(lambda: waits(of_workers))
        client, workers = len(of_client.commands), len(of_workers.commands)
        for n in range(MANY):
            assert execute_on_server("jobs.work", n).result(timeout=60) == n
        wait_for(lambda: waits(of_workers))
        assert said(of_client.commands, client) == {"put": MANY}
        assert said(of_workers.commands, workers) == {"step": MANY, "BLMPOP": MANY}


def test_an_awaited_call_asks_no_more_and_goes_through_no_other_thread(
    onserver_redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops: list[object] = []

    async def call(n: int) -> None:
        assert await asyncio.wait_for(execute_on_server("jobs.work", n), 60) == n

    async def calls() -> None:
        for n in range(MANY):
            await call(n)

    with watched(onserver_redis, tmp_path, SILENT) as (cluster, of_client, of_workers):
        cluster.start(1, executors=1)
        pump = Server.current().part(Pump)
        submit = pump._looker.submit

        def counted(*words: Any) -> Future[Any]:
            hops.append(words)
            return submit(*words)

        monkeypatch.setattr(pump._looker, "submit", counted)
        asyncio.run(call(0))  # all are connected
        wait_for(lambda: waits(of_workers))
        assert len(hops) == 1
        client = len(of_client.commands)
        asyncio.run(calls())
        assert said(of_client.commands, client) == {"put": MANY, "greet": 1, "SUBSCRIBE": 1}  # the loop has ears now
        assert len(hops) == 2


def test_a_busy_executor_makes_one_round_trip_for_a_process(onserver_redis: str, tmp_path: Path) -> None:
    with watched(onserver_redis, tmp_path, SILENT) as (cluster, of_client, of_workers):
        cluster.start(1, executors=1)
        wait_all(execute_many("jobs.work", [0, 0]), timeout=60)  # all are connected
        wait_for(lambda: waits(of_workers))
        client, workers = len(of_client.commands), len(of_workers.commands)
        wait_all(execute_many("jobs.work", range(MANY)), timeout=60)
        wait_for(lambda: waits(of_workers))
        assert said(of_client.commands, client) == {"put_many": 1}
        # the first one is handed over; each step settles one and claims the next; some more at the end, where those
        # that were sent ahead found nothing, and one after each run that was long in a row of short ones
        sent = said(of_workers.commands, workers)
        assert MANY <= sent["step"] <= MANY + 1 + MOST_AHEAD + MANY // (SHORT_RUNS + 1)
        assert sent == {"step": sent["step"], "BLMPOP": 1}


def test_a_use_runs_two_scripts(redis_address: Address, tmp_path: Path) -> None:
    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server("counts", f"unix://{tmp_path / 'proxy'}") as server,
    ):
        with server.storage.use("entry") as entry:  # joins, and writes it for the first time
            entry["n"] = 0
        before = len(proxy.commands)
        for _ in range(MANY):
            with server.storage.use("entry") as entry:
                entry["n"] += 1
        assert said(proxy.commands, before) == {"lock": MANY, "commit": MANY}


def test_a_counter_is_one_script_and_a_cached_read_none(redis_address: Address, tmp_path: Path) -> None:
    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server("counts", f"unix://{tmp_path / 'proxy'}") as server,
    ):
        storage = server.storage
        with storage.use("entry") as entry:
            entry["n"] = 1
        storage.counter("hits").add(1)
        assert storage["entry"]["n"] == 1  # from here on it is told of changes
        before = len(proxy.commands)
        for _ in range(MANY):
            storage.counter("hits").add(1)
        assert said(proxy.commands, before) == {"add": MANY}
        before = len(proxy.commands)
        for _ in range(MANY):
            assert storage["entry"]["n"] == 1
        assert said(proxy.commands, before) == {}


@pytest.mark.long
def test_an_idle_worker_makes_less_than_two_round_trips_a_second(tmp_path: Path) -> None:
    with (
        Embedded(tmp_path / "redis", linger_seconds=0) as embedded,
        open_cluster(f"unix://{embedded.start().path}", tmp_path, tasks=TASKS, settings=ORDINARY) as cluster,
        cluster.as_current(),
    ):
        cluster.start(1, executors=2)
        assert execute_on_server("jobs.work", 1).result(timeout=60) == 1
        store = cluster.server.store
        before, began = trips(store), monotonic()
        wait_for(lambda: monotonic() - began > IDLE_SECONDS, 2 * IDLE_SECONDS)
        # three a beat (the lease, the silent, each executor asks again), six more once a lease; one is this program's
        assert trips(store) - before <= 55


def trips(store: Store) -> int:
    """How often Redis has read from a connection: once for each round trip, however many commands it brought."""
    found = re.search(r"total_reads_processed:(\d+)", store.command("INFO", "stats").decode())
    assert found
    return int(found[1])


# ---- what Redis does for a process


def test_what_is_put_behind_others_is_few_commands_in_redis(floor: Floor) -> None:
    floor.executor()  # whoever has nothing to do was given something: there are others before
    floor.put(noop, 0)
    before = commands(floor.store)
    for n in range(MANY):
        floor.put(noop, n)
    assert per_process(floor, before) <= 8


def test_settling_one_and_claiming_the_next_is_few_commands_in_redis(floor: Floor) -> None:
    executor = floor.executor()
    floor.many(noop, [(n,) for n in range(MANY + 2)])
    number = executor.end(executor.claim(), claim=True)
    before = commands(floor.store)
    for _ in range(MANY):
        number = executor.end(number, claim=True)
    assert per_process(floor, before) <= 14


def test_a_process_for_an_idle_executor_is_few_commands_in_redis(floor: Floor) -> None:
    executor = floor.executor()
    assert executor.claim() == 0
    before = commands(floor.store)
    for n in range(MANY):
        floor.put(noop, n)
        assert executor.end(executor.given(), claim=True) == 0
    assert per_process(floor, before) <= 27


def test_what_few_of_many_hold_is_found_without_asking_each(floor: Floor) -> None:
    executors = floor.executors(200)
    number = floor.put(noop, 0)
    assert executors[150].claim() == number
    before = commands(floor.store)
    assert held(floor.store) == [number]
    assert (commands(floor.store) - before).total() <= 1 + 4 + 64


def per_process(floor: Floor, before: Counter[str]) -> float:
    """How many commands each of so many took; in the report of a failure they are named."""
    ran = commands(floor.store) - before
    print({name: count / MANY for name, count in ran.items()})
    return ran.total() / MANY


# ---- what Python does for a process


def test_the_way_of_a_process_through_an_executor_is_few_instructions(redis_address: Address) -> None:
    command = [sys.executable, "-m", "tests.counted_executor", str(redis_address.path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counted: dict[str, dict[str, dict[str, int]]] = json.loads(done.stdout)
    for calls, instructions in ((found["calls"], found["instructions"]) for found in counted.values()):
        assert calls["call"] <= 127, calls
        assert calls["c_call"] <= 95, calls
        if sys.version_info[:2] == (3, 11):  # each version of Python has instructions of its own
            assert sum(instructions.values()) <= 2550, sorted(instructions.items(), key=lambda pair: -pair[1])
