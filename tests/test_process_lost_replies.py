"""A reply that is lost on the way to a client: nothing is started twice, nothing is counted twice, nothing is lost."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from onserver import Server, execute_many, execute_on_server, procedure, wait_all
from onserver.errors import BrokerUnavailable, MaintenanceMode, ProcessTimeout
from onserver.process.maintenance import begin_maintenance
from onserver.redis.address import Address
from onserver.redis.answers import ScriptRefused
from onserver.redis.scripts import script
from onserver.testing import OnServer
from onserver.testing.clock import advance
from onserver.testing.proxy import RUNS, Proxy, Words
from onserver.testing.wait import wait_for
from tests.floor import Floor, open_floor
from tests.inline_worker import behind, make_server, working

ran: list[int] = []


@procedure
def note(n: int) -> int:
    ran.append(n)
    return n


@pytest.fixture
def proxy(redis_address: Address, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(redis_address, tmp_path / "proxy") as made:
        yield made


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Server]:
    """A program behind the proxy; the worker is beside it, on the real Redis."""
    ran.clear()
    with behind(proxy) as made:
        yield made


def start(_: Server) -> None:
    assert execute_on_server(note, 1).result(timeout=60) == 1
    assert ran == [1]


def start_many(_: Server) -> None:
    assert [p.result(timeout=60) for p in execute_many(note, range(250))] == list(range(250))
    assert sorted(ran) == list(range(250))


def start_very_many(_: Server) -> None:
    """So many that the next hundred are sent before the last are answered."""
    assert wait_all(execute_many(note, range(750)), timeout=60) == list(range(750))
    assert sorted(ran) == list(range(750))


def count(client: Server) -> None:
    assert [client.storage.counter("n").add(2) for _ in range(3)] == [2, 4, 6]


def change(client: Server) -> None:
    for _ in range(3):
        with client.storage.use("x") as x:
            x["n"] = x.get("n", 0) + 1
    assert client.storage["x"] == {"n": 3}
    assert client.storage.version("x") == 3


def give_up(client: Server) -> None:
    with pytest.raises(ZeroDivisionError), client.storage.use("x"):
        raise ZeroDivisionError
    with client.storage.use("x", timeout=60) as x:
        x["n"] = 1


CASES: list[tuple[str, int, Callable[[Server], None]]] = [
    ("put", 1, start), ("put_many", 1, start_many), ("put_many", 2, start_many),
    *(("put_many", nth, start_very_many) for nth in (1, 2, 3, 5, 8)), ("await", 1, start), ("add", 1, count),
    ("add", 2, count), ("join", 1, change), ("enlist", 1, change), ("lock", 1, change), ("lock", 2, change),
    ("commit", 1, change), ("commit", 2, change), ("unlock", 1, give_up), ("greet", 1, start),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "nth", "scene"), CASES, ids=[f"{name}-{nth}-{scene.__name__}" for name, nth, scene in CASES]
)
def test_a_lost_reply(client: Server, proxy: Proxy, name: str, nth: int, scene: Callable[[Server], Any]) -> None:
    sha = script(name).sha

    def is_it(words: Words) -> bool:
        return words[0] in RUNS and words[1] == sha

    proxy.swallow_reply(nth, matching=is_it)
    scene(client)
    assert proxy.broken == 1


def test_the_clock_of_a_test_is_moved_once_by_each_who_moves_it(redis_address: Address, proxy: Proxy) -> None:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{proxy.address.path}") as client:
        store = client.store
        store.command("PING")
        proxy.swallow_reply(matching=lambda words: words[0] in RUNS)
        advance(store, 10)
        assert proxy.broken == 1
        assert store.command("GET", store.key("clock")) == b"10000"
        with ThreadPoolExecutor(8) as several:
            list(several.map(lambda seconds: advance(store, seconds), [1, -1, 2] * 50))
        assert store.command("GET", store.key("clock")) == b"110000"


async def test_an_end_that_was_told_to_a_dead_connection_is_awaited_all_the_same(client: Server, proxy: Proxy) -> None:
    assert await execute_on_server(note, 1) == 1
    with client.as_current():
        process = execute_on_server(note, 2)  # with a token: it is not looked up before it is awaited
        proxy.black_hole(new=False)
        wait_for(lambda: ran == [1, 2])
        assert await asyncio.wait_for(process, 60) == 2


@pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")
def test_a_wait_that_is_over_asks_a_silent_redis_for_no_longer_than_a_second(
    redis_address: Address, proxy: Proxy
) -> None:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{proxy.address.path}") as client, client.as_current():
        waits = execute_on_server(note, 1)
        with pytest.raises(ProcessTimeout) as timeout:
            waits.result(timeout=0.01)  # it is connected, and registered to be told
        assert timeout.value.state == "queued"
        client.store.command_seconds = 300.0
        proxy.black_hole()
        began = monotonic()
        with pytest.raises(BrokerUnavailable, match="no answer"):
            waits.result(timeout=0.2)
        assert monotonic() - began < 60
        proxy.heal()
        with pytest.raises(ProcessTimeout):
            waits.result(timeout=0.01)


@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8])
def test_the_worker_of_a_test_loses_no_claim(redis_address: Address, proxy: Proxy, nth: int) -> None:
    ran.clear()
    sha, name = script("step").sha, f"t{uuid4().hex[:8]}"
    proxy.swallow_reply(nth, matching=lambda words: words[0] in RUNS and words[1] == sha)
    with (
        make_server(name, f"unix://{proxy.address.path}") as behind,
        working(behind),
        make_server(name, f"unix://{redis_address.path}") as client,
        client.as_current(),
    ):
        processes = [execute_on_server(note, n) for n in range(6)]
        assert [process.result(timeout=60) for process in processes] == list(range(6))
        assert [process.record().deliveries for process in processes] == [0] * 6
    assert ran == list(range(6))
    assert proxy.broken == 1


@pytest.mark.parametrize("nth", [1, 2])
def test_the_worker_of_a_test_loses_nothing_that_was_handed_to_it(
    redis_address: Address, proxy: Proxy, nth: int
) -> None:
    ran.clear()
    name = f"t{uuid4().hex[:8]}"
    proxy.swallow_reply(nth, matching=lambda words: words[0] == b"BLMPOP")
    with (
        make_server(name, f"unix://{proxy.address.path}") as behind,
        working(behind),
        make_server(name, f"unix://{redis_address.path}") as client,
        client.as_current(),
    ):
        for n in range(3):
            assert execute_on_server(note, n).result(timeout=60) == n
    assert ran == list(range(3))
    assert proxy.broken == 1


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_processes_that_run_where_they_are_started_are_run_once(redis_address: Address, proxy: Proxy, nth: int) -> None:
    ran.clear()
    sha = script("step").sha
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{proxy.address.path}") as server, server.as_current():
        here = OnServer(server)
        here.open()
        try:
            proxy.swallow_reply(nth, matching=lambda words: words[0] in RUNS and words[1] == sha)
            assert [execute_on_server(note, n).result(timeout=0) for n in range(3)] == [0, 1, 2]
        finally:
            here.close()
    assert ran == [0, 1, 2]
    assert proxy.broken == 1


def too_late(floor: Floor, _holder: str) -> None:
    floor.store.command("INCRBY", floor.store.key("clock"), 31_000)


def closed(floor: Floor, _holder: str) -> None:
    with floor.server.as_current():
        begin_maintenance("month-end")


def dead(floor: Floor, holder: str) -> None:
    floor.member.bury(holder)


def deserted(floor: Floor, holder: str) -> None:
    floor.member.bury(holder)
    floor.executor("other")


def restored(floor: Floor, _holder: str) -> None:
    floor.restoring()


def unchanged(_floor: Floor, _holder: str) -> None:
    return


@pytest.mark.parametrize("kind", ["plain", "named", "unknown"])
@pytest.mark.parametrize(
    "meanwhile", [unchanged, too_late, closed, dead, deserted, restored], ids=lambda one: one.__name__
)
def test_what_is_sent_twice_is_answered_as_the_first_time(
    redis_address: Address, meanwhile: Callable[[Floor, str], None], kind: str
) -> None:
    with open_floor(redis_address) as floor:
        store, holder = floor.store, floor.executor().holder
        writer = holder if meanwhile is dead else ""
        name, unique = ("night", "1") if kind == "named" else ("", "")
        runs, served = ("nothing", b"noproc") if kind == "unknown" else (note.name, b"ok")
        words: list[Any] = [store.nonce(), writer, store.now_ms(), "default", 5, 0, name, unique, "", "", 0]
        words += ["t", runs, "b", b""]
        first = store.run("put", *words)
        meanwhile(floor, holder)
        assert store.run("put", *words) == first == [1, b"new", served]
        assert [int(n) for n in store.command("ZRANGE", store.key(f"line:q default {runs}"), 0, -1)] == [1]
        store.command("DEL", store.key("cut"))
        assert not floor.orphans()


@pytest.mark.parametrize("named", ["", "night"], ids=["plain", "named"])
def test_what_was_refused_is_answered_as_refused_and_may_be_sent_again(redis_address: Address, named: str) -> None:
    """Sent again with the same nonce, since the answer was lost: nobody is told that there is what there is not."""
    with open_floor(redis_address) as floor:
        store = floor.store
        words: list[Any] = [store.nonce(), "", store.now_ms(), "default", 5, 0, named, "", "", "", 0]
        words += ["t", note.name, "b", b""]
        floor.restoring()  # who restores lets nobody else write
        for _ in range(2):
            with pytest.raises(MaintenanceMode, match="being restored"):
                store.run("put", *words)
        store.command("DEL", store.key("cut"))
        number = store.run("put", *words)[0]
        assert floor.state(number) == "queued"
        assert store.run("put", *words)[0] == number
        assert store.command("ZCARD", store.key(f"line:q default {note.name}")) == 1
        broken = [store.nonce(), *words[1:], "b"]  # a field without a value, as a defect might send it
        for _ in range(2):
            with pytest.raises(ScriptRefused):
                store.run("put", *broken)
        assert not floor.orphans()
