"""Sessions in Redis: opened, taken, changed, listed, rotated, ended; what goes with them, and what they leave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from onserver.errors import SessionExpired
from onserver.redis.address import Address
from onserver.session.record import SessionRecord
from onserver.session.sessions import Sessions
from tests.floor import Floor, open_floor

HOUR = 3600


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
