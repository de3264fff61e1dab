"""Scripts that coroutines run over one connection of their loop, and what becomes of them when that breaks."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from time import monotonic
from uuid import uuid4

import pytest

from onserver.errors import BrokerUnavailable
from onserver.interrupt import Interrupted, interrupt
from onserver.redis.address import Address, parse
from onserver.redis.answers import Denied, OutOfMemory, ScriptRefused
from onserver.redis.link import Link
from onserver.redis.relay import Relay
from onserver.redis.scripts import Script
from onserver.redis.store import Store
from onserver.testing.proxy import RUNS, Proxy
from onserver.testing.wait import wait_for
from tests.terminator import TLS, Terminator

_LUA = b"""
if ARGV[1] == 'count' then return redis.call('INCR', KEYS[1] .. 'n') end
if ARGV[1] == 'fail' then return redis.error_reply(ARGV[2]) end
return ARGV[2]
"""
SCRIPT = Script("test", hashlib.sha1(_LUA).hexdigest().encode(), _LUA, writes=False)


@pytest.fixture
def behind(proxy: Proxy) -> Iterator[Store]:
    """A store that knows Redis through the proxy, and has met it and loaded the script."""
    with Store(proxy.address, f"t{uuid4().hex[:8]}") as store:
        store.run(SCRIPT, "say", "")
        yield store


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise AssertionError("a thread was used")

    monkeypatch.setattr("onserver.redis.store.asyncio.to_thread", refused)


def reads(store: Store) -> int:
    stats = store.command("INFO", "stats").decode()
    return int(stats.partition("total_reads_processed:")[2].split()[0])


def connections(store: Store) -> int:
    return len(store.command("CLIENT", "LIST").splitlines())


# ---- what it is for


@pytest.mark.usefixtures("no_threads")
async def test_what_is_asked_in_one_turn_goes_in_few_trips(behind: Store) -> None:
    assert await behind.arun(SCRIPT, "say", "connected") == b"connected"
    before = reads(behind)
    said = await asyncio.gather(*(behind.arun(SCRIPT, "say", n) for n in range(200)))
    assert said == [str(n).encode() for n in range(200)]
    assert reads(behind) - before < 20


@pytest.mark.usefixtures("no_threads")
async def test_more_than_the_socket_takes_is_sent_as_it_takes_it(behind: Store) -> None:
    large = [os.urandom(1_000_000) for _ in range(10)]
    assert await asyncio.gather(*(behind.arun(SCRIPT, "say", one) for one in large)) == large
    assert await behind.arun(SCRIPT, "say", "small") == b"small"


@pytest.mark.usefixtures("no_threads")
async def test_who_is_cancelled_takes_nobody_elses_answer(behind: Store) -> None:
    await behind.arun(SCRIPT, "say", "connected")
    asked = [asyncio.ensure_future(behind.arun(SCRIPT, "say", n)) for n in range(10)]
    await asyncio.sleep(0)  # all have asked
    for one in asked[::2]:
        one.cancel()
    assert await asyncio.gather(*asked[1::2]) == [b"1", b"3", b"5", b"7", b"9"]
    assert all(one.cancelled() for one in asked[::2])
    assert await behind.arun(SCRIPT, "say", "after") == b"after"


async def test_what_cannot_be_sent_takes_nobody_elses_answer(store: Store) -> None:
    await store.arun(SCRIPT, "say", "connected")
    no_text = store.arun(SCRIPT, "say", "\ud800")
    refused, *said = await asyncio.gather(
        no_text, *(store.arun(SCRIPT, "say", n) for n in range(5)), return_exceptions=True
    )
    assert isinstance(refused, UnicodeEncodeError)
    assert said == [str(n).encode() for n in range(5)]


@pytest.mark.parametrize("where", ["replies", "offer"])
async def test_an_interruption_is_raised_where_somebody_can_heed_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    await store.arun(SCRIPT, "say", "connected")
    real, logged = getattr(Link, where), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, said: logged.append(said))
    signals = [Interrupted("its time is up")]

    def interrupted(link: Link, *words: bytes) -> object:
        answer = real(link, *words)
        while signals:
            interrupt(signals.pop())  # as the handler of a signal does
        return answer

    monkeypatch.setattr(Link, where, interrupted)
    assert await store.arun(SCRIPT, "say", 1) == b"1"
    with pytest.raises(Interrupted):
        await store.arun(SCRIPT, "say", 2)
    said = await asyncio.gather(*(store.arun(SCRIPT, "say", n) for n in range(3)))
    assert said == [b"0", b"1", b"2"]
    assert not logged


def test_a_loop_that_ends_with_something_under_way_is_let_go(behind: Store, proxy: Proxy) -> None:
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def gives_up() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await behind.arun(SCRIPT, "say", 1)
        proxy.delay(0.5)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await behind.arun(SCRIPT, "say", 2)
        proxy.delay(0)

    for _ in range(3):
        asyncio.run(gives_up())
    gc.collect()
    assert [loop() for loop in loops] == [None, None, None]


async def test_nothing_is_kept_of_who_came_first(store: Store) -> None:
    store.run(SCRIPT, "say", "")
    request: ContextVar[object] = ContextVar("request")

    class Request:
        pass

    async def served() -> weakref.ref[Request]:
        mine = Request()
        request.set(mine)
        await store.arun(SCRIPT, "say", 1)
        return weakref.ref(mine)

    first = await asyncio.create_task(served())
    await store.arun(SCRIPT, "say", 2)
    await asyncio.sleep(0)  # what was called in that turn is over
    gc.collect()
    assert first() is None


def test_each_loop_has_its_own_connection_and_leaves_none(store: Store) -> None:
    store.run(SCRIPT, "say", "")
    gc.collect()
    before = connections(store)

    async def many() -> None:
        said = await asyncio.gather(*(store.arun(SCRIPT, "say", n) for n in range(50)))
        assert said == [str(n).encode() for n in range(50)]

    loops = [threading.Thread(target=asyncio.run, args=[many()]) for _ in range(4)]
    for one in loops:
        one.start()
    for one in loops:
        one.join()
    asyncio.run(many())
    gc.collect()
    wait_for(lambda: connections(store) <= before)  # fewer where another test's have gone meanwhile


async def test_a_store_that_is_closed_connects_anew(store: Store) -> None:
    await store.arun(SCRIPT, "say", "")
    under_way = asyncio.ensure_future(store.arun(SCRIPT, "say", 1))
    await asyncio.sleep(0)
    store.close()
    assert await under_way == b"1"
    assert await store.arun(SCRIPT, "say", 2) == b"2"
    await asyncio.to_thread(store.close)
    assert await store.arun(SCRIPT, "say", 3) == b"3"


async def test_a_store_that_is_closed_while_it_connects_leaves_no_connection(store: Store) -> None:
    await store.arun(SCRIPT, "say", 0)
    gc.collect()
    before = connections(store)
    for n in range(5):
        store.close()
        under_way = asyncio.ensure_future(store.arun(SCRIPT, "say", n))
        await asyncio.sleep(0)
        store.close()
        assert await under_way == str(n).encode()
    gc.collect()
    await asyncio.to_thread(wait_for, lambda: connections(store) <= before + 1)  # a thread has sent the last


def test_a_child_has_a_connection_of_its_own(store: Store) -> None:
    async def say(text: str) -> bytes:
        said: bytes = await store.arun(SCRIPT, "say", text)
        return said

    async def parent_and_child() -> int:
        assert await say("parent") == b"parent"
        child = os.fork()
        if child == 0:
            asyncio._set_running_loop(None)  # what a child that runs a loop of its own has done
            asyncio.set_event_loop(None)
            os._exit(0 if asyncio.run(say("child")) == b"child" else 1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert await say("parent again") == b"parent again"
        return status

    assert asyncio.run(parent_and_child()) == 0


async def test_through_tls(redis_address: Address) -> None:
    with Terminator(redis_address.path) as terminator:
        address = parse(f"rediss://localhost:{terminator.port}?ssl_ca_certs={TLS / 'certificate.pem'}")
        with Store(address, f"t{uuid4().hex[:8]}", command_seconds=60) as store:
            await store.arun(SCRIPT, "say", "")
            large = [os.urandom(300_000) for _ in range(20)]
            assert await asyncio.gather(*(store.arun(SCRIPT, "say", one) for one in large)) == large


# ---- what goes wrong


async def test_a_script_that_redis_has_forgotten_is_sent_whole(store: Store) -> None:
    assert await store.arun(SCRIPT, "say", 1) == b"1"
    store.command("SCRIPT", "FLUSH")
    said = await asyncio.gather(*(store.arun(SCRIPT, "say", n) for n in range(20)))
    assert said == [str(n).encode() for n in range(20)]


async def test_what_a_script_refuses_is_raised_to_who_asked(store: Store) -> None:
    await store.arun(SCRIPT, "say", "")
    scenes = (("say", 1), ("fail", "ONS 9999 no"), ("fail", "OOM no"), ("say", 2))
    asked = [store.arun(SCRIPT, *words) for words in scenes]
    first, refused, full, last = await asyncio.gather(*asked, return_exceptions=True)
    assert (first, last) == (b"1", b"2")
    assert isinstance(refused, ScriptRefused)
    assert refused.rest.startswith("9999 no")
    assert isinstance(full, OutOfMemory)


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "silent"])
async def test_a_lost_answer_is_asked_for_again(behind: Store, proxy: Proxy, cut: bool) -> None:
    behind.command_seconds = 2.0
    await behind.arun(SCRIPT, "count")
    proxy.swallow_reply(3, matching=lambda words: words[0] in RUNS, cut=cut)
    said = await asyncio.gather(*(behind.arun(SCRIPT, "count") for _ in range(10)))
    assert proxy.broken == 1
    assert len(set(said)) == 10
    assert min(said) == 2  # the first two were answered; of the rest some ran twice, as this script may


@pytest.mark.parametrize("after", [1, 100, 5000])
async def test_a_connection_that_breaks_while_it_is_sent_to(behind: Store, proxy: Proxy, after: int) -> None:
    await behind.arun(SCRIPT, "say", "")
    proxy.cut_request(after)
    large = ["x" * 10_000] * 5
    assert await asyncio.gather(*(behind.arun(SCRIPT, "say", one) for one in large)) == [b"x" * 10_000] * 5


async def test_a_connection_that_breaks_while_the_socket_is_full(behind: Store, proxy: Proxy) -> None:
    logged: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: logged.append(said))
    await behind.arun(SCRIPT, "say", "")
    proxy.cut_request(300_000)
    large = "x" * 2_000_000
    assert await asyncio.gather(*(behind.arun(SCRIPT, "say", large) for _ in range(3))) == [large.encode()] * 3
    assert proxy.broken == 1
    assert not logged


async def test_another_node_that_is_named_is_asked(store: Store) -> None:
    store.connect_seconds = store.command_seconds = 0.5
    await store.arun(SCRIPT, "say", 1)
    with pytest.raises(BrokerUnavailable, match="refused the connection"):
        await store.arun(SCRIPT, "fail", "MOVED 1 127.0.0.1:1")


async def test_answers_that_come_byte_by_byte(behind: Store, proxy: Proxy) -> None:
    proxy.trickle(0.0001)
    said = await asyncio.gather(*(behind.arun(SCRIPT, "say", n) for n in range(20)))
    assert said == [str(n).encode() for n in range(20)]


async def test_a_redis_that_is_gone_is_named_after_its_time(behind: Store, proxy: Proxy) -> None:
    behind.connect_seconds = behind.command_seconds = 0.5
    await behind.arun(SCRIPT, "say", "")
    proxy.refuse()
    with pytest.raises(BrokerUnavailable, match="refused"):
        await behind.arun(SCRIPT, "say", 1)
    proxy.heal()
    assert await behind.arun(SCRIPT, "say", 2) == b"2"
    proxy.black_hole()
    failed = await asyncio.gather(*(behind.arun(SCRIPT, "say", n) for n in range(5)), return_exceptions=True)
    assert all(isinstance(one, BrokerUnavailable) for one in failed)
    proxy.heal()
    assert await behind.arun(SCRIPT, "say", 3) == b"3"


async def test_many_that_a_silent_redis_leaves_waiting_end_at_their_time(behind: Store, proxy: Proxy) -> None:
    behind.command_seconds = 1.0
    await behind.arun(SCRIPT, "say", "")
    proxy.black_hole()
    began = monotonic()
    failed = await asyncio.gather(*(behind.arun(SCRIPT, "say", n) for n in range(300)), return_exceptions=True)
    assert all(isinstance(one, BrokerUnavailable) for one in failed)
    assert monotonic() - began < 10  # and not that of one after the other, in the few threads that there are


async def test_a_wrong_password_is_said_at_once(redis_address: Address) -> None:
    address = parse(f"unix://somebody:wrong@{redis_address.path}")
    with Store(address, "x") as store, pytest.raises(Denied):
        await store.arun(SCRIPT, "say", 1)


async def test_replicas_that_must_confirm_are_waited_for_in_a_thread(redis_address: Address) -> None:
    with Store(redis_address, f"t{uuid4().hex[:8]}", wait_for_replicas=1) as store:
        assert await store.arun(SCRIPT, "say", 1) == b"1"  # it writes nothing: there is nothing to confirm
        assert not store._by_loop


async def test_a_redis_that_is_away_for_long_leaves_nothing_behind(behind: Store, proxy: Proxy) -> None:
    behind.connect_seconds = behind.command_seconds = 0.05
    proxy.refuse()
    for _ in range(3):
        with pytest.raises(BrokerUnavailable):
            await behind.arun(SCRIPT, "say", 1)
    gc.collect()
    assert Relay not in map(type, gc.get_objects())  # not isinstance, which wakes what others keep lazy
