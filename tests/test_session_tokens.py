"""One-time tokens, times and quotas of sessions: the specification's sections 2.10, 2.5 and 2.11, row by row."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from onserver import Session
from onserver.errors import SessionExpired
from onserver.redis.address import unix_address
from onserver.redis.embedded import Embedded
from onserver.redis.keys import scan
from onserver.session.context import Served, serving, session
from onserver.session.record import Kind
from onserver.session.sessions import Sessions
from onserver.web.web_session import WebSession
from tests.floor import Floor, open_floor

HOUR = 3600


@pytest.fixture(scope="module")
def opened(embedded: Embedded) -> Iterator[Floor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONSERVER_TESTING", "1")
        with open_floor(unix_address(str(embedded.home.socket))) as floor:
            yield floor
            assert floor.orphans() == []


@pytest.fixture
def floor(opened: Floor) -> Floor:
    """The one floor of these tests, without tokens of the one before."""
    if names := keys_of(opened, "otp:"):
        opened.store.command("DEL", *names)
    return opened


@pytest.fixture
def sessions(floor: Floor) -> Sessions:
    return floor.server.sessions


@pytest.fixture
def guest(sessions: Sessions) -> Iterator[Served]:
    """A request of another browser, served in its own session."""
    with serving(sessions.open("web", user="guest")) as request:
        yield request


def of(sessions: Sessions, floor: Floor, kind: Kind) -> Session:
    return floor.server.session() if kind == "storedProcedure" else sessions.open(kind, user="ann")


def keys_of(floor: Floor, prefix: str = "") -> list[str]:
    return sorted({name for names in scan(floor.store, prefix) for name in names})


def seconds_good(floor: Floor) -> int:
    """How long the one token that there is is good for."""
    (name,) = keys_of(floor, "otp:")
    return round(int(floor.store.command("PTTL", name)) / 1000)


# ---- how long one is good for


@pytest.mark.parametrize(
    ("kind", "given", "good"),
    [
        ("web", None, HOUR),  # the session's idle timeout
        ("web", 45, 45),
        ("web", 3, 10),
        ("remote", None, 10),
        ("remote", 45, 45),
        ("storedProcedure", None, 10),
        ("storedProcedure", 45, 45),
        ("standalone", None, 10),
        ("standalone", -1, 10),
    ],
)
def test_lifetimes(floor: Floor, sessions: Sessions, kind: Kind, given: int | None, good: int) -> None:
    token = of(sessions, floor, kind).create_otp(given)
    assert len(token) == 32
    assert seconds_good(floor) == good


def test_the_default_follows_the_idle_timeout(floor: Floor, sessions: Sessions) -> None:
    ann = sessions.open("web")
    ann.idle_timeout = 90
    ann.createOTP()
    assert seconds_good(floor) == 90 * 60


def test_redis_does_not_know_the_token(floor: Floor, sessions: Sessions) -> None:
    token = sessions.open("web").create_otp()
    names = keys_of(floor)
    assert keys_of(floor, "otp:")
    assert not any(token in name for name in names)
    values = floor.store.pipeline([("DUMP", name) for name in names])
    assert not any(token.encode() in value for value in values if value)


# ---- restore


@pytest.mark.parametrize("kind", ["web", "remote", "storedProcedure", "standalone"])
def test_a_token_brings_session_storage_and_privileges(
    floor: Floor, sessions: Sessions, guest: Served, kind: Kind
) -> None:
    target = of(sessions, floor, kind)
    with target.storage.use() as root:
        root["marker"] = "set when the token was made"
    before = session()
    assert session().restore(target.create_otp()) is True
    assert session().id == target.id
    assert session().storage["marker"] == "set when the token was made"
    assert guest.session is session()
    assert sessions.take(before.id) is not None  # the one that was replaced is left to itself
    assert not before.restore("0" * 32)  # and is not the one of this request any more


def used_already(sessions: Sessions, floor: Floor, ann: Session, token: str) -> None:
    assert sessions.records.redeem(token) is not None


def expired(sessions: Sessions, floor: Floor, ann: Session, token: str) -> None:
    floor.advance(31)


def unknown(sessions: Sessions, floor: Floor, ann: Session, token: str) -> None:
    floor.store.command("DEL", *keys_of(floor, "otp:"))


def original_session_expired(sessions: Sessions, floor: Floor, ann: Session, token: str) -> None:
    floor.store.command("HSET", floor.store.key(f"s:{ann.id}"), "until", "1")


def original_session_closed(sessions: Sessions, floor: Floor, ann: Session, token: str) -> None:
    sessions.close(ann.id)


def original_session_dropped(sessions: Sessions, floor: Floor, ann: Session, token: str) -> None:
    sessions.drop(ann.id, by="admin")


@pytest.mark.parametrize(
    "wrong",
    [used_already, expired, unknown, original_session_expired, original_session_closed, original_session_dropped],
    ids=lambda wrong: wrong.__name__,
)
def test_a_wrong_token_leaves_the_session_as_it_was(
    floor: Floor, sessions: Sessions, guest: Served, wrong: Any
) -> None:
    ann = sessions.open("web", user="ann")
    with session().storage.use() as root:
        root["mine"] = 1
    before = session()
    token = ann.create_otp(30)
    wrong(sessions, floor, ann, token)
    record = before.record
    assert session().restore(token) is False
    assert guest.session is before
    assert (session().id, session().user_name, session().storage["mine"]) == (before.id, "guest", 1)
    assert session().record == record


@pytest.mark.parametrize("token", ["", "nonsense", "0" * 32, "*", "é" * 40])
def test_what_is_no_token(guest: Served, token: str) -> None:
    assert session().restore(token) is False


def test_a_token_that_was_tried_is_spent(sessions: Sessions, floor: Floor, guest: Served) -> None:
    ann = sessions.open("web")
    token = ann.create_otp(30)
    key = floor.store.key(f"s:{ann.id}")
    until = floor.store.command("HGET", key, "until")
    floor.store.command("HSET", key, "until", "1")
    assert session().restore(token) is False
    floor.store.command("HSET", key, "until", until)
    assert session().restore(token) is False


@pytest.mark.parametrize("kind", ["remote", "storedProcedure", "standalone"])
def test_restore_of_another_kind_does_nothing(floor: Floor, sessions: Sessions, kind: Kind) -> None:
    token = sessions.open("web").create_otp()
    here = of(sessions, floor, kind)
    with serving(here):
        assert session().restore(token) is False
        assert session() is here
    assert sessions.records.redeem(token) is not None  # it was not even tried


def test_restore_outside_of_a_request_does_nothing(sessions: Sessions) -> None:
    ann, bob = sessions.open("web"), sessions.open("web")
    token = ann.create_otp()
    assert bob.restore(token) is False
    with serving(bob, remote=True):
        assert bob.restore(token) is False
    with serving(bob):
        assert ann.restore(token) is False  # not the session of this request
        assert bob.restore(token) is True


def test_of_many_who_bring_it_at_a_time_one_gets_in(sessions: Sessions) -> None:
    token = sessions.open("web", user="ann").create_otp()
    guests = [sessions.open("web") for _ in range(8)]
    start = threading.Barrier(len(guests))

    def try_it(guest: Session) -> bool:
        with serving(guest):
            start.wait(60)
            return session().restore(token) and session().user_name == "ann"

    with ThreadPoolExecutor(len(guests)) as pool:
        assert sorted(pool.map(try_it, guests)) == [False] * 7 + [True]


def test_a_session_that_is_over_makes_none(sessions: Sessions) -> None:
    ann = sessions.open("web")
    sessions.close(ann.id)
    with pytest.raises(SessionExpired):
        ann.create_otp()


# ---- times


@pytest.mark.parametrize(("given", "minutes"), [(90, 90), (60, 60), (59, 60), (0, 60), (-5, 60)])
def test_the_idle_timeout_is_an_hour_at_least_and_moves_the_end(sessions: Sessions, given: int, minutes: int) -> None:
    ann = sessions.open("web")
    assert ann.idleTimeout == 60
    ann.idle_timeout = given
    assert ann.idle_timeout == minutes
    again = sessions.find(ann.id)
    assert again is not None
    assert again.record.until_ms == again.record.seen_ms + minutes * 60_000


def test_the_expiration_date_is_written_as_the_original_writes_it(floor: Floor, sessions: Sessions) -> None:
    ann = sessions.open("web")
    floor.store.command("HSET", floor.store.key(f"s:{ann.id}"), "until", "4102444800007")
    again = sessions.find(ann.id)
    assert again is not None
    assert again.expiration_date == again.expirationDate == "2100-01-01T00:00:00.007Z"
    assert sessions.open("web", idle_seconds=0).expiration_date == ""


@pytest.mark.parametrize("kind", ["remote", "storedProcedure", "standalone"])
def test_only_the_web_has_times(floor: Floor, sessions: Sessions, kind: Kind) -> None:
    here = of(sessions, floor, kind)
    for name in ("idle_timeout", "idleTimeout", "expiration_date", "expirationDate"):
        assert not hasattr(here, name)
    with pytest.raises(AttributeError, match=f"a {kind} session has no idle timeout"):
        here.idle_timeout = 90
    with pytest.raises(AttributeError):
        sessions.open("web").expiration_date = "2100-01-01T00:00:00Z"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# ---- quotas


def test_quotas_are_of_the_session_and_changed_at_once(sessions: Sessions) -> None:
    ann = sessions.open("web")
    quotas = ann.quotas
    assert (quotas.nb_entity_sets, quotas.default_entity_set_timeout, quotas.max_entity_set_timeout) == (
        None, 7200, None,
    )  # fmt: skip
    quotas.nbEntitySets = 50
    quotas.max_entity_set_timeout = 1800
    found = sessions.find(ann.id)
    assert found is not None
    again = found.quotas
    assert (again.nb_entity_sets, again.default_entity_set_timeout, again.maxEntitySetTimeout) == (50, 1800, 1800)
    again.defaultEntitySetTimeout = 900
    assert again.default_entity_set_timeout == 900
    again.nb_entity_sets = None
    assert again.nbEntitySets is None
    assert sessions.open("web").quotas.max_entity_set_timeout is None


def test_the_current_values_are_read_only(sessions: Sessions) -> None:
    ann = sessions.open("web")
    for _ in range(3):
        ann.entity_sets().make("Company", ["1"], ordered=False, timeout=60, most=3)
    found = sessions.find(ann.id)
    assert found is not None
    assert found.quotas.current_values.nb_entity_sets == found.quotas.currentValues.nbEntitySets == 3
    with pytest.raises(AttributeError):
        found.quotas.current_values.nb_entity_sets = 4  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError):
        found.quotas = None  # type: ignore[assignment, misc]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "5", True])
def test_a_quota_is_above_zero(sessions: Sessions, wrong: Any) -> None:
    quotas = sessions.open("web").quotas
    for name in ("nb_entity_sets", "default_entity_set_timeout", "max_entity_set_timeout"):
        with pytest.raises(ValueError, match="above 0"):
            setattr(quotas, name, wrong)


# ---- the original's spelling


def test_code_that_was_carried_over_reads_the_same(sessions: Sessions) -> None:
    ann = sessions.open("web")
    assert ann.setPrivileges({"userName": "ann"}) is True
    assert (ann.userName, ann.getPrivileges(), ann.isGuest(), ann.hasPrivilege("x")) == ("ann", [], False, False)
    assert ann.clearPrivileges() is True
    with serving(ann):
        ann.demote(ann.promote("x"))


def test_what_a_kind_of_session_changes_has_both_names() -> None:
    assert WebSession.setPrivileges is WebSession.set_privileges
    assert WebSession.expirationDate is WebSession.expiration_date
    assert WebSession.hasPrivilege is WebSession.has_privilege


def test_messages_are_taken_once(sessions: Sessions) -> None:
    ann = sessions.open("web")
    sessions.message(ann.id, "the server stops at noon", by="admin")
    assert [(one.text, one.by) for one in ann.messages()] == [("the server stops at noon", "admin")]
    assert list(ann.messages()) == []
