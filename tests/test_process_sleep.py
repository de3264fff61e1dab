"""Sleep and delays: the specification's edges (5.6) row by row, and who wakes whom."""

import asyncio
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from onserver import Process, Server, execute_on_server, procedure, process
from onserver.errors import ProcessAborted, SyncInAsyncError
from onserver.process.record import State
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.redis.scripts import script
from onserver.testing import wait_for
from onserver.testing.proxy import RUNS, Proxy, Words
from tests.cluster.conftest import Open, cluster_of
from tests.inline_worker import make_server, working

__all__ = ["cluster_of"]

TASKS = """
from onserver import procedure, process

@procedure
def nap(seconds):
    return process().sleep(seconds)
"""


@procedure
def nap(seconds: float) -> bool:
    return process().sleep(seconds)


@procedure
def nap_well(seconds: float) -> list[float]:
    began = monotonic()
    woken = process().sleep(seconds)
    return [woken, monotonic() - began]


@procedure
def nap_in_a_loop() -> bool:
    async def scene() -> bool:
        with pytest.raises(SyncInAsyncError, match="asleep"):
            process().sleep(1)
        assert not await process().asleep(0.1)
        await process().variables.aset("slept", True)
        return await process().asleep(600)

    return asyncio.run(scene())


@procedure
def one() -> int:
    return 1


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, working(made):
        yield made
        assert find_orphans(made.store) == []


def asleep(seconds: float = 600) -> Process[bool]:
    napping = execute_on_server(nap, seconds)
    wait_for(lambda: napping.record().why == "sleep", 60)
    return napping


# -- specification 5.6, row by row


def fractions_are_allowed() -> None:
    woken, took = execute_on_server(nap_well, 0.25).result(timeout=60)
    assert not woken
    assert took >= 0.25


def a_short_or_no_sleep_is_one_too() -> None:
    for seconds in (0.0, -1.0, 0.01):
        assert execute_on_server(nap, seconds).result(timeout=60) is False


def while_it_sleeps_its_state_says_so() -> None:
    napping = asleep()
    assert napping.state == State.WAITING
    assert napping.wake()
    assert napping.result(timeout=60) is True
    assert napping.record().why == ""


def a_new_delay_replaces_the_remaining_one() -> None:
    napping = asleep()
    assert napping.delay(0.3)
    assert napping.result(timeout=60) is False  # slept out, nobody woke it
    napping = asleep(0.5)
    assert napping.delay(600)
    assert not napping_ends(napping, 1.0)
    assert napping.delay(500)  # and again
    assert napping.wake()
    assert napping.result(timeout=60) is True


def zero_cancels() -> None:
    napping = asleep()
    assert napping.delay(0)
    assert napping.result(timeout=60) is True


def of_an_unknown_process_nothing() -> None:
    unknown: Process[None] = Process(Server.current(), 999_999)
    assert not unknown.delay(5)
    assert not unknown.wake()


def of_one_that_does_not_sleep_nothing() -> None:
    ended = execute_on_server(one)
    ended.result(timeout=60)
    assert not ended.wake()
    assert not ended.delay(5)


def a_start_that_is_delayed_is_woken_too() -> None:
    later = execute_on_server(one.options(delay=600))
    assert later.state == State.DELAYED
    assert later.delay(500)
    assert later.state == State.DELAYED
    assert later.wake()
    assert later.result(timeout=60) == 1


def resume_wakes_a_delayed_process() -> None:
    """The original's `RESUME PROCESS` wakes a paused or delayed one; here they are two calls."""
    napping = asleep()
    assert napping.resume().level == "running"
    assert napping.wake()
    assert napping.result(timeout=60)


def without_an_end() -> None:
    napping = asleep(inf)
    assert napping.wake()
    assert napping.result(timeout=60) is True


ROWS: list[Callable[[], None]] = [
    fractions_are_allowed, a_short_or_no_sleep_is_one_too, while_it_sleeps_its_state_says_so,
    a_new_delay_replaces_the_remaining_one, zero_cancels, of_an_unknown_process_nothing,
    of_one_that_does_not_sleep_nothing, a_start_that_is_delayed_is_woken_too, resume_wakes_a_delayed_process,
    without_an_end,
]  # fmt: skip


def napping_ends(napping: Process[bool], seconds: float) -> bool:
    try:
        napping.wait(timeout=seconds)
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("row", ROWS, ids=[row.__name__ for row in ROWS])
def test_row_of_the_specification(server: Server, row: Callable[[], None]) -> None:
    row()


def test_in_a_loop(server: Server) -> None:
    napping = execute_on_server(nap_in_a_loop)
    assert napping.variables.wait_for("slept", timeout=60)
    wait_for(napping.wake, 60)
    assert napping.result(timeout=60) is True


def test_a_sleeper_is_aborted_and_paused(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current():
        napping = execute_on_server("jobs.nap", 600)
        cluster.wait_for(lambda: napping.record().why == "sleep")
        napping.pause()
        cluster.wait_for(lambda: napping.state == State.PAUSED)
        napping.resume()
        cluster.wait_for(lambda: napping.state == State.WAITING)
        napping.abort("enough")
        with pytest.raises(ProcessAborted, match="enough"):
            napping.result(timeout=60)


@pytest.mark.parametrize("name", ["sleep", "rise", "delay"])
def test_a_lost_reply(redis_address: Address, tmp_path: Path, name: str) -> None:
    sha = script(name).sha

    def is_it(words: Words) -> bool:
        return words[0] in RUNS and words[1] == sha

    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server(f"t{uuid4().hex[:8]}", f"unix://{proxy.address.path}") as client,
        working(client),
    ):
        client.store.command("PING")
        proxy.swallow_reply(1, matching=is_it)
        napping = asleep()
        assert napping.delay(500)
        assert napping.wake()
        assert napping.result(timeout=60) is True
        assert proxy.broken == 1
