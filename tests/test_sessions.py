"""Sessions in Redis: opened, taken, changed, listed, rotated, ended; what goes with them, and what they leave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from onserver import procedure
from onserver.cluster.sweep import end_sessions, sweep
from onserver.errors import MemberFenced, NotInUse, SessionExpired
from onserver.life.epoch import open_epoch, run_epoch
from onserver.redis.address import Address
from onserver.redis.keys import scan
from onserver.server import Server
from onserver.session.record import SessionRecord
from onserver.session.running import Running, entered
from onserver.session.sessions import Sessions
from tests.floor import Floor, open_floor

HOUR = 3600


@procedure
def nothing() -> None: ...


@pytest.fixture
def floor(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with open_floor(redis_address) as floor:
        yield floor
        assert floor.orphans() == []


@pytest.fixture
def sessions(floor: Floor) -> Sessions:
    return floor.server.sessions


def record_of(sessions: Sessions, identity: str) -> SessionRecord:
    record = sessions.records.read(identity)
    assert record is not None
    return record


def open_another_epoch(floor: Floor) -> None:
    """The server is started again, by its only worker."""
    run_epoch(floor.store, open_epoch(floor.member, keep_storage=True).epoch.number)
    floor.server.forget_epoch()


def connections(floor: Floor) -> int:
    return len(floor.store.command("CLIENT", "LIST").splitlines())


def reads(floor: Floor) -> int:
    """How often entries and names of storages were read from Redis."""
    stats = floor.store.command("INFO", "commandstats").decode()
    return sum(int(count) for count in re.findall(r"cmdstat_(?:hmget|smembers):calls=(\d+)", stats))


def keys_of(floor: Floor, prefix: str) -> list[str]:
    return [name for names in scan(floor.store, prefix) for name in names]


# ---- opened and taken


def test_a_session_keeps_what_it_was_opened_with(sessions: Sessions, floor: Floor) -> None:
    facts: dict[str, Any] = {
        "user": "Ann",
        "machine": "m1",
        "system_user": "ann",
        "ip": "10.0.0.7",
        "host_type": "browser",
    }
    opened = sessions.open(
        "web", type="rest", login="Ann", agent="Firefox " * 30, web="shop", limit_seconds=60, **facts
    )
    record = record_of(sessions, opened.id)
    assert {name: getattr(record, name) for name in facts} == facts
    assert (record.kind, record.type, record.login) == ("web", "rest", "ann")
    assert record.created_ms == record.seen_ms
    assert (record.idle_ms, record.limit_ms) == (HOUR * 1000, record.created_ms + 60_000)
    assert record.until_ms == record.limit_ms
    assert record == opened.record or record.read_ms > opened.record.read_ms


def test_what_a_framework_keeps_is_written_key_by_key(sessions: Sessions) -> None:
    opened = sessions.open("web", data={"cart": b"[1]", "user": b"7"})
    assert opened.record.data == {"cart": b"[1]", "user": b"7"}
    sessions.records.write(opened.id, data={"cart": b"[2]"})
    sessions.records.write(opened.id, data={"user": None, "seen": b"\xff"})
    assert record_of(sessions, opened.id).data == {"cart": b"[2]", "seen": b"\xff"}
    assert [record.data for record in sessions.listed("web")] == [{}]
    assert record_of(sessions, sessions.rotate(opened.id).id).data == {"cart": b"[2]", "seen": b"\xff"}


def test_what_is_kept_is_a_use_that_is_noted_once_a_minute(sessions: Sessions, floor: Floor) -> None:
    opened, short = sessions.open("web", data={"n": b"0"}), sessions.open("web", idle_seconds=10)
    floor.advance(59)
    assert sessions.records.keep(opened.id, {"n": b"1"})["seen_ms"] == opened.record.seen_ms
    floor.advance(2)
    facts = sessions.records.keep(opened.id, {"n": b"2"})
    assert facts["seen_ms"] >= opened.record.seen_ms + 61_000
    assert facts["until_ms"] == facts["seen_ms"] + HOUR * 1000
    assert record_of(sessions, opened.id).until_ms == facts["until_ms"]
    with pytest.raises(SessionExpired):
        sessions.records.keep(short.id, {"n": b"1"})
    assert sessions.find(short.id) is None
    short = sessions.open("web", idle_seconds=10)
    for number in range(5):
        floor.advance(6)
        sessions.records.keep(short.id, {"n": b"%d" % number})
    assert record_of(sessions, short.id).data == {"n": b"4"}


def test_any_number_of_keys_is_kept_and_removed(sessions: Sessions) -> None:
    opened = sessions.open("web", data={"first": b"1"})
    keys = [f"key{number}" for number in range(1500)]
    sessions.records.keep(opened.id, dict.fromkeys(keys, b"1"))
    assert len(record_of(sessions, opened.id).data) == 1501
    sessions.records.keep(opened.id, {**dict.fromkeys(keys), "last": b"1"})
    assert record_of(sessions, opened.id).data == {"first": b"1", "last": b"1"}


def test_a_session_that_lasts_a_moment_is_noted_in_time(sessions: Sessions, floor: Floor) -> None:
    short = sessions.open("web", idle_seconds=10)
    for _ in range(5):
        floor.advance(6)
        assert sessions.take(short.id, renew=True) is not None
    floor.advance(11)
    assert sessions.take(short.id, renew=True) is None
    written = sessions.open("web")
    floor.advance(50)
    sessions.records.write(written.id, idle_ms=10_000)
    assert sessions.take(written.id) is not None


def test_opening_with_the_same_id_opens_one(sessions: Sessions) -> None:
    first = sessions.open("web", user="ann", identity="A" * 32)
    again = sessions.open("web", user="bob", identity="A" * 32)
    assert (again.id, again.user_name) == (first.id, "ann")
    assert sessions.counts()["web"] == 1


@pytest.mark.parametrize("identity", ["", "x", "F" * 31, "f" * 32, "../" * 11, "\udcff" * 32, "F" * 32])
def test_what_is_no_session_is_none(sessions: Sessions, identity: str) -> None:
    assert sessions.take(identity) is None
    assert sessions.find(identity) is None


def test_a_session_ends_when_it_is_not_used(sessions: Sessions, floor: Floor) -> None:
    used, unused = sessions.open("web"), sessions.open("web")
    floor.advance(HOUR - 10)
    assert sessions.take(used.id, renew=True) is not None
    floor.advance(20)
    assert sessions.take(used.id) is not None
    assert sessions.take(unused.id) is None
    with pytest.raises(SessionExpired):
        sessions.records.write(unused.id, user="ann")


def test_a_limit_holds_however_much_a_session_is_used(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web", limit_seconds=2 * HOUR)
    for _ in range(3):
        floor.advance(HOUR / 2)
        assert sessions.take(session.id, renew=True) is not None
    floor.advance(HOUR / 2)
    assert sessions.take(session.id, renew=True) is None


def test_use_is_noted_once_a_minute(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web")
    floor.advance(59)
    sessions.touch(session.id)
    assert record_of(sessions, session.id).seen_ms == session.record.seen_ms
    floor.advance(2)
    sessions.touch(session.id)
    assert record_of(sessions, session.id).seen_ms >= session.record.seen_ms + 61_000


def test_a_session_of_another_address_is_none_and_not_renewed(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web", ip="10.0.0.7")
    floor.advance(120)
    assert sessions.take(session.id, ip="10.0.0.8", renew=True) is None
    assert record_of(sessions, session.id).seen_ms == session.record.seen_ms
    assert sessions.take(session.id, ip="10.0.0.7", renew=True) is not None


# ---- changed


def test_what_is_written_is_there_at_once_and_nothing_else_changes(sessions: Sessions) -> None:
    session = sessions.open("web", user="ann", ip="10.0.0.7")
    written = sessions.records.write(
        session.id, privileges=("read", "pay"), roles=["clerk"], is_set=True, quotas={"nbEntitySets": 5}, login="Ann"
    )
    assert (written.privileges, written.roles, written.is_set) == (("read", "pay"), ("clerk",), True)
    assert (written.quotas, written.login, written.user, written.ip) == ({"nbEntitySets": 5}, "ann", "ann", "10.0.0.7")
    assert written.granted == ("read", "pay", "clerk")
    again = sessions.records.write(session.id, quotas={"nbEntitySets": None}, state="sleeping")
    assert (again.quotas, again.state, again.privileges) == ({}, "sleeping", ("read", "pay"))


def test_a_shorter_time_moves_the_end(sessions: Sessions) -> None:
    session = sessions.open("web")
    written = sessions.records.write(session.id, idle_ms=90_000)
    assert written.until_ms == written.seen_ms + 90_000
    assert sessions.records.write(session.id, idle_ms=0).until_ms == 0


def test_the_session_of_procedures_has_a_record_for_as_long_as_its_epoch(sessions: Sessions, floor: Floor) -> None:
    own = floor.server.session()
    record = record_of(sessions, own.id)
    assert (record.kind, record.user, record.until_ms) == ("storedProcedure", "server", 0)
    sessions.records.write(own.id, privileges=("read",))
    assert [one.id for one in sessions.listed()] == [own.id]
    assert sessions.counts() == {"web": 0, "remote": 0, "storedProcedure": 1, "standalone": 0}
    found = sessions.find(own.id)
    assert found is not None
    assert found.storage is floor.server.storage
    floor.server.storage.counter("kept").add(1)
    open_another_epoch(floor)
    assert sessions.find(own.id) is None
    assert record_of(sessions, floor.server.session().id).privileges == ()
    assert floor.server.storage["kept"] == 1


# ---- listed


def test_sessions_are_listed_the_newest_first_page_by_page(sessions: Sessions, floor: Floor) -> None:
    opened: list[str] = []
    for number in range(25):
        opened.append(sessions.open("remote" if number % 5 == 0 else "web", login="ann" if number % 2 else "").id)
        if number % 4 == 0:
            floor.advance(1)  # the others are opened within one millisecond, or nearly
    pages: list[str] = []
    last = None
    while page := sessions.listed(limit=7, before=last):
        pages += [one.id for one in page]
        last = page[-1]
    own = floor.server.session().id
    assert len(pages) == len(set(pages)) == 26
    assert set(pages) == {*opened, own}
    assert pages[-1] == own
    assert [one.id for one in sessions.listed("remote")] == [opened[number] for number in (20, 15, 10, 5, 0)]
    assert {one.id for one in sessions.listed(login="ANN")} == {opened[number] for number in range(1, 25, 2)}
    assert sessions.listed("web", "nobody") == []


# ---- ended


def test_a_closed_session_leaves_nothing(sessions: Sessions) -> None:
    session = sessions.open("web", login="ann")
    session.storage.counter("seen").add(1)
    assert sessions.message(session.id, "hello")
    assert sessions.close(session.id)
    assert not sessions.close(session.id)
    assert sessions.take(session.id) is None
    assert sessions.dropped(session.id) is None
    assert not sessions.message(session.id, "hello")
    assert sessions.listed("web") == []


def test_a_dropped_session_is_known_for_a_year(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web")
    assert sessions.drop(session.id, by="root", reason="stolen")
    assert not sessions.drop(session.id, by="root")
    assert sessions.take(session.id) is None
    tombstone = sessions.dropped(session.id)
    assert tombstone is not None
    assert (tombstone.by, tombstone.reason) == ("root", "stolen")
    assert tombstone.at_ms >= session.record.created_ms
    floor.advance(300 * 24 * HOUR)
    end_sessions(floor.store)
    assert sessions.dropped(session.id) is not None
    floor.advance(67 * 24 * HOUR)
    end_sessions(floor.store)
    assert sessions.dropped(session.id) is None
    assert floor.store.command("EXISTS", floor.store.key("drops")) == 0


def test_all_sessions_of_a_user_are_dropped(sessions: Sessions, floor: Floor) -> None:
    for _ in range(30):
        sessions.open("web", login="ann", idle_seconds=60)
    floor.advance(61)
    of_ann = {sessions.open("web", login="ann").id for _ in range(45)}
    of_bob = sessions.open("web", login="bob")
    assert set(sessions.drop_user("Ann", by="root")) == of_ann
    assert all(sessions.dropped(identity) for identity in of_ann)
    assert [one.id for one in sessions.listed("web")] == [of_bob.id]


def test_the_session_of_procedures_is_neither_closed_nor_dropped(sessions: Sessions, floor: Floor) -> None:
    own = floor.server.session()
    assert not sessions.close(own.id)
    assert not sessions.drop(own.id, by="root")
    assert sessions.find(own.id) is not None


def test_what_is_over_is_removed_by_who_opens_one(sessions: Sessions, floor: Floor) -> None:
    over = [sessions.open("web", idle_seconds=60, login="ann") for _ in range(30)]
    for session in over:
        session.storage.counter("seen").add(1)
    floor.advance(61)
    sessions.open("web")
    assert sessions.counts()["web"] == 30 - 20 + 1
    sessions.open("web")
    assert sessions.counts()["web"] == 2
    assert floor.store.command("EXISTS", floor.store.key("su:ann")) == 0


def test_the_leader_removes_what_is_over_with_large_storages(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web", idle_seconds=60)
    with session.storage.use() as root:
        for number in range(1_000):
            root[f"entry {number}"] = number
    floor.advance(61)
    end_sessions(floor.store)
    assert sessions.counts()["web"] == 0
    assert floor.store.command("EXISTS", floor.store.key("emptying")) == 0
    assert keys_of(floor, f"ss:{session.id}:") == []


def test_the_leader_does_so_when_it_sweeps(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web", idle_seconds=60)
    session.storage.counter("seen").add(1)
    floor.advance(61)
    assert sweep(floor.member) == []
    assert sessions.counts()["web"] == 0
    assert keys_of(floor, f"ss:{session.id}:") == []


# ---- another id


def test_a_session_with_another_id_has_the_same_record_and_storage(sessions: Sessions) -> None:
    session = sessions.open("web", user="ann", login="ann")
    with session.storage.use("cart") as cart:
        cart["chair"] = 2
    sessions.message(session.id, "hello")
    other = sessions.rotate(session.id)
    assert other.id != session.id
    assert other.user_name == "ann"
    assert other.storage["cart"] == {"chair": 2}
    assert other.storage is session.storage
    assert sessions.take(session.id) is None
    assert [one.text for one in sessions.messages(other.id)] == ["hello"]
    assert [one.id for one in sessions.listed(login="ann")] == [other.id]
    with other.storage.use("cart") as cart:
        cart["chair"] = 3
    third = sessions.rotate(other.id)
    assert record_of(sessions, third.id).earlier == (other.id, session.id)
    assert third.record.created_ms == session.record.created_ms
    assert sessions.drop(third.id, by="root")
    assert all(sessions.dropped(one.id) for one in (session, other, third))
    with pytest.raises(SessionExpired):
        sessions.rotate(third.id)


# ---- storage


def test_each_session_has_its_own_storage(sessions: Sessions) -> None:
    one, other = sessions.open("web"), sessions.open("web")
    with one.storage.use("cart") as cart:
        cart["chair"] = 1
    assert dict(other.storage) == {}
    found = sessions.find(one.id)
    assert found is not None
    assert found.storage is one.storage


@pytest.mark.parametrize("rotated", [False, True])
def test_a_session_that_is_over_takes_nothing_although_nobody_has_removed_it(
    sessions: Sessions, floor: Floor, rotated: bool
) -> None:
    session = sessions.open("web", idle_seconds=HOUR)
    session = sessions.rotate(session.id) if rotated else session
    counter = session.storage.counter("n")
    floor.store.command("INCRBY", floor.store.key("clock"), (HOUR + 1) * 1000)
    with pytest.raises(SessionExpired), session.storage.use("cart") as cart:
        cart["chair"] = 1
    with pytest.raises(SessionExpired):
        counter.add(1)
    assert keys_of(floor, "ss:") == []


def test_nothing_is_written_into_the_storage_of_a_session_that_is_over(sessions: Sessions) -> None:
    session = sessions.open("web")
    use = session.storage.use("cart")
    cart = use.__enter__()
    cart["chair"] = 1
    sessions.close(session.id)
    with pytest.raises(SessionExpired):
        use.__exit__(None, None, None)
    with pytest.raises(SessionExpired):
        session.storage.counter("seen").add(1)
    assert dict(session.storage) == {}


# ---- messages and tokens


def test_messages_are_taken_once_and_the_oldest_fall(sessions: Sessions) -> None:
    session = sessions.open("web")
    for number in range(105):
        assert sessions.message(session.id, f"message {number}", by="root")
    taken = sessions.messages(session.id)
    assert [one.text for one in taken] == [f"message {number}" for number in range(5, 105)]
    assert {one.by for one in taken} == {"root"}
    assert taken[0].at_ms >= session.record.created_ms
    assert sessions.messages(session.id) == []
    with pytest.raises(ValueError, match="64,000"):
        sessions.message(session.id, "x" * 64_001)


def test_a_token_leads_to_its_session_once(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web")
    token = sessions.records.new_token(session.id, 30)
    other = sessions.rotate(session.id)
    found = sessions.records.redeem(token)
    assert found is not None
    assert found.id == other.id
    assert sessions.records.redeem(token) is None
    assert not any(token.encode() in key for key in floor.store.command("KEYS", floor.store.key("otp:*")))


def test_a_token_ends_with_its_time_and_with_its_session(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web", idle_seconds=60)
    late, orphan = sessions.records.new_token(session.id, 30), sessions.records.new_token(session.id, 3000)
    floor.advance(31)
    assert sessions.records.redeem(late) is None
    floor.advance(31)
    assert sessions.records.redeem(orphan) is None
    with pytest.raises(SessionExpired):
        sessions.records.new_token(session.id, 30)
    assert sessions.records.redeem("made up") is None


# ---- the cache that storages share


def test_storages_of_sessions_are_read_over_one_connection_and_once(sessions: Sessions, floor: Floor) -> None:
    opened = [sessions.open("web") for _ in range(20)]
    before = connections(floor)
    for number, session in enumerate(opened):
        with session.storage.use("cart") as cart:
            cart["chair"] = number
    assert [session.storage["cart"] for session in opened] == [{"chair": number} for number in range(20)]
    assert [list(session.storage) for session in opened] == [["cart"]] * 20
    assert connections(floor) <= before + 1
    read = reads(floor)
    assert [session.storage["cart"]["chair"] for session in opened] == list(range(20))
    assert [len(session.storage) for session in opened] == [1] * 20
    assert reads(floor) == read


def test_what_another_program_changes_is_read_anew(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web")
    with session.storage.use() as root:
        root["cart"] = {"chair": 1}
        root["e:odd"] = root["index"] = 1
    assert session.storage["cart"] == {"chair": 1}
    assert list(session.storage) == ["cart", "e:odd", "index"]
    with Server(settings=floor.server.settings) as other:
        found = other.sessions.take(session.id)
        assert found is not None
        with found.storage.use() as root:
            root["cart"] = {"chair": 2}
            root["index"] = 2
            root["table"] = 1
            del root["e:odd"]
    session.storage.cache.require(10**9)
    assert session.storage["cart"] == {"chair": 2}
    assert (session.storage["index"], session.storage["table"]) == (2, 1)
    assert list(session.storage) == ["cart", "index", "table"]


def test_an_error_names_the_entry_as_people_know_it(sessions: Sessions) -> None:
    session = sessions.open("web")
    with session.storage.use("cart") as cart:
        cart["chair"] = 1
    with pytest.raises(NotInUse) as refused:
        session.storage["cart"]["chair"] = 2
    assert 'use("cart")' in str(refused.value)
    assert session.id not in str(refused.value)


def test_who_takes_a_session_reads_what_was_written_into_its_storage_before(sessions: Sessions, floor: Floor) -> None:
    """Even where nothing has told this program of it yet: here it does not look for what it is told."""
    session = sessions.open("web")
    assert dict(session.storage) == {}
    sessions.cache.watched()
    with Server(settings=floor.server.settings) as other:
        found = other.sessions.take(session.id)
        assert found is not None
        with found.storage.use("cart") as cart:
            cart["chair"] = 1
        rotated = other.sessions.rotate(session.id)
        taken = sessions.take(rotated.id)
        assert taken is not None
        assert taken.storage["cart"] == {"chair": 1}
        for expected in (2, 4):
            rotated.storage.counter("seen").add(2)
            taken = sessions.take(rotated.id)
            assert taken is not None
            assert taken.storage["seen"] == expected


def test_a_lock_in_the_storage_of_a_session_falls_with_its_holder(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web")
    with session.storage.use("cart") as cart:
        cart["chair"] = 1
    executor = floor.executor()
    number = floor.put(nothing)
    assert executor.claim() == number
    run = Running(number=number, delivery=1, holder=executor.holder)
    with entered(run):
        use = session.storage.use("cart")
        use.__enter__()["chair"] = 2
        assert keys_of(floor, f"ss:{session.id}:l:")
        while floor.store.run("bury", floor.member.number, executor.holder, str(number), 1, 3, 60, "a test"):
            pass
        assert keys_of(floor, f"ss:{session.id}:l:") == []
        with pytest.raises(MemberFenced):
            use.__exit__(None, None, None)
    with session.storage.use("cart", timeout=5) as cart:
        assert cart == {"chair": 1}


def test_locks_that_a_run_has_left_are_given_up(sessions: Sessions, floor: Floor) -> None:
    session = sessions.open("web")
    executor = floor.executor()
    number = floor.put(nothing)
    assert executor.claim() == number
    with entered(Running(number=number, delivery=1, holder=executor.holder)):
        session.storage.use("cart").__enter__()
    assert keys_of(floor, f"ss:{session.id}:l:") == []
    assert floor.orphans() == []
