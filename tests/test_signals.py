"""Signals: the specification's edges (5.8) row by row, named ones, and how they travel."""

import asyncio
import os
import pickle
import signal as signals_of_the_system
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from onserver import Server, Signal, execute_on_server, procedure, signal
from onserver.errors import BadArguments, LockLost, LockTimeout, NotInUse, SignalGone, SyncInAsyncError
from onserver.process.record import State
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.redis.scripts import script
from onserver.testing import wait_for
from onserver.testing.proxy import RUNS, Proxy, Words
from onserver.values import decode, encode
from tests.cluster.conftest import Open, cluster_of
from tests.inline_worker import make_server, working
from tests.test_semaphores import executor_pid

__all__ = ["cluster_of"]

TASKS = """
from onserver import procedure

@procedure
def hear(one):
    return one.wait()
"""


@procedure
def hear(one: Signal) -> bool:
    return one.wait()


@procedure
def work_out(one: Signal, rows: int) -> None:
    with one.use():
        one["rows"] = rows
        one.description += " (done)"
    one.trigger()


@procedure
def answer_with_a_signal() -> Signal:
    return Signal("from afar")


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, working(made):
        yield made
        assert find_orphans(made.store) == []


def waiters(one: Signal) -> int:
    store = Server.current().store
    return int(store.command("SCARD", store.key(f"sg:q:{one.name}")))


# -- specification 5.8, row by row


def it_is_not_signaled_at_first() -> None:
    one = Signal("what for")
    assert (one.signaled, one.description, Signal().description) == (False, "what for", "")


def signaled_is_read_only() -> None:
    with pytest.raises(AttributeError):
        Signal().signaled = True  # type: ignore[misc]


def the_description_is_written_in_use_only() -> None:
    one = Signal("before")
    with pytest.raises(NotInUse, match=r"with signal\.use\(\)"):
        one.description = "after"
    with one.use():
        one.description = "after"
        assert one.description == "after"
    assert one.description == "after"


def properties_carry_results() -> None:
    one = Signal()
    with pytest.raises(NotInUse):
        one["rows"] = 1
    with one.use() as used:
        used["rows"] = [1, {"a": 2.5}]
    assert one["rows"] == [1, {"a": 2.5}]
    assert ("rows" in one, one.get("columns"), sorted(one)) == (True, None, ["description", "rows"])
    with pytest.raises(KeyError):
        one["columns"]


def a_wait_answers_whether_it_was_triggered() -> None:
    one = Signal()
    assert not one.wait(timeout=0.1)
    assert not one.wait(timeout=0)
    one.trigger()
    assert one.wait(timeout=0)
    assert one.wait(timeout=60)
    assert one.wait()  # at once


def a_timeout_has_decimals() -> None:
    assert not Signal().wait(timeout=0.05)


def a_trigger_wakes_all() -> None:
    one = Signal()
    with ThreadPoolExecutor(3) as pool:
        waiting: list[Future[bool]] = [pool.submit(one.wait, 20) for _ in range(3)]
        wait_for(lambda: waiters(one) == 3, 60)
        assert one.trigger()
        assert [wait.result(20) for wait in waiting] == [True, True, True]
    assert waiters(one) == 0


def a_second_trigger_does_nothing() -> None:
    one = Signal()
    assert one.trigger()
    assert not one.trigger()
    assert one.signaled


def it_is_never_reusable() -> None:
    assert not hasattr(Signal(), "reset")


def the_state_says_for_what_it_waits() -> None:
    one = Signal()
    waiting = execute_on_server(hear, one)
    wait_for(lambda: waiting.state == State.WAITING, 60)
    assert waiting.record().why == f"signal {one.name}"
    store = Server.current().store
    assert store.command("HVALS", store.key("waits")) == [f"sig:{one.name}".encode()]
    one.trigger()
    assert waiting.result(timeout=60) is True
    assert (waiting.record().why, store.command("HLEN", store.key("waits"))) == ("", 0)


ROWS: list[Callable[[], None]] = [
    it_is_not_signaled_at_first, signaled_is_read_only, the_description_is_written_in_use_only,
    properties_carry_results, a_wait_answers_whether_it_was_triggered, a_timeout_has_decimals, a_trigger_wakes_all,
    a_second_trigger_does_nothing, it_is_never_reusable, the_state_says_for_what_it_waits,
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row.__name__ for row in ROWS])
def test_row_of_the_specification(server: Server, row: Callable[[], None]) -> None:
    row()


# -- how it travels


def test_a_process_receives_the_signal_and_carries_back_results(server: Server) -> None:
    done = Signal("import")
    execute_on_server(work_out, done, 42)
    assert done.wait(timeout=60)
    assert done.properties() == {"description": "import (done)", "rows": 42}


def test_it_is_a_result_and_a_variable_and_an_entry_of_the_storage(server: Server) -> None:
    one = execute_on_server(answer_with_a_signal)
    answered = one.result(timeout=60)
    assert isinstance(answered, Signal)
    assert answered.description == "from afar"
    one.variables["signal"] = answered
    assert one.variables["signal"] == answered
    with server.storage.use("signals") as entry:
        entry["last"] = answered
    assert server.storage["signals"]["last"] == answered
    with server.storage.use("signals") as entry:
        entry["other"] = 1  # the one that is there is written again
    assert server.storage["signals"]["last"].description == "from afar"


def test_bytes_and_pickles_of_it(server: Server) -> None:
    one, named = Signal(), signal("tax year / 2026")
    for sent in (one, named):
        assert decode(encode({"it": [sent]})) == {"it": [sent]}
        assert pickle.loads(pickle.dumps(sent)) == sent
        assert type(decode(encode(sent))) is type(sent)
    assert len({one, decode(encode(one)), named}) == 2
    assert one != named


# -- using


def test_what_a_block_did_that_raises_is_not_written(server: Server) -> None:
    one = Signal("before")
    with pytest.raises(ZeroDivisionError), one.use():
        one.description = "half"
        raise ZeroDivisionError
    assert one.description == "before"
    with one.use(timeout=1):
        pass  # it is free again


def test_a_block_inside_a_block_writes_once(server: Server) -> None:
    one = Signal()
    with one.use():
        one["a"] = 1
        with one.use():
            one["b"] = 2
        assert Server.current().store.command("HGET", server.store.key(f"sg:e:{one.name}"), "n") == b"1"
    assert (one["a"], one["b"]) == (1, 2)


def test_two_blocks_exclude_each_other(server: Server) -> None:
    one = Signal()
    with one.use():
        one["n"] = 0

    def count() -> None:
        for _ in range(20):
            with one.use():
                one["n"] += 1

    with ThreadPoolExecutor(3) as pool:
        for counted in [pool.submit(count) for _ in range(3)]:
            counted.result(30)
    assert one["n"] == 60


def test_another_waits_for_the_lock_only_so_long(server: Server) -> None:
    one = Signal()
    with one.use(), ThreadPoolExecutor(1) as pool, pytest.raises(LockTimeout):
        pool.submit(lambda: one.use(timeout=0.1).__enter__()).result(20)


def test_a_lock_that_was_taken_away_writes_nothing(server: Server) -> None:
    one = Signal("before")
    with pytest.raises(LockLost), one.use():
        one.description = "after"
        server.store.run("unlock_by_force", "sg:", one.name)
    assert one.description == "before"


# -- named ones, which are ours


def test_a_named_signal_is_there_when_it_is_used_and_can_be_reset(server: Server) -> None:
    assert not signal("closed").wait(timeout=0)
    assert signal("closed").trigger()
    assert not signal("closed").trigger()
    assert signal("closed").wait()
    signal("closed").reset()
    assert not signal("closed").signaled
    assert signal("closed").trigger()
    with signal("closed").use() as closed:
        closed["month"] = 11
    assert (signal("closed")["month"], signal("closed").signaled) == (11, True)


def test_names_of_signals(server: Server) -> None:
    signal("Closed").trigger()
    assert not signal("closed").signaled
    for name in ("", "#0a"):
        with pytest.raises(BadArguments):
            signal(name)


def test_a_signal_lives_for_a_set_time_after_its_last_use(redis_address: Address) -> None:
    address = f"unix://{redis_address.path}"
    with make_server(f"t{uuid4().hex[:8]}", address, signal_seconds=50.0) as server:
        one, named = Signal(), signal("closed")
        named.trigger()
        for used in (one, named):
            key = server.store.key(f"sg:e:{used.name}")
            assert 0 < server.store.command("PTTL", key) <= 50_000
            server.store.command("PEXPIRE", key, 1000)
            used.wait(timeout=0)  # that is a use
            assert server.store.command("PTTL", key) > 1000
            server.store.command("DEL", key)  # its time is over
        assert not named.signaled
        for use in (one.wait, one.trigger, one.use().__enter__):
            with pytest.raises(SignalGone, match=one.name):
                use()


# -- in a loop


def test_in_a_loop(server: Server) -> None:
    async def scene() -> None:
        one = Signal()
        with pytest.raises(SyncInAsyncError, match="await signal"):
            one.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await one
        assert waiters(one) == 0
        waiting = [asyncio.ensure_future(one) for _ in range(50)]
        async with one.use():
            one["n"] = 1
        await one.atrigger()
        assert await asyncio.gather(*waiting) == [True] * 50
        await signal("closed").atrigger()
        await signal("closed").areset()
        assert not signal("closed").wait(timeout=0)

    asyncio.run(scene())


# -- whoever dies


def test_kill_9_of_one_that_waits_leaves_nothing(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=1, tasks=TASKS)
    with cluster.as_current():
        one = Signal()
        waiting = execute_on_server("jobs.hear", one)
        cluster.wait_for(lambda: waiters(one) == 1)
        holder = waiting.record().holder
        os.kill(executor_pid(cluster.server, holder), signals_of_the_system.SIGKILL)
        cluster.wait_for(lambda: waiting.record().holder not in ("", holder))
        store = cluster.server.store
        assert not store.command("EXISTS", store.key(f"locks:{holder}"))
        one.trigger()
        assert waiting.result(timeout=60) is True


# -- lost replies


def scene_of_replies() -> None:
    one, said = Signal("before"), list[bool]()
    thread = threading.Thread(target=lambda: said.append(one.wait(60)))
    assert not one.wait(timeout=0.1)
    thread.start()
    wait_for(lambda: waiters(one) == 1, 60)
    with one.use():
        one["n"] = 1
    assert one.trigger()
    thread.join(60)
    assert said == [True]
    assert one.properties() == {"description": "before", "n": 1}
    signal("closed").trigger()
    signal("closed").reset()
    assert not signal("closed").signaled


@pytest.mark.parametrize(
    ("name", "nth"),
    [("make_signal", 1), ("wait_signal", 1), ("wait_signal", 2), ("leave_signal", 1), ("write_signal", 1),
     ("trigger_signal", 1), ("reset_signal", 1)],
)  # fmt: skip
def test_a_lost_reply(redis_address: Address, tmp_path: Path, name: str, nth: int) -> None:
    sha = script(name).sha

    def is_it(words: Words) -> bool:
        return words[0] in RUNS and words[1] == sha

    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server(f"t{uuid4().hex[:8]}", f"unix://{proxy.address.path}") as client,
    ):
        client.store.command("PING")
        proxy.swallow_reply(nth, matching=is_it)
        scene_of_replies()
        assert proxy.broken == 1
