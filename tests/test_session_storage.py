"""Storage: reading, `use`, locks, counters, and what the cache may show."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from onserver import Server, Storage
from onserver.errors import (
    DeadlockDetected,
    LockLost,
    LockTimeout,
    NotInUse,
    NotShareable,
    SyncInAsyncError,
    TooLarge,
    VersionConflict,
)
from onserver.redis.address import Address
from onserver.settings import MemberSettings, Settings, StorageSettings
from onserver.testing.wait import wait_for


def make(address: Address, name: str, **storage: Any) -> Server:
    settings = Settings(
        name=name,
        redis=f"unix://{address.path}",
        member=MemberSettings(lease_seconds=4, beat_seconds=0.4),
        storage=StorageSettings(**storage),
    )
    return Server(settings=settings)


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make(redis_address, f"t{uuid4().hex[:8]}") as made:
        yield made


@pytest.fixture
def storage(server: Server) -> Storage:
    return server.storage


@pytest.fixture
def elsewhere(server: Server, redis_address: Address) -> Iterator[Storage]:
    """The same storage as another program sees it."""
    with make(redis_address, server.name) as other:
        server.make_current()
        yield other.storage


def fill(storage: Storage, **entries: Any) -> None:
    with storage.use() as root:
        root.update(entries)


def in_line(storage: Storage, key: str) -> list[str]:
    store = storage._store
    return [ticket.decode().split()[1] for ticket in store.command("ZRANGE", store.key(f"st:w:{key}"), 0, -1)]


class Thread(threading.Thread):
    """A thread whose outcome is asked for."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._answer: Any = None
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._call()
        except Exception as error:
            self._error = error

    def outcome(self) -> Any:
        self.join(60)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error
        return self._answer


# ---- reading and writing


def test_it_reads_as_a_mapping(storage: Storage) -> None:
    assert (len(storage), list(storage), storage.get("rates"), "rates" in storage) == (0, [], None, False)
    with pytest.raises(KeyError):
        storage["rates"]
    fill(storage, rates={"EUR": 1.1}, n=1, log=["a"])
    assert (len(storage), list(storage)) == (3, ["log", "n", "rates"])
    assert dict(storage) == {"rates": {"EUR": 1.1}, "n": 1, "log": ["a"]}
    assert storage.get("absent", 7) == 7
    assert storage.read("log", list[str]) == ["a"]


def test_values_that_were_read_cannot_be_written(storage: Storage) -> None:
    fill(storage, rates={"list": [1, {"a": 2}]})
    writes: list[Callable[[], Any]] = [
        lambda: storage["rates"].update(x=1),
        lambda: storage["rates"]["list"].append(3),
        lambda: storage["rates"]["list"][1].pop("a"),
    ]
    for write in writes:
        with pytest.raises(NotInUse):
            write()


def test_a_block_is_written_whole_and_counts_as_one_version(storage: Storage) -> None:
    with storage.use("rates") as rates:
        rates["EUR"] = 1.1
        rates["list"] = [1]
        rates["list"].append(2)
    assert storage["rates"] == {"EUR": 1.1, "list": [1, 2]}
    assert storage.version("rates") == 1
    with storage.use("rates"):
        pass
    assert storage.version("rates") == 1


def test_an_exception_writes_nothing(storage: Storage) -> None:
    fill(storage, rates={"EUR": 1.0})
    with pytest.raises(ZeroDivisionError), storage.use("rates") as rates:
        rates["EUR"] = 2.0
        raise ZeroDivisionError
    assert storage["rates"] == {"EUR": 1.0}
    with storage.use("rates", timeout=1) as rates:
        rates["EUR"] = 3.0
    assert storage["rates"] == {"EUR": 3.0}


def test_a_failed_inner_block_undoes_only_itself(storage: Storage) -> None:
    with storage.use("x") as x:
        x["outer"] = 1
        with pytest.raises(ZeroDivisionError), storage.use("x") as inner:
            inner["inner"] = 1
            raise ZeroDivisionError
        assert x == {"outer": 1}
    assert storage["x"] == {"outer": 1}


def test_what_a_block_handed_out_is_dead_after_it(storage: Storage) -> None:
    with storage.use("x") as x:
        x["list"] = [1]
        kept = x
    with pytest.raises(NotInUse):
        kept["list"] = []


def test_an_absent_entry_begins_as_what_was_asked_for(storage: Storage) -> None:
    with storage.use("log", list[str]) as log:
        log.append("first")
    assert storage["log"] == ["first"]
    with pytest.raises(NotShareable), storage.use("log", dict):
        raise AssertionError("it is a list")


def test_the_root_adds_replaces_and_removes(storage: Storage) -> None:
    fill(storage, a={"n": 1}, b=2)
    with storage.use() as root:
        assert sorted(root) == ["a", "b"]
        del root["b"]
        root["a"] = {"n": 2}
        root["c"] = [1]
        assert root.setdefault("c", []) == [1]
    assert dict(storage) == {"a": {"n": 2}, "c": [1]}


def test_the_root_waits_for_an_entry_that_it_replaces(storage: Storage) -> None:
    fill(storage, a={"n": 1})
    with storage.use("a") as a:
        other = Thread(lambda: fill(storage, a={"n": 100}))
        wait_for(lambda: in_line(storage, "a"))
        a["n"] = 2
    other.outcome()
    assert storage["a"] == {"n": 100}
    assert storage.version("a") == 3


def test_the_root_does_not_write_over_what_it_had_read_otherwise(storage: Storage, elsewhere: Storage) -> None:
    fill(storage, n=1)
    with pytest.raises(VersionConflict) as conflict, storage.use() as root:
        seen = root["n"]
        root["n"] = seen + 1
        elsewhere._store.run("add", "st:", "other", "", "s:1", 1)
        elsewhere._store.command("HINCRBY", elsewhere._store.key("st:e:n"), "n", 1)
    assert conflict.value.code == 3108


@pytest.mark.parametrize("name", ["", "x" * 256, 7])
def test_a_name_that_is_none_is_refused(storage: Storage, name: Any) -> None:
    with pytest.raises(NotShareable):
        fill(storage, ok=1) if name is None else storage.use(name)


def test_too_large_is_refused_by_name_with_size_and_limit(redis_address: Address) -> None:
    with make(redis_address, f"t{uuid4().hex[:8]}", max_entry_bytes=2000) as server:
        with pytest.raises(TooLarge, match=r"big.*2,?000"), server.storage.use("big") as big:
            big["text"] = "x" * 3000
        assert "big" not in server.storage


# ---- locks


def test_first_come_first_served(storage: Storage) -> None:
    fill(storage, log=[])

    def write(n: int) -> None:
        with storage.use("log", list[int]) as log:
            log.append(n)

    threads: list[Thread] = []
    with storage.use("log"):
        for n in range(8):
            threads.append(Thread(partial(write, n)))
            wait_for(lambda: len(in_line(storage, "log")) == n + 1)  # noqa: B023  # called at once
        order = in_line(storage, "log")
    for thread in threads:
        thread.outcome()
    assert len(set(order)) == 8
    assert storage["log"] == list(range(8))


def test_a_lock_that_does_not_come_in_time_tells_who_has_it(storage: Storage) -> None:
    with storage.use("x"):

        def wait() -> None:
            with storage.use("x", timeout=0.1):
                raise AssertionError

        with pytest.raises(LockTimeout) as late:
            Thread(wait).outcome()
        assert isinstance(late.value, TimeoutError)
        assert "Lock `x` not obtained in 0.1 s: held for" in str(late.value)
        assert in_line(storage, "x") == []


def test_two_that_wait_for_each_other_are_found_at_once(storage: Storage) -> None:
    fill(storage, x={}, y={})
    has_y = threading.Event()

    def other() -> str:
        with storage.use("y") as y:
            has_y.set()
            wait_for(lambda: in_line(storage, "y"))
            try:
                with storage.use("x"):
                    return "got both"
            except DeadlockDetected as error:
                y["told"] = str(error)
                return "told"

    with storage.use("x") as x:
        thread = Thread(other)
        has_y.wait(60)
        began = time.monotonic()
        with storage.use("y", timeout=60) as y:
            assert time.monotonic() - began < 30  # it was found, and did not wait for the end of its time
            x["done"] = True
            assert "would deadlock" in y["told"]
        assert thread.outcome() == "told"
    assert storage["x"] == {"done": True}


def test_a_circle_of_three_is_found(storage: Storage) -> None:
    fill(storage, a={}, b={}, c={})
    together = threading.Barrier(3)

    def take(first: str, second: str) -> str:
        with storage.use(first):
            together.wait(60)
            try:
                with storage.use(second, timeout=60):
                    return "done"
            except DeadlockDetected:
                return "deadlock"

    threads = [Thread(partial(take, *pair)) for pair in ("ab", "bc", "ca")]
    outcomes = [thread.outcome() for thread in threads]
    assert sorted(outcomes) == ["deadlock", "done", "done"]


def test_a_lock_that_was_taken_away_writes_nothing(storage: Storage, elsewhere: Storage) -> None:
    fill(storage, x={"n": 1})
    with pytest.raises(LockLost), storage.use("x") as x:
        x["n"] = 2
        assert elsewhere.unlock("x")
        with elsewhere.use("x", timeout=60) as taken:
            taken["n"] = 3
    assert storage["x"] == {"n": 3}


def test_the_lock_of_a_dead_program_falls(server: Server, storage: Storage) -> None:
    fill(storage, x={"n": 1})
    read, write = os.pipe()
    child = os.fork()
    if not child:
        block = storage.use("x")
        block.__enter__()
        os.write(write, b"!")
        os.kill(os.getpid(), 9)
    os.read(read, 1)
    os.waitpid(child, 0)
    dead = max(map(int, server.store.command("ZRANGE", server.store.key("members"), 0, -1)))
    server.store.run("bury_member", dead, 3, 60, "its program has ended", "")
    with storage.use("x", timeout=60) as x:
        x["n"] += 1
    assert storage["x"] == {"n": 2}


def test_a_client_may_hold_a_lock_only_so_long_when_others_wait(redis_address: Address) -> None:
    name = f"t{uuid4().hex[:8]}"
    with make(redis_address, name, client_hold_seconds=1) as server, make(redis_address, name) as other:
        fill(server.storage, x={"n": 1})
        with pytest.raises(LockLost), server.storage.use("x") as x:
            x["n"] = 2
            with other.storage.use("x", timeout=60) as taken:
                taken["n"] = 3
        assert server.storage["x"] == {"n": 3}


def test_a_lock_belongs_to_a_thread(storage: Storage) -> None:
    with storage.use("x"), pytest.raises(LockTimeout):
        Thread(lambda: storage.use("x", timeout=0.05).__enter__()).outcome()


async def test_in_a_loop_it_is_async_with(storage: Storage) -> None:
    with pytest.raises(SyncInAsyncError, match="async with"), storage.use("x"):
        raise AssertionError
    async with storage.use("x") as x:
        x["n"] = 1
    assert await storage.aget("x") == {"n": 1}
    assert await storage.counter("c").aadd(2) == 2


async def test_a_lock_belongs_to_a_task(storage: Storage) -> None:
    async def add() -> None:
        async with storage.use("x") as x:
            before = x.get("n", 0)
            await asyncio.sleep(0)
            x["n"] = before + 1

    await asyncio.gather(*(add() for _ in range(20)))
    assert storage["x"] == {"n": 20}


# ---- counters


def test_a_counter_is_an_entry_of_its_own_kind(storage: Storage) -> None:
    counter = storage.counter("n")
    assert (counter.value, "n" in storage) == (0, False)
    assert [counter.add(), counter.add(5), counter.add(-2)] == [1, 6, 4]
    assert (storage["n"], int(counter), list(storage), storage.version("n")) == (4, 4, ["n"], 3)
    with pytest.raises(NotShareable), storage.use("n"):
        raise AssertionError
    fill(storage, x={})
    with pytest.raises(NotShareable):
        storage.counter("x").add()
    with storage.use() as root:
        root["n"] = 10
    assert counter.add() == 11


@pytest.mark.parametrize("value", [2**53 - 1, 2**53, 2**63 - 2, -(2**53) - 2, -(2**63)])
def test_a_counter_is_exact_as_far_as_it_goes(storage: Storage, value: int) -> None:
    counter = storage.counter("n")
    assert [counter.add(value), counter.add(1), storage["n"]] == [value, value + 1, value + 1]


def test_a_counter_that_many_add_to(storage: Storage, elsewhere: Storage) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (storage if n % 2 else elsewhere).counter("n").add(), range(2000)))
    assert storage["n"] == elsewhere["n"] == 2000


def test_an_addition_that_is_sent_twice_counts_once(storage: Storage) -> None:
    words = ("st:", "n", "", "sender:1", 5)
    assert storage._store.run("add", *words) == storage._store.run("add", *words)
    assert storage["n"] == 5


# ---- the cache


def test_a_change_elsewhere_is_seen_within_a_beat(storage: Storage, elsewhere: Storage) -> None:
    fill(storage, x={"n": 0})
    assert storage["x"]["n"] == elsewhere["x"]["n"] == 0
    for n in range(1, 50):
        with elsewhere.use("x") as x:
            x["n"] = n
        assert elsewhere["x"]["n"] == n
        wait_for(lambda: storage["x"]["n"] == n, 60)  # noqa: B023  # called at once


def test_a_required_change_is_seen_at_once(storage: Storage, elsewhere: Storage, server: Server) -> None:
    fill(storage, x={"n": 0})
    for n in range(1, 300):
        assert storage["x"]["n"] == n - 1
        with elsewhere.use("x") as x:
            x["n"] = n
        storage.cache.require(int(server.store.command("HGET", server.store.key("server"), "change")))
        assert storage["x"]["n"] == n


def test_names_that_come_and_go_are_seen(storage: Storage, elsewhere: Storage) -> None:
    assert list(storage) == []
    fill(elsewhere, a=1)
    wait_for(lambda: list(storage) == ["a"], 60)
    with elsewhere.use() as root:
        del root["a"]
    wait_for(lambda: list(storage) == [], 60)


def test_a_child_reads_for_itself(storage: Storage) -> None:
    fill(storage, x={"n": 1})
    assert storage["x"]["n"] == 1
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with storage.use("x") as x:
            x["n"] += 1
        os.write(write, str(storage["x"]["n"]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"2"
    wait_for(lambda: storage["x"]["n"] == 2, 60)


def test_a_lost_connection_turns_the_cache_off_and_on(storage: Storage, server: Server, elsewhere: Storage) -> None:
    fill(storage, x={"n": 1})
    assert storage["x"]["n"] == 1
    server.store.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with elsewhere.use("x") as x:
        x["n"] = 2
    wait_for(lambda: storage["x"]["n"] == 2, 60)
