"""What Redis keeps of schedules, and what `put` decides: one process for each time, in the step that makes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onserver.errors import ScheduleNotFound
from onserver.process.added import remove_schedule
from onserver.process.plan import hold, plan_of, planned
from onserver.process.schedule import Entry
from onserver.process.timing import Timing
from onserver.redis.keys import find_orphans
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.testing.proxy import RUNS, Proxy

HOUR = 3_600_000


def plan(store: Store, code: str, *entries: Entry) -> None:
    store.run("plan", code, *[word for one in entries for word in (one.name, one.written(), one.timing.name, "c")])


def entry(name: str, text: str = "0 * * * *") -> Entry:
    return Entry(name=name, procedure="jobs.p", timing=Timing.read(text))


def put(store: Store, name: str, at_ms: int) -> str:
    words: list[Word] = ["", store.now_ms(), "default", 5, 0, "", "", "", "", 0, "t", "jobs.p", "b", b"", "sk", name]
    how: bytes = store.run("put", store.nonce(), *words, *(("st", at_ms) if at_ms else ()))[1]
    return how.decode()


def advance(store: Store, ms: int) -> None:
    store.command("INCRBY", store.key("clock"), ms)
    store.close()
    store.command("PING")  # a new connection tells the clock


@pytest.fixture
def full(store: Store) -> int:
    """The next full hour; it is ten to, and `hourly` is planned."""
    full = (store.now_ms() // HOUR + 1) * HOUR
    advance(store, full - 10 * 60_000 - store.now_ms())
    plan(store, "code", entry("hourly"))
    return full


def test_each_time_starts_one_process(store: Store, full: int) -> None:
    assert put(store, "hourly", full) == "early"
    assert put(store, "hourly", full - HOUR) == "ticked", "it was not there then"
    advance(store, 2 * HOUR)
    assert put(store, "hourly", full) == "new"
    assert put(store, "hourly", full) == "ticked"
    assert put(store, "hourly", full + HOUR) == "new"
    assert put(store, "hourly", full) == "ticked", "a late leader comes with an older one"
    assert planned(store, "hourly").number == 2
    assert put(store, "hourly", 0) == "new", "by hand, at any time"
    assert planned(store, "hourly").number == 3
    assert store.command("HMGET", store.key("p:2"), "sk", "st") == [b"hourly", str(full + HOUR).encode()]


def test_a_lost_reply_starts_nothing_twice(proxy: Proxy, store: Store, full: int) -> None:
    advance(store, HOUR)
    with Store(proxy.address, store.name, testing=True) as far:
        far.command("PING")
        proxy.swallow_reply(matching=lambda words: words[0] in RUNS and b"hourly" in words)
        assert put(far, "hourly", full) == "new"
        assert proxy.broken == 1
        assert planned(far, "hourly").number == 1


def test_a_paused_schedule_lets_its_times_pass(store: Store, full: int) -> None:
    assert hold(store, "hourly", "ann") is False
    assert hold(store, "hourly", "bob") is True
    assert planned(store, "hourly").paused == "ann"
    assert planned(store, "hourly").coming(full - 1) == []
    advance(store, HOUR)
    assert put(store, "hourly", full) == "paused"
    assert hold(store, "hourly", "") is False
    assert hold(store, "hourly", "") is True
    assert put(store, "hourly", full) == "ticked", "it passed while it was paused"
    advance(store, HOUR)
    assert put(store, "hourly", full + HOUR) == "new"


def test_a_schedule_with_other_times_begins_now(store: Store, full: int) -> None:
    began = planned(store, "hourly").last_ms
    advance(store, 5 * HOUR)
    plan(store, "code", entry("hourly"))
    assert planned(store, "hourly").last_ms == began, "what it missed is still to be decided"
    plan(store, "code", entry("hourly", "30 * * * *"))
    assert planned(store, "hourly").last_ms >= began + 5 * HOUR
    assert put(store, "hourly", full + 30 * 60_000) == "ticked"


def test_a_schedule_that_no_living_code_has_goes_out(store: Store) -> None:
    names: Callable[[], list[str]] = lambda: [one.entry.name for one in plan_of(store)]  # noqa: E731
    plan(store, "old", entry("a"), entry("b"))
    store.command("HSET", store.key("codes"), "old", 1)
    plan(store, "new", entry("b"))
    assert names() == ["a", "b"], "a worker with the old code is up"
    assert [bool(one) for one in store.run("timetable", "new")[1:]] == [True, True]
    store.command("DEL", store.key("codes"))
    assert names() == ["a", "b"], "nobody has said anything else"
    assert [row[0] for row in store.run("timetable", "new")[1:]] == [b"b"], "but it starts nothing any more"
    plan(store, "new", entry("b"))
    assert names() == ["b"]
    assert put(store, "a", 1) == "ticked", "what has been is remembered for a while"
    with pytest.raises(ScheduleNotFound):
        hold(store, "a", "ann")
    assert not find_orphans(store)


def test_a_schedule_that_nobody_planned_starts_nothing(store: Store) -> None:
    assert put(store, "never", 1) == "gone"
    with pytest.raises(ScheduleNotFound, match="There is no schedule `never`"):
        planned(store, "never")


def test_what_is_added_stays_whichever_code_is_up_and_goes_when_it_is_removed(store: Store) -> None:
    def add(one: Entry) -> int:
        return int(store.run("add_schedule", store.nonce(), one.name, one.written(), one.timing.name, "c"))

    assert add(entry("mine")) == 1
    assert add(entry("mine", "30 * * * *")) == 0
    plan(store, "code", entry("hourly"))
    assert sorted(row[0] for row in store.run("timetable", "code")[1:]) == [b"hourly", b"mine"]
    plan(store, "newer")
    assert [one.entry.name for one in plan_of(store)] == ["mine"]
    assert not planned(store, "mine").alive, "no worker is up"
    assert remove_schedule(store, "mine")
    with pytest.raises(ScheduleNotFound):
        remove_schedule(store, "mine")
    assert put(store, "mine", 1) == "gone"
    assert not find_orphans(store)


def test_a_declared_schedule_takes_the_place_of_one_that_was_added(store: Store) -> None:
    store.run("add_schedule", store.nonce(), "a", entry("a").written(), entry("a").timing.name, "c")
    plan(store, "code", entry("a", "30 * * * *"))
    assert planned(store, "a").entry.timing.text == "30 * * * *"
    assert not remove_schedule(store, "a")
    plan(store, "code")
    assert plan_of(store) == []


def test_a_lost_reply_adds_and_removes_once(proxy: Proxy, store: Store) -> None:
    one = entry("mine")
    with Store(proxy.address, store.name, testing=True) as far:
        far.command("PING")
        proxy.swallow_reply(matching=lambda words: words[0] in RUNS and b"mine" in words)
        assert far.run("add_schedule", far.nonce(), one.name, one.written(), one.timing.name, "c") == 1
        proxy.swallow_reply(matching=lambda words: words[0] in RUNS and b"mine" in words)
        assert remove_schedule(far, "mine")
    assert proxy.broken == 2
