"""Processes that coroutines start: without a thread, once, and in the name of whoever asks."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from linecache import getline
from uuid import uuid4

import pytest

from onserver import Server, caller, procedure
from onserver.errors import AlreadyRunning, BadArguments, MaintenanceMode, NoWorker, PrivilegeDenied
from onserver.process.maintenance import begin_maintenance
from onserver.redis.address import Address
from onserver.redis.scripts import script
from onserver.testing import OnServer
from onserver.testing.proxy import RUNS, Proxy
from tests.inline_worker import behind, make_server, working

ran: list[int] = []


@procedure
def note(n: int) -> int:
    ran.append(n)
    return n


@procedure
def who() -> str:
    return caller().user


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Server]:
    """A program behind the proxy; the worker is beside it, on the real Redis."""
    ran.clear()
    with behind(proxy) as made:
        yield made


@pytest.fixture
def alone(redis_address: Address) -> Iterator[Server]:
    """A program without any worker."""
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        made.store.command("PING")
        yield made


def threads_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise AssertionError("a thread was used")

    monkeypatch.setattr("asyncio.to_thread", refused)


async def test_many_at_a_time(client: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await (await note.astart(-1)) == -1
    threads_refused(monkeypatch)
    proxy.commands.clear()
    started = await asyncio.gather(*(note.astart(n) for n in range(100)))
    assert [words[0] for words in proxy.commands if words[1] == script("put").sha] == [b"FCALL"] * 100
    assert await asyncio.gather(*started) == list(range(100))
    assert sorted(ran) == list(range(-1, 100))
    assert len({process.number for process in started}) == 100


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "silent"])
@pytest.mark.parametrize("nth", [1, 7])
async def test_a_lost_answer_starts_nothing_twice(client: Server, proxy: Proxy, nth: int, cut: bool) -> None:
    client.store.command_seconds = 3.0
    await note.astart(-1)
    sha = script("put").sha
    proxy.swallow_reply(nth, matching=lambda words: words[0] in RUNS and words[1] == sha, cut=cut)
    started = await asyncio.gather(*(note.astart(n) for n in range(20)))
    assert await asyncio.gather(*started) == list(range(20))
    assert proxy.broken == 1
    assert sorted(ran) == list(range(-1, 20))


async def test_what_is_refused(client: Server) -> None:
    first = await note.options(name="once", unique=True, delay=60).astart(1)
    again = await note.options(name="once", unique=True).astart(1)
    assert (again.number, again.how) == (first.number, "live")
    with pytest.raises(AlreadyRunning, match=f"#{first.number}"):
        await note.options(name="once", unique="error").astart(1)
    with pytest.raises(BadArguments):
        await note.astart()  # type: ignore[call-arg]
    begin_maintenance()
    with pytest.raises(MaintenanceMode):
        await note.astart(2)
    assert ran == []


async def test_a_clock_that_is_wrong_is_corrected(client: Server) -> None:
    await note.astart(1)
    client.store._ahead -= 100
    assert await asyncio.gather(*[await note.astart(n) for n in range(3)]) == [0, 1, 2]


async def test_several_find_the_clock_wrong_at_once(client: Server) -> None:
    await note.astart(-1)
    for seconds in (-100, 150):
        client.store._ahead += seconds
        for _ in range(2):
            started = await asyncio.gather(*(note.astart(n) for n in range(10)))
            assert await asyncio.gather(*started) == list(range(10))


async def test_nobody_who_takes_it_is_said_where_it_was_started(alone: Server) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        process = await note.astart(1)
    [warning] = said
    assert warning.category is NoWorker
    assert getline(warning.filename, warning.lineno).strip() == "process = await note.astart(1)"
    assert f"#{process.number}" in str(warning.message)
    assert alone.store.command("EXISTS", alone.store.key(f"p:{process.number}")) == 1


async def test_whoever_is_served_is_who_asks(client: Server) -> None:
    assert await (await who.astart()) == "server"
    with OnServer(client).as_user("ann"), pytest.raises(PrivilegeDenied, match="refused for ann"):
        await who.astart()
    assert await (await who.astart()) == "server"


async def test_a_program_that_has_not_met_its_server_yet(redis_address: Address) -> None:
    name = f"t{uuid4().hex[:8]}"
    with make_server(name, f"unix://{redis_address.path}") as server, working(server):
        with make_server(name, f"unix://{redis_address.path}") as fresh, fresh.as_current():
            assert not fresh.store.is_met
            started = await asyncio.gather(*(note.astart(n) for n in range(5)))
            assert await asyncio.gather(*started) == list(range(5))
        server.make_current()
