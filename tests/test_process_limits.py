"""Limits: how many run at once, how often they begin, per key and per queue; real scripts, moved a step at a time."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from onserver import Limit, execute_on_server, procedure, wait_all
from onserver.celery_app.app import make_app
from onserver.cluster.member import Member
from onserver.errors import BadArguments, BadDeclaration, MemberFenced, NoWorker
from onserver.life.code import Code
from onserver.planned import QueueSettings
from onserver.process import control
from onserver.process.limits import in_force, key_of, rule
from onserver.process.put import Sender, read_order
from onserver.redis.address import Address
from onserver.server import Server
from onserver.views.processes import Seen
from tests.floor import Executor, Floor, open_floor
from tests.inline_worker import make_server, working

pytestmark = pytest.mark.filterwarnings("ignore::onserver.errors.NoWorker")


@procedure(name="limits.free")
def free(n: int = 0) -> int:
    return n


@procedure(name="limits.pair", limit=Limit(2))
def pair(n: int = 0) -> int:
    return n


@procedure(name="limits.keyed", limit=Limit(2, key="customer"))
def keyed(customer: str, n: int = 0) -> str:
    return f"{customer} {n}"


@procedure(name="limits.computed", limit=Limit(1, key=lambda order, customer: f"{customer}/{order % 2}"))
def computed(order: int, customer: str = "nobody") -> int:
    return order


@procedure(name="limits.rated", limit=Limit(rate=3, per=10))
def rated(n: int = 0) -> int:
    return n


@procedure(name="limits.both", aliases=["limits.former"], limit=Limit(1, rate=2, per=10))
def both(n: int = 0) -> int:
    return n


Open = Callable[..., Floor]


@pytest.fixture
def floor_of(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with ExitStack() as opened:
        yield lambda **queues: opened.enter_context(open_floor(redis_address, **queues))


@pytest.fixture
def floor(floor_of: Open) -> Floor:
    return floor_of()


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


def why(floor: Floor, number: int) -> str:
    (row,) = Seen(floor.store).rows([number])
    return row.why


def relimit(floor: Floor, **rules: Limit | None) -> None:
    """As a worker does that comes with newer code."""
    names = {f"limits.{name}": limit for name, limit in rules.items()}
    floor.member.set_limits({f"p:{name}": rule(limit, name) for name, limit in names.items()})


# ---- at once


def test_no_more_begin_than_are_allowed_and_an_end_lets_the_next(floor: Floor) -> None:
    numbers = [floor.put(pair, n) for n in range(5)]
    first, second, third = floor.executors(3)
    assert [first.claim(), second.claim(), third.claim()] == [*numbers[:2], 0]
    assert why(floor, numbers[2]) == "2 of 2 run at once: limit of `limits.pair`"
    first.end(numbers[0])
    assert third.given() == numbers[2]  # nobody asked for it
    assert second.end(numbers[1], claim=True) == numbers[3]
    assert first.claim() == 0
    second.end(numbers[3])
    assert first.given() == numbers[4]
    third.end(numbers[2])
    first.end(numbers[4])
    assert floor.orphans() == []
    assert floor.store.command("EXISTS", floor.store.key("slots:p:limits.pair"), floor.store.key("closed")) == 0


def test_what_ends_and_claims_in_one_step_gets_the_next_itself(floor: Floor) -> None:
    numbers = [floor.put(pair) for _ in range(4)]
    busy, idle, other = floor.executors(3)
    assert [busy.claim(), other.claim(), idle.claim()] == [*numbers[:2], 0]
    assert busy.end(numbers[0], claim=True) == numbers[2]
    assert idle.given() == 0


def test_a_full_limit_is_in_nobodys_way(floor: Floor) -> None:
    limited = [floor.put(pair) for _ in range(50)]
    others = [floor.put(free) for _ in range(3)]
    executors = floor.executors(5)
    assert [executor.claim() for executor in executors] == [*limited[:2], *others]


def test_what_comes_while_executors_are_idle_is_given_up_to_the_limit(floor: Floor) -> None:
    executors = floor.executors(4)
    assert [executor.claim() for executor in executors] == [0, 0, 0, 0]
    numbers = [floor.put(pair) for _ in range(3)]
    given = sorted(filter(None, (executor.given() for executor in executors)))
    assert given == numbers[:2]


def test_the_highest_priority_goes_first_when_a_slot_falls_free(floor: Floor) -> None:
    executor, other, third = floor.executors(3)
    low = [floor.put(pair, priority=1) for _ in range(4)]
    assert [executor.claim(), other.claim()] == low[:2]
    urgent = floor.put(pair, priority=9)
    assert third.claim() == 0
    assert executor.end(low[0], claim=True) == urgent
    assert executor.end(urgent, claim=True) == low[2]


def test_one_limit_counts_in_every_queue(floor: Floor) -> None:
    here, there = floor.executor("default"), floor.executor("reports")
    first = [floor.put(pair) for _ in range(2)]
    assert [here.claim(), floor.executor().claim()] == first
    elsewhere = floor.put(pair, queue="reports")
    assert there.claim() == 0
    here.end(first[0])
    assert there.given() == elsewhere


def test_who_waits_in_a_queue_without_workers_keeps_nobody_waiting(floor: Floor) -> None:
    executor, other = floor.executors(2)
    numbers = [floor.put(pair) for _ in range(2)]
    assert [executor.claim(), other.claim()] == numbers
    floor.put(pair, queue="nobody", priority=9)
    mine = floor.put(pair)
    assert executor.end(numbers[0], claim=True) == mine


# ---- keys


def test_the_backlog_of_one_key_does_not_block_another(floor: Floor) -> None:
    backlog = floor.many(keyed, [("ann", n) for n in range(1000)])
    bob = floor.put(keyed, "bob")
    first, second, third, fourth = floor.executors(4)
    assert [first.claim(), second.claim(), third.claim(), fourth.claim()] == [*backlog[:2], bob, 0]
    assert why(floor, backlog[2]) == "2 of 2 run at once: limit of `limits.keyed` for customer=ann"
    third.end(bob)
    assert third.claim() == 0
    first.end(backlog[0])
    assert {third.given(), fourth.given()} == {0, backlog[2]}


def test_a_thousand_full_keys_cost_a_claim_nothing(floor: Floor) -> None:
    relimit(floor, keyed=Limit(1, key="customer"))
    customers = [f"c{n:03}" for n in range(300)]
    executors = floor.executors(301)
    for customer in customers:
        floor.many(keyed, [(customer, 1), (customer, 2)])
    begun = [executor.claim() for executor in executors]
    assert len(set(begun)) == 301
    assert begun[-1] == 0
    floor.put(free)
    before = commands(floor)
    assert executors[-1].given()
    executors[0].end(begun[0], claim=True)
    assert commands(floor) - before < 80


def commands(floor: Floor) -> int:
    return int(floor.store.command("INFO", "stats").split(b"total_commands_processed:")[1].split()[0])


def test_a_key_is_told_by_whoever_starts_it(floor: Floor) -> None:
    numbers = [floor.put(keyed, "ann"), floor.put(computed, 3, "bob"), floor.put(computed, 4)]
    assert [floor.field(n, "lk") for n in numbers] == ["customer=ann", "=bob/1", "=nobody/0"]
    order = read_order("limits.keyed", floor.code.described["limits.keyed"].encode())
    assert order.key_in_limit(["ann"], {}) == order.key_in_limit([], {"customer": "ann"}) == "customer=ann"
    assert read_order("limits.computed", floor.code.described["limits.computed"].encode()).limit_key is None


def test_a_key_that_the_sender_cannot_tell_is_told_by_who_runs_it(server: Server) -> None:
    by_name = read_order("limits.computed", Code.of(server).described["limits.computed"].encode())
    with working(server):
        started = Sender(server).put(by_name, [3, "ann"], {})
        assert started.result(timeout=10) == 3
        wrong = Sender(server).put(by_name, ["no number"], {})
        with pytest.raises(TypeError, match="not all arguments converted"):
            wrong.result(timeout=10)
    assert server.store.command("HGET", server.store.key(f"p:{started.number}"), "lk") == b"=ann/1"


def test_a_task_that_comes_through_celery_has_its_key_too(server: Server) -> None:
    make_app(server)
    result = keyed.delay("ann", n=3)
    number = int(server.store.command("HGET", server.store.key("numbers"), "process"))
    assert server.store.command("HGET", server.store.key(f"p:{number}"), "lk") == b"customer=ann"
    with working(server):
        assert result.get(timeout=10) == "ann 3"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("ann", "=ann"),
        (7, "=7"),
        (1.5, "=1.5"),
        (None, "=None"),
        (True, "=True"),
        (Decimal("1.10"), "=1.10"),
        (date(2026, 1, 2), "=2026-01-02"),
        ("", "="),
        ("a b\nc\0", "=a b\\x0ac\\x00"),
    ],
)
def test_a_key_is_a_text_or_a_number(value: object, key: str) -> None:
    find = key_of("limits.any", lambda x: x, Limit(1, key=lambda x: x))
    assert find
    assert find([value], {}) == key


def test_long_keys_are_told_apart_and_kept_short() -> None:
    find = key_of("limits.any", lambda x: x, Limit(1, key="x"))
    assert find
    keys = {find(["y" * 500 + end], {}) for end in "abc"}
    assert len(keys) == 3
    assert max(map(len, keys)) < 220


@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"bytes", object()])
def test_any_other_key_is_refused_before_anything_is_sent(floor: Floor, value: object) -> None:
    find = key_of("limits.any", lambda x: x, Limit(1, key="x"))
    with pytest.raises(BadArguments, match="limit key `x`"):
        assert find
        assert find([value], {})
    with pytest.raises(BadArguments, match="Nothing was sent"):
        floor.put(keyed, [1])
    assert floor.store.command("HGET", floor.store.key("numbers"), "process") is None


@pytest.mark.parametrize("key", ["costumer", "self", lambda costumer: costumer, lambda *args: args, lambda x, /: x])
def test_a_key_of_what_is_no_parameter_is_refused(key: Any) -> None:
    with pytest.raises(BadDeclaration, match=r"limits\.wrong"):

        @procedure(name="limits.wrong", limit=Limit(1, key=key))
        def wrong(customer: str) -> None: ...


# ---- rates


def test_no_more_begin_in_a_time_than_are_allowed(floor: Floor) -> None:
    numbers = [floor.put(rated) for _ in range(7)]
    executor, idle = floor.executors(2)
    for number in numbers[:3]:
        assert executor.claim() == number
        executor.end(number)
    assert executor.claim() == idle.claim() == 0
    assert why(floor, numbers[3]).startswith("3 in 10 s: limit of `limits.rated`, the next in ")
    left = floor.due()
    assert left is not None
    assert 8 < left <= 10
    floor.advance(5)
    assert (executor.given(), idle.given()) == (0, 0)
    floor.advance(5.1)  # the leader opens it, and gives what waits to the idle
    begun = [executor.given(), idle.given()]
    assert sorted(begun) == numbers[3:5]
    assert executor.end(begun[0], claim=True) == numbers[5]
    assert executor.end(numbers[5], claim=True) == 0
    floor.advance(10.1)
    assert executor.given() == numbers[6]
    idle.end(begun[1])
    executor.end(numbers[6])
    assert floor.orphans() == []


def test_each_token_is_back_a_period_after_it_was_taken(floor: Floor) -> None:
    numbers = [floor.put(rated) for _ in range(5)]
    executor = floor.executor()
    assert executor.claim() == numbers[0]
    executor.end(numbers[0])
    floor.advance(6)
    for number in numbers[1:3]:
        assert executor.claim() == number
        executor.end(number)
    assert executor.claim() == 0
    floor.advance(4.1)
    assert executor.given() == numbers[3]
    executor.end(numbers[3])
    assert executor.claim() == 0
    floor.advance(6)
    assert executor.given() == numbers[4]


def test_a_clock_that_was_set_back_stops_nothing_for_longer_than_the_period(floor: Floor) -> None:
    numbers = [floor.put(rated) for _ in range(4)]
    executor = floor.executor()
    floor.advance(3600)
    for number in numbers[:3]:
        assert executor.claim() == number
        executor.end(number)
    floor.advance(-3600)
    assert executor.claim() == 0
    floor.advance(10.1)
    assert executor.given() == numbers[3]


def test_both_limits_and_an_alias_count_together(floor: Floor) -> None:
    order = both.order
    former = Sender(floor.server).put(replace(order, procedure="limits.former"), [0], {}).number
    numbers = [floor.put(both) for _ in range(2)]
    first, second = floor.executors(2)
    assert first.claim() == former
    assert second.claim() == 0  # at once
    first.end(former)
    assert second.given() == numbers[0]
    second.end(numbers[0])
    assert second.claim() == 0  # rate
    floor.advance(10.1)
    assert numbers[1] in (first.given(), second.given())


# ---- what gives a slot back


def test_a_slot_is_given_back_with_what_had_it(floor: Floor) -> None:
    def again() -> tuple[Any, Any, list[int]]:
        numbers = [floor.put(pair) for _ in range(3)]
        first, second = floor.executors(2)
        assert [first.claim(), second.claim()] == numbers[:2]
        return first, second, numbers

    first, second, numbers = again()
    first.back(numbers[0], "counted")  # it goes before those that came later
    assert first.claim() == numbers[0]
    floor.member.bury(second.holder, numbers[1])
    third = floor.executor()
    assert third.claim() == numbers[1]
    third.step(0, numbers[1], "end", "failed", b"\x81\xa4type\xa1E", "")
    assert third.claim() == numbers[2]
    third.end(numbers[2])
    floor.member.give(first.holder, 1)
    assert third.claim() == numbers[0]
    third.end(numbers[0])
    assert floor.orphans() == []


def test_a_paused_and_an_aborted_process_take_no_slot(floor: Floor) -> None:
    numbers = [floor.put(pair) for _ in range(4)]
    first, second, third = floor.executors(3)
    assert [first.claim(), second.claim()] == numbers[:2]
    control.pause(floor.server, numbers[0])
    first.back(numbers[0])
    assert floor.state(numbers[0]) == "paused"
    control.abort(floor.server, numbers[2])
    assert third.claim() == numbers[3]
    second.end(numbers[1])
    control.resume(floor.server, numbers[0])
    assert second.claim() == numbers[0]
    for executor, number in ((second, numbers[0]), (third, numbers[3])):
        executor.end(number)
    assert floor.orphans() == []


# ---- a queue's own


def test_the_limit_of_a_queue_stands_above_that_of_a_procedure(floor_of: Open) -> None:
    floor = floor_of(default=QueueSettings(at_once=3))
    pairs, others = [floor.put(pair) for _ in range(4)], [floor.put(free) for _ in range(3)]
    executors = floor.executors(5)
    assert [executor.claim() for executor in executors] == [*pairs[:2], others[0], 0, 0]
    assert why(floor, others[1]) == "3 of 3 run at once: limit of queue `default`"
    executors[0].end(pairs[0])
    given = {executors[3].given(), executors[4].given()}
    assert given == {0, pairs[2]}
    executors[1].end(pairs[1])
    executors[2].end(others[0])
    assert floor.running() == pairs[2:]
    assert [executors[0].claim(), executors[1].claim()] == [others[1], 0]


def test_the_rate_of_a_queue(floor_of: Open) -> None:
    floor = floor_of(default=QueueSettings(rate=2, per_seconds=60))
    numbers = [floor.put(free) for _ in range(3)]
    elsewhere = floor.put(free, queue="reports")
    executor = floor.executor("default", "reports")
    assert executor.claim() == numbers[0]
    assert executor.end(numbers[0], claim=True) == numbers[1]
    assert executor.end(numbers[1], claim=True) == elsewhere
    assert executor.end(elsewhere, claim=True) == 0
    assert why(floor, numbers[2]).startswith("2 in 60 s: limit of queue `default`")
    floor.advance(60.1)
    assert executor.given() == numbers[2]


# ---- newer code


def test_a_limit_that_is_raised_lets_more_begin_at_once(floor: Floor) -> None:
    numbers = [floor.put(pair) for _ in range(5)]
    executors = floor.executors(5)
    assert [executor.claim() for executor in executors] == [*numbers[:2], 0, 0, 0]
    relimit(floor, pair=Limit(4))
    assert sorted(filter(None, (executor.given() for executor in executors))) == numbers[2:4]
    relimit(floor, pair=None)
    assert sorted(filter(None, (executor.given() for executor in executors))) == numbers[4:]


def test_a_limit_that_is_lowered_lets_nobody_begin_until_enough_have_ended(floor: Floor) -> None:
    numbers = [floor.put(pair) for _ in range(4)]
    first, second = floor.executors(2)
    assert [first.claim(), second.claim()] == numbers[:2]
    relimit(floor, pair=Limit(1))
    assert first.end(numbers[0], claim=True) == 0
    second.end(numbers[1])
    assert first.given() == numbers[2]
    assert second.claim() == 0


def test_a_new_limit_counts_what_runs_already(floor: Floor) -> None:
    numbers = [floor.put(free) for _ in range(3)]
    first, second = floor.executors(2)
    assert first.claim() == numbers[0]
    relimit(floor, free=Limit(1))
    assert second.claim() == 0
    first.end(numbers[0])
    assert second.given() == numbers[1]
    assert floor.orphans() == []


def test_a_limit_that_gets_keys_sorts_what_waits_already(server: Server) -> None:
    with pytest.warns(NoWorker):
        waiting = [execute_on_server("limits.keyed", customer, 1) for customer in ("ann", "bob", "ann")]
    for process in waiting:
        server.store.command("HDEL", server.store.key(f"p:{process.number}"), "lk")
    with working(server):
        assert wait_all(waiting, timeout=10) == ["ann 1", "bob 1", "ann 1"]


def test_a_worker_of_a_server_that_has_forgotten_it_sets_no_limits(floor: Floor) -> None:
    floor.member.leave()
    with pytest.raises(MemberFenced):
        relimit(floor, pair=Limit(1))


# ---- everything together


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_happens_the_cap_holds_and_nothing_is_stuck(floor_of: Open, seed: int) -> None:
    chance = random.Random(seed)
    floor = floor_of(default=QueueSettings(at_once=6))
    executors = floor.executors(9)
    holds: dict[str, int] = {}
    put: list[int] = []

    def caps() -> None:
        names = [(floor.field(n, "t"), floor.field(n, "lk")) for n in floor.running()]
        assert len(names) <= 6
        assert sum(name == "limits.pair" for name, _ in names) <= 2
        assert all(names.count(("limits.keyed", f"customer=c{n}")) <= 2 for n in range(3))

    def begin(executor: Executor) -> None:
        number = executor.claim() if executor.holder not in holds else 0
        if number:
            holds[executor.holder] = number

    def end(executor: Executor) -> None:
        number = holds.pop(executor.holder, 0)
        if number and chance.random() < 0.2:
            executor.back(number, chance.choice(["", "begun", "counted"]))
        elif number:
            executor.end(number)

    def die(executor: Executor) -> None:
        floor.member.bury(executor.holder, holds.pop(executor.holder, 0))
        executors[executors.index(executor)] = floor.executor()

    def start() -> None:
        what = chance.choice([free, pair, keyed, rated])
        args = (f"c{chance.randrange(3)}",) if what is keyed else ()
        put.append(floor.put(what, *args, priority=chance.randrange(10)))

    def turn() -> None:
        executor = chance.choice(executors)
        turns: list[Callable[[], None]] = [
            *[start] * 3,
            partial(begin, executor),
            *[partial(end, executor)] * 2,
            partial(floor.advance, chance.random() * 3),
            partial(die, executor),
        ]
        chance.choice(turns)()

    for _ in range(500):
        turn()
        for executor in executors:
            if given := executor.given():
                assert executor.holder not in holds
                holds[executor.holder] = given
        caps()
    for _ in range(3000):
        if all(floor.state(number) in ("done", "dead") for number in put):
            break
        floor.advance(1)
        for executor in executors:
            if given := executor.given():
                holds[executor.holder] = given
            begin(executor)
            if number := holds.pop(executor.holder, 0):
                executor.end(number)
        caps()
    assert {floor.state(number) for number in put} <= {"done", "dead"}
    floor.advance(60)
    assert [executor.claim() for executor in executors] == [0] * len(executors)
    assert floor.orphans() == []
    assert floor.store.command("EXISTS", *map(floor.store.key, ("closed", "queues", "q:default"))) == 0


# ---- whose word counts


def test_the_newest_word_counts_and_who_comes_back_does_not_set_it_back(floor: Floor) -> None:
    word = {"q:default": rule(QueueSettings(at_once=1), "default")}
    said = floor.member.set_limits(word)
    newer = Member.join(floor.store, floor.server.settings, "worker", "newer")
    floor.advance(1)
    assert newer.set_limits({"q:default": rule(QueueSettings(at_once=3), "default")}) > said
    back = Member.join(floor.store, floor.server.settings, "worker", "test")
    assert back.set_limits(word, said) == said
    (limit,) = (each for each in in_force(Seen(floor.store).limits()) if each.kind == "queue")
    assert (limit.name, limit.at_once, limit.rate, limit.keyed) == ("default", 3, 0, False)
    assert back.set_limits({}) > said  # started anew, with settings that have no such table
    assert [each for each in in_force(Seen(floor.store).limits()) if each.kind == "queue"] == []


def test_each_limit_in_force_is_told_once(floor: Floor) -> None:
    told = {each.name: each for each in in_force(Seen(floor.store).limits())}
    assert "limits.former" not in told
    assert (told["limits.both"].at_once, told["limits.both"].rate, told["limits.both"].per_seconds) == (1, 2, 10.0)
    assert told["limits.keyed"].keyed
