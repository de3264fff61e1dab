"""A loop that hears by itself how its processes end, and what becomes of its waits when it hears nothing more."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from itertools import count
from typing import Any

import pytest

from onserver import Process, Server, execute_many, execute_on_server, procedure
from onserver.process.ear import Ear
from onserver.process.inbox import UNREAD, Inbox
from onserver.process.pump import Pump
from onserver.redis.address import Address
from onserver.testing.proxy import Proxy
from onserver.testing.wait import wait_for
from tests.inline_worker import behind

gate = threading.Event()
tried: list[int] = []


class Request:
    """What the first who awaits has in its context."""


@procedure
def same(n: int) -> int:
    return n


@procedure
def waits(n: int) -> int:
    assert gate.wait(60)
    return n


@procedure
def fails_once(n: int) -> int:
    tried.append(n)
    if len(tried) == 1:
        raise ValueError("the first time")
    assert gate.wait(60)
    return n


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Server]:
    """A program behind the proxy; the worker is beside it, on the real Redis."""
    gate.clear()
    with behind(proxy) as made:
        yield made
        gate.set()


async def ear_of(server: Server) -> Ear:
    """Await until the loop has an ear, and answer it."""
    pump = server.part(Pump)
    while (ear := pump.ear()) is None:
        assert await (await same.astart(1)) == 1
    return ear


async def heard(ear: Ear, process: Process[Any]) -> Any:
    """Await a process that was put with a token of this ear."""
    assert ear.inbox.will_hear(process)
    return await asyncio.wait_for(process, 60)


def let_go(kept: Sequence[weakref.ref[Any]]) -> bool:
    """Whether nothing is left of these."""
    gc.collect()
    return all(one() is None for one in kept)


def _refused(*_: object, **__: object) -> None:
    raise AssertionError("a thread was used")


def looker_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loop look up nothing from here on."""
    monkeypatch.setattr(server.part(Pump)._looker, "submit", _refused)


def pump_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loop do without threads from here on."""
    looker_refused(server, monkeypatch)
    monkeypatch.setattr(server.part(Inbox), "turn", _refused)


async def test_ends_are_heard_without_a_thread(client: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = await ear_of(client)
    pump_refused(client, monkeypatch)
    for n in range(20):
        assert await heard(ear, await same.astart(n)) == n
        assert await heard(ear, execute_on_server(same, n)) == n
    started = await asyncio.gather(*(same.astart(n) for n in range(200)))
    assert await asyncio.gather(*started) == list(range(200))
    assert await asyncio.gather(*execute_many(same, range(200))) == list(range(200))


async def test_a_wait_that_takes_long_is_looked_up_and_ends(client: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = await ear_of(client)
    looked = asyncio.Event()
    first_look = Inbox.first_look
    loop = asyncio.get_running_loop()

    def noted(inbox: Inbox, one: Any) -> bool:
        ended = first_look(inbox, one)
        loop.call_soon_threadsafe(looked.set)
        return ended

    monkeypatch.setattr(Inbox, "first_look", noted)
    late = asyncio.ensure_future(heard(ear, await waits.astart(1)))
    await asyncio.wait_for(looked.wait(), 60)
    assert not late.done()
    gate.set()
    assert await late == 1


@pytest.mark.parametrize("how", ["reset", "black_hole"])
async def test_a_lost_connection_loses_no_end(client: Server, proxy: Proxy, how: str) -> None:
    ear = await ear_of(client)
    started = await asyncio.gather(*(waits.astart(n) for n in range(20)))
    awaited = [asyncio.ensure_future(heard(ear, process)) for process in started]
    await asyncio.sleep(0)
    if how == "reset":
        proxy.reset()
    else:
        proxy.black_hole(new=False)
    gate.set()
    assert await asyncio.gather(*awaited) == list(range(20))
    if how == "reset":
        assert not ear.listens
        assert await ear_of(client) is not ear


async def test_who_waits_outlasts_a_redis_that_is_away(client: Server, proxy: Proxy) -> None:
    client.store.connect_seconds = 0.2
    ear = await ear_of(client)
    started = await asyncio.gather(*(waits.astart(n) for n in range(20)))
    awaited = [asyncio.ensure_future(heard(ear, process)) for process in started]
    await asyncio.sleep(0)
    proxy.refuse()
    pump = client.part(Pump)
    await asyncio.to_thread(wait_for, lambda: pump._away_until)  # one was looked up in vain
    assert not any(one.done() for one in awaited)
    proxy.heal()
    gate.set()
    assert await asyncio.gather(*awaited) == list(range(20))


async def test_what_somebody_forges_ends_no_wait(client: Server, redis_address: Address) -> None:
    ear = await ear_of(client)
    process = await waits.astart(5)
    awaited = asyncio.ensure_future(heard(ear, process))
    logged = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda *_: logged.set())
    channel = client.store.key(f"c:{ear.inbox._client}")
    for forged in (b"99 1 done \xc0", b"nonsense"):  # of a token that nobody has; no end at all
        assert await asyncio.to_thread(client.store.command, "PUBLISH", channel, forged) == 1
    await asyncio.wait_for(logged.wait(), 60)
    assert not awaited.done()
    gate.set()
    assert await awaited == 5


async def test_an_ear_that_cannot_connect_is_tried_again(client: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, tried = Inbox.connect, list[Inbox]()

    def fails_once(inbox: Inbox) -> None:
        if inbox._read_by_owner and not tried:
            tried.append(inbox)
            raise ConnectionError("not now")
        connect(inbox)

    monkeypatch.setattr(Inbox, "connect", fails_once)
    await ear_of(client)
    assert len(tried) == 1


async def test_who_is_cancelled_disturbs_nobody(client: Server) -> None:
    ear = await ear_of(client)
    started = await asyncio.gather(*(waits.astart(n) for n in range(10)))
    awaited = [asyncio.ensure_future(heard(ear, process)) for process in started]
    await asyncio.sleep(0)
    for one in awaited[::2]:
        one.cancel()
    gate.set()
    assert await asyncio.gather(*awaited[1::2]) == [1, 3, 5, 7, 9]
    assert all(process._watches == () for process in started)
    assert await asyncio.gather(*started) == list(range(10))  # those that were given up are awaited anew


async def test_two_wait_for_one(client: Server) -> None:
    ear = await ear_of(client)
    process = await waits.astart(7)

    async def another_loop() -> int:
        return await process

    here = [asyncio.ensure_future(heard(ear, process)) for _ in range(2)]
    await asyncio.sleep(0)
    there = asyncio.ensure_future(asyncio.to_thread(process.result, 60))
    elsewhere = asyncio.ensure_future(asyncio.to_thread(asyncio.run, another_loop()))
    await asyncio.to_thread(wait_for, lambda: len(process._watches) == 4)
    gate.set()
    assert await asyncio.gather(*here, there, elsewhere) == [7, 7, 7, 7]


async def test_who_waits_in_a_thread_takes_no_token_of_another(client: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = await ear_of(client)
    first, second = await waits.astart(1), await waits.astart(2)
    client.part(Inbox)._serial = count(int(second._token))  # each inbox counts for itself
    in_thread = asyncio.ensure_future(asyncio.to_thread(first.result, 60))
    await asyncio.to_thread(wait_for, lambda: first._inbox is client.part(Inbox))
    looker_refused(client, monkeypatch)
    here = asyncio.ensure_future(heard(ear, second))
    await asyncio.sleep(0)
    gate.set()
    assert (await here, await in_thread) == (2, 1)


async def test_what_was_told_before_a_replay_is_old(client: Server) -> None:
    tried.clear()
    ear = await ear_of(client)
    process = await fails_once.astart(7)
    assert ear.inbox.will_hear(process)

    def elsewhere() -> None:
        with pytest.raises(ValueError, match="the first time"):
            process.result(60)
        process.replay()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(elsewhere).result(60)  # the loop hears nothing meanwhile
    await asyncio.to_thread(wait_for, lambda: len(tried) == 2)
    gate.set()
    assert await asyncio.wait_for(process, 60) == 7


async def test_an_ear_that_heard_nothing_is_replaced(client: Server, proxy: Proxy) -> None:
    ear = await ear_of(client)
    proxy.black_hole(new=False)
    client.store.command_seconds = 1.0
    assert await heard(ear, await same.astart(1)) == 1
    assert not ear.listens


async def test_a_server_that_is_closed_has_no_ears(client: Server) -> None:
    ear = await ear_of(client)
    await asyncio.to_thread(client.part(Pump).close)
    await asyncio.sleep(0)
    assert not ear.listens
    ear = await ear_of(client)
    client.close()
    assert not ear.listens
    assert ear.inbox.link is None


def test_a_loop_that_is_closed_with_waits_is_let_go(client: Server) -> None:
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def begins() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        ear = await ear_of(client)
        waiting = asyncio.ensure_future(heard(ear, await same.options(delay=60).astart(1)))
        waiting._log_destroy_pending = False  # type: ignore[attr-defined]  # that is what is tried
        await asyncio.sleep(0)

    def once() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begins())
        loop.close()

    for _ in range(3):
        once()
    wait_for(lambda: let_go(loops))  # the pump's thread may hold one for another turn


async def test_nothing_is_kept_of_who_came_first(client: Server) -> None:
    request: ContextVar[object] = ContextVar("request")
    requests: list[weakref.ref[Request]] = []

    async def served() -> None:
        mine = Request()
        requests.append(weakref.ref(mine))
        request.set(mine)
        assert await (await same.astart(1)) == 1

    while client.part(Pump).ear() is None:
        await asyncio.create_task(served())
    await asyncio.create_task(served())
    await asyncio.sleep(0)
    await asyncio.to_thread(wait_for, lambda: let_go(requests))


async def test_no_more_tokens_than_are_read(client: Server) -> None:
    ear = await ear_of(client)
    for _ in range(3):
        numbers = [(await same.astart(n)).number for n in range(UNREAD + 10)]  # nobody keeps the handles
        wait_for(lambda: Process.get(numbers[-1]).end is not None or Process.get(numbers[-1]).state == "done")  # noqa: B023
    while ear.inbox.will_hear(process := await same.astart(1)):
        assert await process == 1
    assert await process == 1
    assert await heard(ear, await same.astart(2)) == 2  # somebody waits again


def test_a_loop_leaves_no_connection(client: Server, redis_address: Address) -> None:
    store = client.store

    async def some() -> None:
        await ear_of(client)
        assert await (await same.astart(1)) == 1

    asyncio.run(some())  # what the program itself keeps is there now
    gc.collect()
    before = len(store.command("CLIENT", "LIST").splitlines())
    for _ in range(5):
        asyncio.run(some())
    gc.collect()
    wait_for(lambda: len(store.command("CLIENT", "LIST").splitlines()) <= before)
