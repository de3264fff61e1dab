"""Many processes put in one script: what they become is what each alone would be, and they cost less."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import time
from typing import Any

import pytest

from onserver import Limit, procedure
from onserver.errors import BrokerUnavailable, MaintenanceMode
from onserver.planned import QueueSettings
from onserver.process.gates import pause_queue, resume_queue
from onserver.process.maintenance import begin_maintenance
from onserver.process.put import Sender
from onserver.redis.address import Address
from onserver.redis.store import Store
from onserver.values import decode
from tests.floor import Executor, Floor, open_floor

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")


@procedure(name="many.free")
def free(n: int = 0) -> int:
    return n


@procedure(name="many.other")
def other(n: int = 0) -> int:
    return n


@procedure(name="many.keyed", limit=Limit(1, key="customer"))
def keyed(customer: str) -> str:
    return customer


@procedure(name="many.first", priority=9)
def first(n: int = 0) -> int:
    return n


@pytest.fixture
def floor(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with ExitStack() as opened:
        yield opened.enter_context(open_floor(redis_address, narrow=QueueSettings(at_once=2)))


def all_of(executor: Executor) -> list[int]:
    """What it claims, one after the other, until there is nothing."""
    return list(iter(executor.claim, 0))


def record(floor: Floor, number: int) -> dict[bytes, bytes]:
    found = floor.store.command("HGETALL", floor.store.key(f"p:{number}"))
    return dict(zip(found[::2], found[1::2], strict=True))


def test_each_is_what_it_would_be_alone_and_has_its_turn(floor: Floor) -> None:
    alone = floor.put(free, 1)
    numbers = floor.many(free, [(n,) for n in range(250)])
    before, last = record(floor, alone), record(floor, numbers[-1])
    assert set(before) == set(last)
    assert {name: last[name] for name in (b"s", b"q", b"t")} == {b"s": b"queued", b"q": b"default", b"t": b"many.free"}
    assert int(last[b"z"]) - int(before[b"z"]) == numbers[-1] - alone
    assert abs(int(last[b"a"]) - floor.store.now_ms()) < 60_000
    later = floor.put(free, 2)
    executor = floor.executor()
    assert [first.number for first in executor.step(1)] == [alone]
    assert all_of(executor) == [*numbers, later]
    assert floor.orphans() == []


def test_those_who_are_idle_have_the_first_of_them(floor: Floor) -> None:
    idle = floor.executors(3)
    assert [executor.claim() for executor in idle] == [0, 0, 0]
    numbers = floor.many(free, [(n,) for n in range(10)])
    assert sorted(executor.given() for executor in idle) == numbers[:3]
    assert all_of(floor.executor()) == numbers[3:]


def test_when_there_are_as_many_idle_nobody_stands_in_line(floor: Floor) -> None:
    idle = floor.executors(3)
    assert [executor.claim() for executor in idle] == [0, 0, 0]
    numbers = floor.many(free, [(1,), (2,)])
    assert sorted(executor.given() for executor in idle) == [0, *numbers]
    assert floor.store.command("EXISTS", floor.store.key("q:default")) == 0


def test_procedures_and_priorities_keep_their_order(floor: Floor) -> None:
    some, others, urgent = (floor.many(one, [(1,), (2,)]) for one in (free, other, first))
    more = floor.many(free, [(3,), (4,)])
    assert all_of(floor.executor()) == [*urgent, *some, *others, *more]


def test_each_stands_in_the_line_of_its_key(floor: Floor) -> None:
    numbers = floor.many(keyed, [("a",), ("a",), ("b",), ("a",)])
    executor = floor.executor()
    assert all_of(executor) == [numbers[0], numbers[2]]
    assert executor.end(numbers[0], claim=True) == numbers[1]
    assert executor.end(numbers[1], claim=True) == numbers[3]


def test_a_queue_lets_no_more_begin_than_it_may(floor: Floor) -> None:
    idle = [floor.executor("narrow") for _ in range(4)]
    assert [executor.claim() for executor in idle] == [0] * 4
    numbers = floor.many(free.options(queue="narrow"), [(n,) for n in range(5)])
    given = {executor.given(): executor for executor in idle}
    assert sorted(given) == [0, *numbers[:2]]
    assert given[numbers[0]].end(numbers[0], claim=True) == numbers[2]
    assert given[numbers[1]].end(numbers[1], claim=True) == numbers[3]


def test_nobody_has_one_while_its_queue_is_paused(floor: Floor) -> None:
    executor = floor.executor()
    assert executor.claim() == 0
    pause_queue(floor.server, "default")
    numbers = floor.many(free, [(1,), (2,), (3,)])
    assert executor.given() == 0
    resume_queue(floor.server, "default")
    assert executor.given() == numbers[0]
    assert all_of(floor.executor()) == numbers[1:]


def test_of_a_hundred_that_wait_each_is_one_command_in_redis(floor: Floor) -> None:
    floor.many(free, [(1,)])
    floor.store.command("CONFIG", "RESETSTAT")
    floor.many(free, [(n,) for n in range(100)])
    stats = floor.store.command("INFO", "commandstats").decode()
    calls = {line.split(":")[0]: int(line.split("calls=")[1].split(",")[0]) for line in stats.splitlines()[1:]}
    assert calls["cmdstat_hset"] == 100
    assert calls["cmdstat_zadd"] == 3  # the first, its procedure, and all others


# ---- so many that a hundred are sent before the last hundred are answered


def meanwhile(monkeypatch: pytest.MonkeyPatch, nth: int, happens: Callable[[], object]) -> None:
    """Let it happen when the nth hundred of processes is made and not sent yet."""
    words_of, made = Sender._put_many_words, list[int]()

    def words(sender: Sender, *args: Any) -> Any:
        said = words_of(sender, *args)
        made.append(1)
        if len(made) == nth:
            happens()
        return said

    monkeypatch.setattr(Sender, "_put_many_words", words)


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_program_that_was_stopped_between_signing_and_sending_signs_once_more(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    slept = [0]

    def stopped() -> None:
        slept[0] = 3600
        floor.advance(3600)

    monkeypatch.setattr("onserver.redis.store.time", lambda: time() + slept[0])
    meanwhile(monkeypatch, nth, stopped)
    numbers = floor.many(free, [(n,) for n in range(650)])
    assert sorted(all_of(floor.executor())) == sorted(set(numbers))
    assert -1 < floor.store._ahead < 1  # nothing was wrong with either clock


@pytest.mark.parametrize("more", [0, 1])
def test_where_no_more_clients_may_connect_they_are_put_all_the_same(floor: Floor, more: int) -> None:
    assert len(floor.many(free, [(1,)])) == 1
    store = floor.store
    there = len(store.command("CLIENT", "LIST").splitlines())
    before = store.command("CONFIG", "GET", "maxclients")[1]
    store.command("CONFIG", "SET", "maxclients", there + more)
    try:
        numbers = floor.many(free, [(n,) for n in range(650)])
        if not more:
            told = pytest.raises(BrokerUnavailable, match=r"max number of clients.*`maxclients`")
            with Store(store.address, store.name, command_seconds=1) as other, told:
                other.command("PING")
    finally:
        store.command("CONFIG", "SET", "maxclients", before)
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("seconds", [-60, 60])
@pytest.mark.parametrize("nth", [1, 2, 3, 7])
def test_when_the_clock_is_changed_meanwhile_all_are_put_once(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, nth: int, seconds: int
) -> None:
    meanwhile(monkeypatch, nth, lambda: floor.advance(seconds))
    numbers = floor.many(free, [(n,) for n in range(650)])
    bodies = floor.store.pipeline([("HGET", floor.store.key(f"p:{number}"), "b") for number in numbers])
    assert [decode(body) for body in bodies] == [[[n], {}] for n in range(650)]
    assert sorted(all_of(floor.executor())) == sorted(set(numbers))
    assert floor.orphans() == []


def test_when_maintenance_begins_meanwhile_it_is_raised_and_what_was_sent_by_then_runs(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, 4, lambda: begin_maintenance("month-end"))
    with floor.server.as_current(), pytest.raises(MaintenanceMode, match="month-end"):
        floor.many(free, [(n,) for n in range(650)])
    assert all_of(floor.executor()) == list(range(1, 301))
    assert floor.orphans() == []
