"""Semaphores: the specification's numbers and edges (5.9) row by row, slots, the line, and whoever dies in it."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from onserver import Server, execute_many, execute_on_server, procedure, process, semaphore
from onserver.errors import BadArguments, DeadlockDetected, SyncInAsyncError
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
import time
from onserver import procedure, process, semaphore
from onserver.testing.ledger import note

@procedure
def hold(name, slots=1, seconds=0.0):
    with semaphore(name, slots=slots):
        note("in", process().number, time.monotonic())
        time.sleep(seconds)
        note("out", process().number, time.monotonic())

@procedure
def keep(name):
    semaphore(name).acquire()
    note("kept", process().number)
    time.sleep(60)
"""


@procedure
def take(name: str) -> bool:
    return semaphore(name).acquire(timeout=0)


@procedure
def take_and_fail(name: str) -> None:
    semaphore(name).acquire(timeout=0)
    raise ValueError(name)


@procedure
def wait_in_line(name: str) -> str:
    with semaphore(name):
        return str(process().state)


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, working(made):
        yield made
        assert find_orphans(made.store) == []


def elsewhere(function: Callable[[], object]) -> object:
    """What the function answers in a thread of its own, which is another owner."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(20)


def line(name: str) -> int:
    store = Server.current().store
    return int(store.command("ZCARD", store.key(f"sem:w:{name}")))


# -- specification 5.9, row by row


def it_answers_whether_it_is_yours() -> None:
    assert semaphore("x").acquire(timeout=0)  # False in the original: nobody else had it
    assert not elsewhere(lambda: semaphore("x").acquire(timeout=0))
    semaphore("x").release()


def taken_twice_it_needs_one_clear() -> None:
    assert semaphore("x").acquire()
    assert semaphore("x").acquire()
    assert semaphore("x").release()
    assert elsewhere(lambda: semaphore("x").acquire(timeout=0) and semaphore("x").release())
    assert not semaphore("x").release()


def a_time_limits_the_wait() -> None:
    with semaphore("x"):
        assert not elsewhere(lambda: semaphore("x").acquire(timeout=0.1))
        assert line("x") == 0


def names_are_cut_at_255_characters() -> None:
    with semaphore("n" * 300):
        assert semaphore("n" * 255).locked()
        assert not semaphore("n" * 254).locked()


def names_are_case_sensitive() -> None:
    with semaphore("Printer"):
        assert not semaphore("printer").locked()


def a_dollar_makes_it_local_to_the_machine() -> None:
    with semaphore("$x"):
        assert semaphore("$x").locked()
        store = Server.current().store
        assert store.command("EXISTS", store.key(f"sem:h:$x@{socket.gethostname()}"))


def only_its_owner_can_clear_it() -> None:
    with semaphore("x"):
        assert not elsewhere(lambda: semaphore("x").release())
        assert semaphore("x").locked()
    assert not semaphore("x").locked()


def it_falls_when_its_process_ends() -> None:
    assert execute_on_server(take, "x").result(timeout=60)
    assert not semaphore("x").locked()
    with pytest.raises(ValueError, match="x"):
        execute_on_server(take_and_fail, "x").result(timeout=60)
    assert not semaphore("x").locked()


def a_test_never_makes_it() -> None:
    assert not semaphore("x").locked()
    store = Server.current().store
    assert not store.command("EXISTS", store.key("sem:h:x"))


def without_a_name_or_a_slot_there_is_none() -> None:
    with pytest.raises(BadArguments):
        semaphore("")
    with pytest.raises(BadArguments, match="0 slots"):
        semaphore("x", slots=0)


ROWS: list[Callable[[], None]] = [
    it_answers_whether_it_is_yours, taken_twice_it_needs_one_clear, a_time_limits_the_wait,
    names_are_cut_at_255_characters, names_are_case_sensitive, a_dollar_makes_it_local_to_the_machine,
    only_its_owner_can_clear_it, it_falls_when_its_process_ends, a_test_never_makes_it,
    without_a_name_or_a_slot_there_is_none,
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row.__name__ for row in ROWS])
def test_row_of_the_specification(server: Server, row: Callable[[], None]) -> None:
    row()


# -- ours


def test_a_block_inside_a_block_does_not_give_it_up(server: Server) -> None:
    with semaphore("x"):
        with semaphore("x"):
            pass
        assert semaphore("x").locked()
    assert not semaphore("x").locked()


def test_it_has_as_many_owners_as_slots(server: Server) -> None:
    free = threading.Event()
    inside: list[int] = []

    def hold(n: int) -> None:
        with semaphore("x", slots=2):
            inside.append(n)
            assert free.wait(60)

    with ThreadPoolExecutor(3) as pool:
        held = [pool.submit(hold, n) for n in range(3)]
        wait_for(lambda: len(inside) == 2 and line("x") == 1, 60)
        free.set()
        for one in held:
            one.result(20)
    assert sorted(inside) == [0, 1, 2]


def test_the_line_is_fair(server: Server) -> None:
    order: list[int] = []

    def hold(n: int) -> None:
        with semaphore("x"):
            order.append(n)

    with ThreadPoolExecutor(5) as pool:
        with semaphore("x"):
            waiting: list[Future[None]] = []
            for n in range(5):
                waiting.append(pool.submit(hold, n))
                wait_for(lambda: line("x") == len(waiting), 60)
        for one in waiting:
            one.result(20)
    assert order == [0, 1, 2, 3, 4]


def test_a_process_that_waits_says_for_what(server: Server) -> None:
    with semaphore("x"):
        waiting = execute_on_server(wait_in_line, "x")
        wait_for(lambda: waiting.state == State.WAITING, 60)
        assert waiting.record().why == "semaphore x"
        assert server.store.command("HVALS", server.store.key("waits")) == [b"sem:x"]
    assert waiting.result(timeout=60) == "running"
    assert server.store.command("HLEN", server.store.key("waits")) == 0


def test_a_circle_of_semaphores_is_found(server: Server) -> None:
    def other_way() -> None:
        with semaphore("b"), semaphore("a"):
            pass

    with semaphore("a"), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other_way)
        wait_for(lambda: line("a") == 1, 60)
        with pytest.raises(DeadlockDetected, match=r"semaphore\(\"b\"\).acquire\(\)") as raised:
            semaphore("b").acquire()
        assert "holds semaphore b and waits for semaphore a" in str(raised.value)
        semaphore("a").release()
        waiting.result(20)


def test_a_circle_of_a_semaphore_and_a_lock_is_found(server: Server) -> None:
    def other_way() -> None:
        with server.storage.use("stock"), semaphore("a"):
            pass

    with semaphore("a"), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other_way)
        wait_for(lambda: line("a") == 1, 60)
        with pytest.raises(DeadlockDetected) as raised, server.storage.use("stock"):
            pass
        assert raised.value.awaited == "semaphore a"
        semaphore("a").release()
        waiting.result(20)


def test_a_slot_that_one_of_several_may_give_is_waited_for(server: Server) -> None:
    """Of two who have it one waits for the one who asks: no circle. When the other one does too, it is one."""
    freed, inside = threading.Event(), threading.Barrier(3)

    def have(then: Callable[[], object]) -> None:
        with semaphore("x", slots=2):
            inside.wait(60)
            then()

    with semaphore("a"), ThreadPoolExecutor(2) as pool:
        stuck = pool.submit(have, lambda: semaphore("a").acquire() and semaphore("a").release())
        going = pool.submit(have, lambda: freed.wait(60) and semaphore("a").acquire() and semaphore("a").release())
        inside.wait(60)
        wait_for(lambda: line("a") == 1, 60)
        assert not semaphore("x", slots=2).acquire(timeout=0.2)  # it may yet come
        freed.set()
        wait_for(lambda: line("a") == 2, 60)
        with pytest.raises(DeadlockDetected):
            semaphore("x", slots=2).acquire()
        semaphore("a").release()
        stuck.result(20)
        going.result(20)


def test_in_a_loop(server: Server) -> None:
    order: list[str] = []

    async def hold(name: str) -> None:
        async with semaphore("x"):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    async def scene() -> None:
        with pytest.raises(SyncInAsyncError, match="aacquire"):
            semaphore("x").acquire()
        with pytest.raises(SyncInAsyncError, match="async with"), semaphore("x"):
            pass
        await asyncio.gather(*(hold(name) for name in "abc"))
        assert await semaphore("x").aacquire()
        assert await semaphore("x").alocked()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.create_task(hold("never"))
        assert line("x") == 0
        assert await semaphore("x").arelease()

    asyncio.run(scene())
    assert sorted(order[::2]) == [f"{name} in" for name in "abc"]
    assert [word.replace("in", "out") for word in order[::2]] == order[1::2]  # never two inside


# -- whoever dies


def test_kill_9_of_its_owner_gives_it_to_the_next(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=2, tasks=TASKS)
    with cluster.as_current():
        keeping = execute_on_server("jobs.keep", "x")
        cluster.wait_for(lambda: cluster.ledger.count("kept"))
        waiting = execute_on_server("jobs.hold", "x")
        cluster.wait_for(lambda: line("x") == 1)
        keeping.abort(force=True)
        waiting.result(timeout=60)
        assert cluster.ledger.count("in", waiting.number) == 1
        cluster.wait_for(lambda: keeping.state == State.ABORTED)


def test_kill_9_of_one_in_the_line_lets_the_one_behind_it_come(cluster_of: Open) -> None:
    cluster = cluster_of(2, executors=1, tasks=TASKS)
    with cluster.as_current():
        with semaphore("x"):
            first, second = (execute_on_server("jobs.hold", "x") for _ in range(2))
            cluster.wait_for(lambda: line("x") == 2)
            holder = first.record().holder
            os.kill(executor_pid(cluster.server, holder), signal.SIGKILL)
            cluster.wait_for(lambda: first.record().holder != holder)
        first.result(timeout=60)
        second.result(timeout=60)


def test_who_is_to_pause_leaves_the_line_and_joins_it_again(cluster_of: Open) -> None:
    cluster = cluster_of(1, executors=2, tasks=TASKS)
    with cluster.as_current():
        with semaphore("x"):
            first, second = (execute_on_server("jobs.hold", "x") for _ in range(2))
            cluster.wait_for(lambda: line("x") == 2)
            first.pause()
            cluster.wait_for(lambda: first.state == State.PAUSED)
            assert line("x") == 1
        second.result(timeout=20)  # nobody stands in its way
        with semaphore("x"):
            first.resume()
            cluster.wait_for(lambda: first.record().why == "semaphore x")
        first.result(timeout=20)


def test_an_abort_in_the_line_leaves_it(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    with cluster.as_current(), semaphore("x"):
        waiting = execute_on_server("jobs.hold", "x")
        cluster.wait_for(lambda: line("x") == 1)
        waiting.abort()
        assert waiting.wait(timeout=20) == State.ABORTED
        assert line("x") == 0


def executor_pid(server: Server, holder: str) -> int:
    """The pid of the one executor of a worker: the child of the member's program."""
    member = holder.partition(".")[0]
    pid = int(server.store.command("HGET", server.store.key(f"member:{member}"), "pid"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[-1])


def test_never_more_than_its_slots(cluster_of: Open) -> None:
    cluster = cluster_of(2, executors=3, tasks=TASKS)
    with cluster.as_current():
        for one in execute_many("jobs.hold", [("x", 2, 0.02)] * 40):
            one.result(timeout=60)
    moments = sorted((float(words[2]), words[0]) for words in cluster.ledger if words[0] in ("in", "out"))
    inside = most = 0
    for _, word in moments:
        inside += 1 if word == "in" else -1
        most = max(most, inside)
    assert most == 2


# -- lost replies


def contended() -> None:
    free = threading.Event()

    def hold() -> None:
        with semaphore("x"):
            assert free.wait(60)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        wait_for(semaphore("x").locked, 60)
        assert not semaphore("x").acquire(timeout=0.1)
        free.set()
        assert semaphore("x").acquire(timeout=60)
        assert semaphore("x").release()
        held.result(20)
    assert not semaphore("x").locked()


@pytest.mark.parametrize(
    ("name", "nth"),
    [("semaphore", 1), ("semaphore", 2), ("semaphore", 3), ("leave_semaphore", 1), ("clear_semaphores", 1),
     ("clear_semaphores", 2)],
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
        contended()
        assert proxy.broken == 1
