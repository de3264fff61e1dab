"""The feed of events: what is told once, what it says, and what is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from time import monotonic

import pytest

from onserver import system_event
from onserver.cluster.member import Member
from onserver.cluster.sweep import bury_member
from onserver.errors import BadEvent, MemberFenced, NotSendable
from onserver.life.event_kinds import KINDS, checked, kind_of
from onserver.life.events import Event, News, follow_events, read_events, tell_event, tell_events, tell_own
from onserver.redis.store import Store
from onserver.settings import Settings

LUA = files("onserver.redis") / "lua"


def names(store: Store) -> list[str]:
    return [event.name for event in read_events(store)]


def joined(store: Store, node: str = "w1", kind: str = "worker") -> Member:
    return Member.join(store, Settings(name=store.name), kind, node)


# ---- the catalogue


def test_codes_and_names_are_unique_and_ours_begin_at_101() -> None:
    assert len({kind.code for kind in KINDS}) == len({kind.name for kind in KINDS}) == len(KINDS)
    assert {kind.name: kind.code for kind in KINDS if kind.code <= 100} == {"background": 1, "foreground": 2}
    assert all(101 <= kind.code < 1000 for kind in KINDS if kind.code > 2)


def scripts() -> Iterator[str]:
    for folder in (LUA, LUA / "fragments"):
        for file in folder.iterdir():
            if file.name.endswith(".lua"):
                yield file.read_text("utf-8")


def test_what_scripts_tell_is_in_the_catalogue_under_its_code() -> None:
    found = {(int(code), name) for text in scripts() for code, name in re.findall(r"\((\d{3}), '([a-z_.]+)'", text)}
    assert {"worker.dead", "leader.changed"} <= {name for _, name in found}
    for code, name in found:
        kind = kind_of(name)
        assert kind is not None, name
        assert kind.code == code, name


@pytest.mark.parametrize(
    ("name", "payload", "problem"),
    [
        ("worker.dead", {"member": 1}, "has the fields member, worker, host, why"),
        ("redis.back", {"address": "a", "seconds": "3"}, "`seconds` is a float"),
        ("clock.jumped", {"seconds": True}, "`seconds` is a float"),
        ("leader.changed", {"member": True, "worker": "", "before": 0}, "`member` is an int"),
    ],
)
def test_a_payload_that_is_not_as_the_catalogue_has_it_is_refused(
    name: str, payload: dict[str, object], problem: str
) -> None:
    with pytest.raises(BadEvent, match=problem):
        checked(name, payload)


# ---- telling


def test_what_is_told_is_read_again(store: Store) -> None:
    tell_event(store, "redis.back", {"address": "here", "seconds": 1.5}, who="w1")
    told = read_events(store)[0]
    assert (told.name, told.code, told.payload["seconds"], told.worker) == ("redis.back", 112, 1.5, "w1")
    assert abs(told.at_ms - store.now_ms()) < 10_000


def test_an_event_that_is_told_late_has_the_time_at_which_it_was(store: Store) -> None:
    tell_events(store, [News(name="redis.back", payload={"address": "a", "seconds": 0}, seen=monotonic() - 60)])
    assert 59_000 < store.now_ms() - read_events(store)[0].at_ms < 70_000


def test_the_last_thousand_are_kept_in_their_order(store: Store) -> None:
    for start in range(0, 1010, 101):
        some = [News(name="many", payload={"n": n}, seen=monotonic()) for n in range(start, start + 101)]
        tell_events(store, some)
    kept = read_events(store)
    assert [event.payload["n"] for event in kept] == list(range(10, 1010))
    assert [event.id for event in kept] == sorted((event.id for event in kept), key=_parts)
    assert [event.payload["n"] for event in read_events(store, 3)] == [1007, 1008, 1009]


def _parts(identity: str) -> list[int]:
    return [int(part) for part in identity.split("-")]


def test_only_those_since_then_are_read(store: Store) -> None:
    tell_events(store, [News(name="early", payload={}, seen=monotonic() - 100)])
    tell_own(store, "late", {})
    assert [event.name for event in read_events(store, since_ms=store.now_ms() - 50_000)] == ["late"]


def test_what_is_sent_twice_is_told_once(store: Store) -> None:
    words = (store.nonce(), 0, "x", 1000, "once", b"\x80", 0, "")
    assert store.run("tell_events", *words) == store.run("tell_events", *words)
    assert names(store) == ["once"]


def test_the_dead_tell_nothing(store: Store) -> None:
    member = joined(store)
    bury_member(store, member.settings, member.number, "for the test")
    with pytest.raises(MemberFenced):
        tell_own(store, "late", {}, member=member.number)
    assert "late" not in names(store)


def told(store: Store, counts: str, *, ago: float = 0.0, member: int = 0) -> bool:
    news = News(name="seen", payload={}, seen=monotonic() - ago, counts=counts)
    return tell_events(store, [news], member=member) != [""]


def test_a_mark_is_told_when_it_is_passed_and_not_again(store: Store) -> None:
    steps = ["under disk a", "over disk a", "over disk a", "over disk b", "under disk a", "under disk a", "over disk a"]
    assert [told(store, step) for step in steps] == [False, True, False, True, True, False, True]


def test_what_several_see_within_a_while_is_told_once(store: Store) -> None:
    assert [told(store, "window 60000 jump a") for _ in range(3)] == [True, False, False]
    assert told(store, "window 60000 jump b")


def test_only_the_leader_tells_what_the_leader_tells(store: Store) -> None:
    one, two = joined(store), joined(store, "w2")
    assert one.beat().leader
    assert not two.beat().leader
    assert told(store, "leads", member=one.number)
    assert not told(store, "leads", member=two.number)


def test_an_outage_that_overlaps_one_that_was_told_is_the_same(store: Store) -> None:
    assert told(store, "outage", ago=30)
    assert not told(store, "outage", ago=29), "another worker saw the same"
    store.command("HSET", store.key("server"), "outage", store.now_ms() - 20_000)
    assert told(store, "outage", ago=5), "it began after the end of the one before"


def test_what_follows_news_counts_with_it(store: Store) -> None:
    pair = [News(name="first", payload={}, seen=monotonic(), counts="over it"),
            News(name="second", payload={}, seen=monotonic(), counts="&")]  # fmt: skip
    assert all(tell_events(store, pair))
    assert tell_events(store, pair) == ["", ""]


# ---- what scripts tell


def test_workers_that_come_lead_and_go_are_told(store: Store) -> None:
    one = joined(store)
    one.beat()
    joined(store, "app", kind="client").leave()
    one.leave()
    events = read_events(store)
    assert [event.name for event in events] == ["worker.joined", "leader.changed", "worker.left"]
    for event in events:
        assert checked(event.name, event.payload) == event.code
        assert (event.member, event.worker) == (one.number, "w1")
    assert events[1].payload == {"member": one.number, "worker": "w1", "before": 0}


def test_a_worker_that_is_declared_dead_is_told_once_and_its_heir_leads(store: Store) -> None:
    one, two = joined(store), joined(store, "w2")
    one.beat()
    for _ in range(2):
        bury_member(store, one.settings, one.number, "was silent")
    two.beat()
    two.beat()
    *_, dead, changed = read_events(store)
    assert (dead.name, dead.payload["why"], dead.worker) == ("worker.dead", "was silent", "w1")
    assert checked(dead.name, dead.payload) == 103
    assert changed.payload == {"member": two.number, "worker": "w2", "before": one.number}
    assert names(store).count("worker.dead") == 1


# ---- users


def test_a_user_tells_an_event_by_a_name_of_its_own(store: Store) -> None:
    tell_own(store, "shop.opened", {"shelves": 12, "by": ["ann"]}, who="host")
    event = read_events(store)[0]
    assert (event.code, event.name, event.payload) == (1000, "shop.opened", {"shelves": 12, "by": ["ann"]})
    assert event.as_dict()["payload"] == {"shelves": 12, "by": ["ann"]}


@pytest.mark.parametrize(
    ("name", "payload", "problem"),
    [
        ("worker.dead", {}, "that name is onserver's own"),
        ("no name", {}, "a name is a letter"),
        ("", {}, "a name is a letter"),
        ("large", {"x": "y" * 20_000}, "20,0.. bytes, and 16,384 is the most"),
    ],
)
def test_what_is_no_event_of_a_user_is_refused(
    store: Store, name: str, payload: dict[str, object], problem: str
) -> None:
    with pytest.raises(BadEvent, match=problem):
        tell_own(store, name, payload)
    assert names(store) == []


def test_a_value_that_cannot_be_sent_is_refused_by_its_path(store: Store) -> None:
    with pytest.raises(NotSendable, match=r"x.*set"):
        tell_own(store, "shop.opened", {"x": {1}})


def test_system_event_is_public() -> None:
    assert callable(system_event)


# ---- following


def test_who_follows_gets_all_in_their_order(store: Store) -> None:
    tell_own(store, "before", {})
    feed = follow_events(store, "0", 0.05)
    assert [event.name for event in next(feed)] == ["before"]
    assert next(feed) == []
    for n in range(3):
        tell_own(store, "after", {"n": n})
    got: list[Event] = []
    while len(got) < 3:
        got += next(feed)
    assert [event.payload["n"] for event in got] == [0, 1, 2]


# ---- what the leader looks at


def survey(member: Member, memory: int = 0, wait_ms: int = 0) -> list[Event]:
    before = read_events(member.store)
    member.store.run("silent", member.number, 10_000, memory, wait_ms)
    return [event for event in read_events(member.store) if event not in before]


def start(store: Store, queue: str = "default", *, priority: int = 5, due: int = 0) -> int:
    """Put one process, and answer its number."""
    words = (queue, priority, due, "", "", "", "", 0, "t", "jobs.work", "b", b"")
    number: int = store.run("put", store.nonce(), "", store.now_ms(), *words)[0]
    return number


def advance(store: Store, seconds: float) -> None:
    store.command("INCRBY", store.key("clock"), int(seconds * 1000))
    store._ahead += seconds


def test_memory_over_its_mark_is_told_once_and_again_when_it_is_under(store: Store) -> None:
    member = joined(store)
    store.command("HSET", store.key("marks"), "memory", "1")
    (under,) = survey(member, memory=100)
    assert checked(under.name, under.payload) == 116
    assert not under.payload["over"]
    assert 0 <= under.payload["percent"] < 98
    limit = under.payload["limit_bytes"]
    assert limit > under.payload["used_bytes"] > 100_000
    assert survey(member, memory=100) == []
    assert survey(member) == []


def test_a_queue_whose_first_has_waited_too_long_is_told_once_and_again_when_none_waits(store: Store) -> None:
    member = joined(store)
    first = start(store, "slow")
    start(store, "fast")
    assert survey(member, wait_ms=60_000) == []
    advance(store, 61)
    start(store, "slow")
    told = survey(member, wait_ms=60_000)
    assert sorted(event.payload["queue"] for event in told) == ["fast", "slow"]
    slow = next(event for event in told if event.payload["queue"] == "slow")
    assert checked(slow.name, slow.payload) == 134
    assert slow.payload["over"]
    assert slow.payload["number"] == first
    assert slow.payload["seconds"] >= 61
    assert survey(member, wait_ms=60_000) == []
    store.command("DEL", store.key("line:q slow jobs.work"))
    (under,) = survey(member, wait_ms=60_000)
    assert under.payload == {"over": False, "queue": "slow", "number": 0, "seconds": 0}


def test_what_has_waited_for_its_time_has_not_waited_in_the_queue(store: Store) -> None:
    member = joined(store)
    start(store, due=store.now_ms() + 300_000)
    advance(store, 301)
    store.run("due", member.number, 600)
    assert survey(member, wait_ms=60_000) == []
    advance(store, 61)
    assert [event.name for event in survey(member, wait_ms=60_000)] == ["queue.waits"]


def test_of_several_priorities_the_oldest_counts(store: Store) -> None:
    member = joined(store)
    low = start(store, priority=1)
    advance(store, 61)
    start(store, priority=9)
    start(store, priority=0)
    (event,) = survey(member, wait_ms=60_000)
    assert event.payload["number"] == low


# ---- from the feed to the hooks


def pass_on(store: Store, member: Member, nonce: str, before: str, now: str, *, place: str = "once") -> list[int]:
    words = (place, 4, "t", "onserver.system_events", "b", b"")
    numbers: list[int] = store.run("pass_on", nonce, member.number, store.now_ms(), before, now, *words)
    return numbers


def test_events_are_passed_on_once_by_whoever_leads(store: Store) -> None:
    member, other = joined(store), joined(store, "w2")
    assert member.beat().leader
    assert member.beat().news
    assert not other.beat().news, "it does not lead"
    before, workers, entries = store.run("unheard", member.number)
    assert (before, workers) == (b"", [])
    assert [fields[3] for _, fields in entries] == [b"worker.joined", b"worker.joined", b"leader.changed"]
    assert store.run("unheard", other.number) == []

    last, nonce = entries[-1][0].decode(), store.nonce()
    assert pass_on(store, other, store.nonce(), "", last) == []
    (run,) = pass_on(store, member, nonce, "", last)
    assert pass_on(store, member, nonce, "", last) == [run], "the reply was lost"
    assert pass_on(store, member, store.nonce(), "", last) == [], "another has passed them on"
    assert not member.beat().news
    assert store.command("HGET", store.key(f"p:{run}"), "q") == b"!once"

    tell_own(store, "next", {})
    assert member.beat().news
    assert store.run("unheard", member.number) == [], "the hooks of those before have not ended"
    store.command("HSET", store.key(f"p:{run}"), "s", "done")
    assert [fields[3] for _, fields in store.run("unheard", member.number)[2]] == [b"next"]


def test_what_is_passed_on_to_a_worker_that_has_gone_is_not_put(store: Store) -> None:
    member = joined(store)
    member.beat()
    assert pass_on(store, member, store.nonce(), "", "9-9", place="77") == [0]
    assert store.command("HGET", store.key("server"), "passed") == b"9-9"


def test_maintenance_is_told(store: Store) -> None:
    store.run("begin_maintenance", store.nonce(), "back at 9", "ann@host", "", 0)
    store.run("end_maintenance", store.nonce(), "ann@host")
    for event, name in zip(read_events(store), ("maintenance.on", "maintenance.off"), strict=True):
        assert event.name == name
        assert checked(event.name, event.payload) == event.code
        assert event.payload["by"] == "ann@host"


def test_a_leader_without_hooks_passes_over_what_nobody_hears(store: Store) -> None:
    member = joined(store)
    member.beat()
    assert member.beat().news
    member.deaf = True
    assert not member.beat().news
    tell_own(store, "unheard", {})
    assert not member.beat().news
    member.deaf = False
    assert not member.beat().news, "a hook that came later hears what comes from now on"
    tell_own(store, "heard", {})
    assert member.beat().news
    assert [fields[3] for _, fields in store.run("unheard", member.number)[2]] == [b"heard"]
