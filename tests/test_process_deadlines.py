"""`expires=` and `timeout=` in records: who ends what has not begun in time, and what has begun and goes on.

What happens to real runs is in `cluster/test_deadlines.py`.
"""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import pytest

from onserver import Process, Retry, execute_many, execute_on_server, mailbox, procedure, process
from onserver.cluster.sweep import release_due
from onserver.errors import BadDeclaration, NoWorker, ProcessTimeout
from onserver.process.put import Order, read_order
from onserver.redis.store import Store
from onserver.testing.inline import OnServer

ran: list[int] = []


@pytest.fixture(autouse=True)
def empty() -> None:
    ran.clear()


@procedure(name="shop.soon", expires=5, timeout=3, grace=1)
def soon(n: int = 0) -> int:
    ran.append(process().number)
    return n


@procedure(name="shop.tries", expires=5, retry=Retry(times=2, delay=10, jitter=0))
def tries(until: int) -> int:
    if process().attempt < until:
        raise OSError
    return process().attempt


@procedure
def at_any_time() -> None:
    ran.append(process().number)


@procedure(name="shop.open", queue="apart", expires=5)
def apart() -> None:
    """Nobody takes it here."""


def started(start: Any, *args: Any) -> Process[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)
        found: Process[Any] = start(*args)
    return found


def turns(store: Store) -> list[str]:
    return [turn.decode() for turn in store.command("ZRANGE", store.key("turns"), 0, -1)]


def expired(one: Process[Any], seconds: int = 5) -> bool:
    text = rf"#{one.number} never began: nobody could run it within its expires of {seconds} s"
    with pytest.raises(ProcessTimeout, match=text):
        one.result(timeout=0)
    return one.state == "failed"


def test_what_is_queued_delayed_or_paused_expires(onserver: OnServer) -> None:
    queued, paused = started(apart.start), started(apart.start)
    delayed = soon.options(delay=100)()
    paused.pause()
    onserver.advance(4)
    assert [one.state for one in (queued, delayed, paused)] == ["queued", "delayed", "paused"]
    onserver.advance(2)
    assert all(map(expired, (queued, delayed, paused)))
    assert ran == []
    assert turns(onserver.server.store) == []


def test_what_has_begun_in_time_may_take_as_long_as_it_likes(onserver: OnServer) -> None:
    assert execute_on_server(soon, 7).result(timeout=10) == 7
    assert turns(onserver.server.store) == []


def test_retries_are_not_bound_by_it(onserver: OnServer) -> None:
    one = execute_on_server(tries, 3)
    onserver.advance(11)
    onserver.advance(21)
    assert one.result(timeout=10) == 3


def test_a_delay_longer_than_it_lets_it_expire(onserver: OnServer) -> None:
    one = soon.options(delay=6)()
    onserver.advance(7)  # both are due now: it has expired first
    assert expired(one)


def test_one_start_may_have_its_own(onserver: OnServer) -> None:
    longer, never = soon.options(delay=6, expires=20)(), soon.options(delay=6, expires=0)()
    shorter = tries.options(delay=6, expires=2)(1)
    onserver.advance(7)
    assert [one.result(timeout=10) for one in (longer, never)] == [0, 0]
    assert expired(shorter, 2)
    assert repr(tries.options(expires=2)).endswith(" expires=2>")


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_a_start_whose_time_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(BadDeclaration, match="has expires="):
        soon.options(expires=seconds)


def test_many_starts_and_starts_by_name_keep_it(onserver: OnServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)
        found = [*execute_many(apart, [() for _ in range(3)]), execute_on_server("shop.open")]
    onserver.advance(6)
    assert all(map(expired, found))


def test_what_other_programs_hear_of_a_procedure_has_its_deadlines() -> None:
    order = read_order("shop.soon", json_of(soon.describe()))
    assert (order.timeout, order.grace, order.expires) == (3.0, 1.0, 5.0)
    assert read_order("x", json_of({"queue": "q"})) == Order(procedure="x", shape=None, queue="q")


def json_of(facts: Any) -> bytes:
    return json.dumps(facts).encode()


def test_a_start_by_celery_keeps_it(onserver: OnServer) -> None:
    result = soon.apply_async((1,), countdown=100)
    number = onserver.server.store.command("ZRANGE", onserver.server.store.key("due"), 0, -1)[0]
    onserver.advance(6)
    assert expired(Process.get(int(number)))
    assert result.state == "FAILURE"


def test_one_that_was_handed_back_unbegun_expires_and_one_that_had_begun_does_not(onserver: OnServer) -> None:
    store, member = onserver.server.store, onserver.engine.member
    code = onserver.engine.place.code
    numbers = []
    for extra in ("", "begun"):
        one = started(apart.start)
        holder = member.enlist(code, ["apart"])
        words = (holder, 1, 0, 60, 120, 3, code, 1, "apart")
        store.run("step", *words)
        store.run("step", holder, 0, *words[2:], one.number, "back", "", "", extra)
        member.bury(holder)
        numbers.append(one)
        if not extra:
            onserver.advance(6)
    onserver.advance(6)
    assert expired(numbers[0])
    assert numbers[1].state == "queued"
    store.command("HSET", store.key(f"p:{numbers[1].number}"), "q", "default")
    numbers[1].abort()


def test_a_claim_that_comes_too_late_never_begins(onserver: OnServer) -> None:
    one = soon.options(delay=3)()
    store = onserver.server.store
    store.command("INCRBY", store.key("clock"), 3500)
    release_due(onserver.engine.member)  # handed over, and not begun
    store.command("INCRBY", store.key("clock"), 3000)
    store._ahead += 6.5  # what this program knows of Redis' clock
    onserver.run_waiting()
    assert expired(one)
    assert ran == []


def test_a_record_whose_time_was_set_later_is_not_believed(onserver: OnServer) -> None:
    one = soon.options(delay=100)()
    store = onserver.server.store
    key = store.key(f"p:{one.number}")
    store.command("HSET", key, "ex", int(store.command("HGET", key, "ex")) + 1_000_000)
    store.command("ZREM", store.key("turns"), f"e:{one.number}")
    store._ahead += 6
    onserver.advance(101)
    assert one.state == "failed"
    assert ran == []


def test_a_call_of_a_mailbox_that_is_late_is_not_run_and_the_next_is(onserver: OnServer) -> None:
    box = mailbox("late")
    box.call(tries, 2)  # it will be tried again in ten seconds
    box.call(soon, 1)
    box.call(at_any_time)
    onserver.server.store._ahead += 11
    onserver.advance(11)
    working = box.process
    assert working is not None
    assert ran == [working.number]
    assert box.waiting == 0
    store = onserver.server.store
    assert store.command("HGET", store.key(f"p:{working.number}"), "mf") == b"1"
    box.kill()


@pytest.mark.parametrize("option", ["timeout", "grace", "expires"])
@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
def test_what_cannot_be_kept_is_refused(option: str, seconds: float) -> None:
    with pytest.raises(BadDeclaration, match=f"has {option}="):
        procedure(**{option: seconds})(apart.function)  # type: ignore[call-overload]


def test_the_time_of_a_start_is_checked() -> None:
    with pytest.raises(BadDeclaration, match="has timeout=-1"):
        soon.options(timeout=-1)
