"""Privileges of sessions by kind: the table of the specification's section 2.7, its last column, row by row."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final

import pytest

from onserver import Session
from onserver.errors import PrivilegeDenied, SessionExpired
from onserver.redis.address import unix_address
from onserver.redis.embedded import Embedded
from onserver.session.context import serving
from onserver.session.promotions import promoting
from onserver.session.record import KINDS, Kind
from onserver.session.roles import Roles
from onserver.session.sessions import Sessions
from tests.floor import Floor, open_floor

OPEN: Final = Roles(
    privileges={"simple": (), "medium": ("simple",), "Delete": ()},
    roles={"Medium": ("medium",), "owner": ("medium", "Delete")},
    restricted_by_default=False,
    force_login=False,
)
FORCED: Final = replace(OPEN, force_login=True)


class Made:
    """Sessions of each kind, and roles that a test may replace."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.roles = OPEN
        server = floor.server
        owner = (server.client.holder, server.client.holding)
        self.sessions = Sessions(server.store, server.settings, lambda: self.roles, *owner, common=server.storage)

    def of(self, kind: Kind) -> Session:
        if kind == "storedProcedure":
            found = self.sessions.find(self.floor.server.session().id)
            assert found is not None
            return found
        return self.sessions.open(kind)

    def again(self, session: Session) -> Session:
        """The same session, as another program sees it."""
        found = self.sessions.find(session.id)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def floor(embedded: Embedded) -> Iterator[Floor]:
    with open_floor(unix_address(str(embedded.home.socket))) as floor:
        yield floor
        assert floor.orphans() == []


@pytest.fixture
def made(floor: Floor) -> Made:
    made = Made(floor)
    made.of("storedProcedure").clear_privileges()  # the only session that outlives a test
    return made


@pytest.fixture(params=KINDS)
def session(request: pytest.FixtureRequest, made: Made) -> Session:
    return made.of(request.param)


def in_web(session: Session) -> AbstractContextManager[Any]:
    return serving(session)


def is_web(session: Session) -> bool:
    return session.record.kind == "web"


# ---- the table 2.7, rows 1 to 7, for each kind


def row_1_set_privileges_sets(session: Session, made: Made) -> None:
    assert session.set_privileges("medium") is True
    assert made.again(session).get_privileges() == ["simple", "medium"]


def row_2_clear_privileges_clears(session: Session, made: Made) -> None:
    session.set_privileges({"roles": "owner"})
    assert session.clear_privileges() is True
    assert made.again(session).get_privileges() == []


def row_3_get_privileges_is_the_real_list(session: Session, made: Made) -> None:
    assert session.get_privileges() == []
    session.set_privileges({"roles": "Medium"})  # the original's own sample
    assert session.get_privileges() == session.privileges == ["simple", "medium"]


def row_4_has_privilege_is_the_real_answer(session: Session, made: Made) -> None:
    assert not session.has_privilege("simple")
    session.set_privileges(["medium"])
    assert session.has_privilege("simple")
    assert session.has_privilege("MEDIUM")
    assert not session.has_privilege("delete")
    assert not session.has_privilege("nobody declared this")


def row_5_is_guest_is_always_false_but_in_the_web(session: Session, made: Made) -> None:
    assert session.is_guest() is is_web(session)
    session.set_privileges("simple")
    assert session.is_guest() is False
    session.clear_privileges()
    assert session.is_guest() is is_web(session)


def row_6_promote_acts_in_the_web_only(session: Session, made: Made) -> None:
    assert session.promote("simple") == 0
    assert not session.has_privilege("simple")
    with in_web(session):
        assert session.promote("simple") == 1
        assert session.has_privilege("simple")
        assert session.get_privileges() == []
    assert not session.has_privilege("simple")


def row_7_demote_acts_in_the_web_only(session: Session, made: Made) -> None:
    with in_web(session):
        number = session.promote("medium")
        assert session.has_privilege("simple")
        session.demote(number)
        assert not session.has_privilege("simple")
    session.demote(number)  # nothing


ROWS: Final[list[Callable[[Session, Made], None]]] = [
    row_1_set_privileges_sets,
    row_2_clear_privileges_clears,
    row_3_get_privileges_is_the_real_list,
    row_4_has_privilege_is_the_real_answer,
    row_5_is_guest_is_always_false_but_in_the_web,
    row_6_promote_acts_in_the_web_only,
    row_7_demote_acts_in_the_web_only,
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
def test_table_2_7(row: Callable[[Session, Made], None], session: Session, made: Made) -> None:
    row(session, made)


# ---- what is given


@pytest.mark.parametrize(
    ("given", "privileges"),
    [
        ("simple", ["simple"]),
        (" delete , medium ", ["Delete", "simple", "medium"]),
        (["medium", "MEDIUM"], ["simple", "medium"]),
        (("simple", "unheard of"), ["simple"]),
        ({"privileges": "simple,delete"}, ["simple", "Delete"]),
        ({"privileges": ["simple"], "roles": ["OWNER"]}, ["simple", "medium", "Delete"]),
        ({"roles": "medium, unheard of"}, ["simple", "medium"]),
        ({"userName": "ann"}, []),
        ("WebAdmin", []),
        ("", []),
        ([], []),
    ],
)
def test_the_forms_of_set_privileges(made: Made, given: Any, privileges: list[str]) -> None:
    session = made.of("web")
    assert session.set_privileges(given) is True
    assert made.again(session).get_privileges() == privileges


@pytest.mark.parametrize("given", [None, 7, b"simple", [1], {"role": "owner"}, {"userName": 7}, {"roles": 3}])
def test_what_is_no_privilege_is_refused_and_changes_nothing(made: Made, given: Any) -> None:
    session = made.of("web")
    session.set_privileges("simple")
    with pytest.raises(TypeError):
        session.set_privileges(given)
    assert made.again(session).get_privileges() == ["simple"]


def test_it_replaces_what_was_there_and_a_name_alone_does_not(made: Made) -> None:
    session = made.of("web")
    session.set_privileges({"roles": "owner", "userName": "ann"})
    session.set_privileges({"userName": "bob"})
    assert (session.user_name, session.has_privilege("delete")) == ("bob", True)
    session.set_privileges("simple")
    again = made.again(session)
    assert (again.user_name, again.get_privileges()) == ("bob", ["simple"])
    session.clear_privileges()
    assert made.again(session).user_name == "bob"


@pytest.mark.parametrize("kind", ["remote", "storedProcedure", "standalone"])
def test_the_user_name_is_the_webs_to_set(made: Made, kind: Kind) -> None:
    session = made.of(kind)
    before = session.user_name
    assert session.set_privileges({"userName": "mallory", "privileges": "simple"}) is True
    assert made.again(session).user_name == before
    assert made.again(session).has_privilege("simple")


def test_who_is_a_guest_where_one_has_to_log_in(made: Made) -> None:
    made.roles = FORCED
    session = made.of("web")
    assert session.is_guest()
    session.set_privileges({"userName": "ann"})  # no privilege, and yet somebody
    assert not made.again(session).is_guest()
    session.clear_privileges()
    assert not made.again(session).is_guest()


def test_what_a_session_may_follows_roles_json(made: Made) -> None:
    session = made.of("web")
    session.set_privileges({"roles": "owner"})
    made.roles = replace(OPEN, roles={"Medium": ("medium",), "owner": ("simple",)})
    assert session.get_privileges() == ["simple"]
    assert not session.has_privilege("Delete")


def test_another_program_sees_it_within_a_beat(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    session = made.of("web")
    elsewhere = made.again(session)
    assert not elsewhere.has_privilege("simple")
    session.set_privileges("simple")
    assert session.has_privilege("simple")  # its own at once
    monkeypatch.setattr(made.sessions, "beat_seconds", 0.0)
    assert elsewhere.has_privilege("simple")


def test_a_session_that_is_over_has_no_privileges(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    session = made.of("web")
    session.set_privileges("simple")
    elsewhere = made.again(session)
    assert session.close() is True
    assert session.close() is False
    assert not session.has_privilege("simple")
    with pytest.raises(SessionExpired):
        session.require("simple")
    with pytest.raises(SessionExpired):
        session.set_privileges("simple")
    monkeypatch.setattr(made.sessions, "beat_seconds", 0.0)
    assert elsewhere.get_privileges() == []
    assert elsewhere.id == session.id


def test_require_says_who_would_give_it(made: Made) -> None:
    session = made.of("web")
    session.set_privileges({"userName": "ann", "roles": "medium"})
    session.require("simple", "medium")
    with pytest.raises(PrivilegeDenied) as refused:
        session.require("simple", "Delete")
    assert (refused.value.privilege, refused.value.user) == ("Delete", "ann")
    assert tuple(refused.value.granted_by) == ("owner",)
    assert tuple(refused.value.roles) == ("Medium",)


# ---- promotions


@pytest.fixture
def web(made: Made) -> Iterator[Session]:
    """A session of the web whose request is being served."""
    session = made.of("web")
    with serving(session):
        yield session


def test_promote_answers_zero_where_it_does_nothing(web: Session) -> None:
    assert web.promote("nobody declared this") == 0
    assert web.promote("simple") == 1
    assert web.promote("SIMPLE") == 0
    with promoting(["Delete"]):  # a static one, of the function that is called
        assert web.has_privilege("delete")
        assert web.promote("delete") == 0
    assert not web.has_privilege("delete")


def test_numbers_grow_and_each_is_undone_by_itself(web: Session) -> None:
    first, second = web.promote("simple"), web.promote("Delete")
    assert (first, second) == (1, 2)
    web.demote(first)
    assert [web.has_privilege(name) for name in ("simple", "delete")] == [False, True]
    for number in (first, 0, -1, 99):
        web.demote(number)
    assert web.has_privilege("delete")
    assert web.promote("simple") == 3


def test_what_was_set_may_be_promoted_besides(web: Session) -> None:
    web.set_privileges("simple")
    number = web.promote("simple")
    assert number == 1
    web.clear_privileges()
    assert web.has_privilege("simple")  # clearing does not reach what is promoted
    web.demote(number)
    assert not web.has_privilege("simple")


def test_a_promotion_ends_with_its_function_however_that_ends(web: Session) -> None:
    def function(*, fail: bool) -> None:
        with promoting():
            web.promote("medium")
            assert web.has_privilege("simple")
            if fail:
                raise KeyError

    function(fail=False)
    with pytest.raises(KeyError):
        function(fail=True)
    assert not web.has_privilege("simple")
    assert web.promote("simple") == 3


def test_an_inner_function_has_what_is_promoted_around_it(web: Session) -> None:
    web.promote("simple")
    with promoting():
        assert web.has_privilege("simple")
        inner = web.promote("Delete")
        with promoting():
            web.demote(inner)
        assert not web.has_privilege("Delete")


def test_two_functions_side_by_side_know_nothing_of_each_other(web: Session) -> None:
    async def function(name: str, both: asyncio.Barrier) -> list[bool]:
        with promoting():
            web.promote(name)
            await both.wait()
            return [web.has_privilege(one) for one in ("simple", "Delete")]

    async def request() -> tuple[list[bool], list[bool]]:
        both = asyncio.Barrier(2)
        return await asyncio.gather(function("simple", both), function("Delete", both))

    assert list(asyncio.run(request())) == [[True, False], [False, True]]


def test_a_promotion_is_of_one_request_and_its_threads(web: Session, made: Made) -> None:
    web.promote("simple")
    assert asyncio.run(asyncio.to_thread(web.has_privilege, "simple"))
    other = made.again(web)
    with serving(other):  # another request of the same session
        assert not other.has_privilege("simple")
    seen: list[bool] = []
    stray = threading.Thread(target=lambda: seen.append(web.has_privilege("simple")))
    stray.start()
    stray.join()
    assert seen == [False]


def test_a_promotion_is_of_the_session_that_is_served(web: Session, made: Made) -> None:
    web.promote("simple")
    other = made.of("web")
    assert not other.has_privilege("simple")
    assert other.promote("simple") == 0
    assert web.has_privilege("simple")


@pytest.mark.parametrize("remote", [False, True], ids=["outside", "a remote client's call"])
def test_nothing_is_promoted_outside_of_the_web(made: Made, *, remote: bool) -> None:
    session = made.of("remote")
    with serving(session, remote=True) if remote else nullcontext():
        assert session.promote("simple") == 0
        assert not session.has_privilege("simple")
