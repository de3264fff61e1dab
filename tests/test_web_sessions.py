"""Sessions of the web, as the adapters see them: cookies, guests, expiry, fixation, tokens, and what it all costs.

Rows of the specification are named by their number: 1.3 (resolution), 2.5 (times), 2.10 (tokens), 3.1 (life cycle).
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from onserver import Server, session
from onserver.errors import PrivilegeDenied
from onserver.process.caller import caller, snapshot_to_send
from onserver.redis.address import Address
from onserver.session.record import SessionRecord
from onserver.testing import wait_for
from onserver.web import WebSession, WebSessions
from onserver.web.cookie import CookieRules
from onserver.web.devices import devices, sign_out
from onserver.web_settings import WebSettings
from tests.floor import Floor, open_floor

MINUTE, HOUR = 60, 3600


@pytest.fixture
def floor(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Floor]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    with open_floor(redis_address) as floor:
        yield floor
        assert floor.orphans() == []


class Browser:
    """Sends requests, and keeps the cookies of the answers."""

    def __init__(self, floor: Floor, ip: str = "192.0.2.1", web: str = "", **settings: Any) -> None:
        self.floor, self.ip = floor, ip
        self.sessions = WebSessions(floor.server, web, settings=WebSettings(**settings))
        self.cookie = ""
        self.answered: list[str] = []

    def get(self, body: Callable[[], Any] = lambda: None, query: str = "", *, rest: bool = False) -> Any:
        request = self.sessions.begin(cookie=self.cookie, query=query, ip=self.ip, agent="Mozilla", rest=rest)
        with request.serving():
            request.join()
            found = body()
            headers = request.finish()
        self.answered = [value for name, value in headers if name == "Set-Cookie"]
        for value in self.answered:
            self.cookie = "" if "Max-Age=0" in value else value.partition(";")[0]
        return found

    @property
    def identity(self) -> str:
        return self.cookie.partition("=")[2]


@pytest.fixture
def browser(floor: Floor) -> Iterator[Browser]:
    made = Browser(floor)
    yield made
    made.sessions.close()


@pytest.fixture
def trips(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The round trips that this thread has waited for."""
    made: list[str] = []
    store, here = floor.store, threading.current_thread()
    insist = store._insist

    def counted(attempt: Any, link: Any, seconds: Any) -> Any:
        if threading.current_thread() is here:
            made.append("trip")
        return insist(attempt, link, seconds)

    monkeypatch.setattr(store, "_insist", counted)
    return made


def keep() -> str:
    """Have the session of this request kept."""
    with session().storage.use("cart") as cart:
        cart["chair"] = 1
    return session().id


def record_of(floor: Floor, identity: str) -> SessionRecord:
    found = floor.server.sessions.records.read(identity)
    assert found is not None
    return found


def web_count(floor: Floor) -> int:
    return floor.server.sessions.counts()["web"]


def sign_in(name: str = "ann") -> str:
    session().set_privileges({"userName": name})
    return session().id


# -- guests


def test_a_guest_has_a_session_that_leaves_nothing_behind(floor: Floor, browser: Browser) -> None:
    def look() -> tuple[object, ...]:
        mine = session()
        found = (mine.user_name, mine.is_guest(), mine.has_privilege("x"), mine.get_privileges(), mine.idle_timeout)
        assert "cart" not in mine.storage
        assert list(mine.messages()) == []
        assert mine.close() is False
        with pytest.raises(PrivilegeDenied):
            mine.require("x")
        assert caller().kind == "web"
        return found

    assert browser.get(look) == ("", True, False, [], 60)
    assert browser.answered == []
    assert web_count(floor) == 0


@pytest.mark.parametrize(
    "keeps",
    [
        keep,
        lambda: session().storage.counter("clicks").add(1),
        lambda: session().id,
        lambda: session().info["ID"],
        lambda: session().expiration_date,
        lambda: session().create_otp(),
        lambda: session().set_privileges({"userName": "ann"}),
        lambda: setattr(session(), "idle_timeout", 90),
        lambda: snapshot_to_send(Server.current(), None),
    ],
    ids=[
        "storage",
        "counter",
        "id",
        "info",
        "expiration_date",
        "create_otp",
        "set_privileges",
        "idle_timeout",
        "process",
    ],
)
def test_a_guest_of_whom_something_is_kept_gets_a_cookie(floor: Floor, browser: Browser, keeps: Any) -> None:
    browser.get(keeps)
    assert browser.identity
    assert web_count(floor) == 1
    assert browser.get(lambda: session().id) == browser.identity
    assert browser.answered == []


def test_3_1_a_request_with_a_cookie_is_in_its_session(floor: Floor, browser: Browser) -> None:
    identity = browser.get(keep)
    assert browser.cookie == f"4DSID_{floor.server.name}={identity}"
    assert browser.get(lambda: dict(session().storage)) == {"cart": {"chair": 1}}
    record = record_of(floor, identity)
    assert (record.kind, record.type, record.ip, record.agent, record.host_type, record.user) == (
        "web", "web", "192.0.2.1", "Mozilla", "browser", "",
    )  # fmt: skip


@pytest.mark.parametrize("value", ["", "x", "F" * 32, "'; DROP", "\udcff", "A" * 10_000, "../" * 11])
def test_3_1_a_cookie_that_leads_nowhere_is_a_guests(floor: Floor, browser: Browser, value: str) -> None:
    browser.cookie = f"{browser.sessions.cookie.name}={value}"
    assert browser.get(lambda: session().is_guest())
    assert browser.answered == []
    identity = browser.get(lambda: session().id)
    assert identity != value
    assert browser.identity == identity


def test_a_session_that_procedures_have_is_not_entered_by_a_cookie(floor: Floor, browser: Browser) -> None:
    browser.cookie = f"{browser.sessions.cookie.name}={floor.server.session().id}"
    assert browser.get(lambda: session().record.kind) == "web"


# -- what it costs


def test_a_request_that_does_not_look_makes_no_trip(browser: Browser, trips: list[str]) -> None:
    browser.get()
    assert trips == []
    browser.get(keep)
    trips.clear()
    browser.get()
    browser.get()
    assert trips == []


def test_a_request_that_changes_nothing_makes_one_trip(browser: Browser, trips: list[str]) -> None:
    def look() -> None:
        for _ in range(3):
            assert session().user_name == "ann"
            assert not session().has_privilege("x")
        assert session().id

    browser.get(sign_in)
    trips.clear()
    browser.get(look)
    assert trips == ["trip"]


def test_a_guest_who_only_looks_makes_no_trip(browser: Browser, trips: list[str]) -> None:
    assert browser.get(lambda: session().is_guest())
    assert trips == []


def test_a_written_session_makes_one_trip_more(browser: Browser, trips: list[str]) -> None:
    browser.get(sign_in)
    trips.clear()
    browser.get(lambda: session().set_privileges({"privileges": "x"}))
    assert len(trips) == 2


def test_use_is_noted_once_a_minute_and_not_waited_for(floor: Floor, browser: Browser) -> None:
    identity = browser.get(keep)
    before = record_of(floor, identity).seen_ms
    floor.advance(2 * MINUTE)
    browser.get()
    wait_for(lambda: record_of(floor, identity).seen_ms > before, what="the use to be noted")
    seen = record_of(floor, identity).seen_ms
    floor.advance(2 * MINUTE)
    browser.get()
    browser.sessions.close()  # what waits is noted first
    assert record_of(floor, identity).seen_ms == seen, "this program has noted it less than a minute ago"
    browser.get(lambda: session().user_name)
    wait_for(lambda: record_of(floor, identity).seen_ms > seen, what="a look, by the clock of Redis, to be noted")


# -- how long it lasts


def test_2_5_an_unused_session_is_over_and_the_next_is_a_fresh_guest(floor: Floor, browser: Browser) -> None:
    identity = browser.get(keep)
    floor.advance(HOUR - 1)
    assert browser.get(lambda: session().id) == identity
    floor.advance(HOUR + 1)
    assert browser.get(lambda: (session().is_guest(), dict(session().storage))) == (True, {})
    assert browser.get(lambda: session().id) != identity


def test_a_limit_holds_however_much_it_is_used(floor: Floor) -> None:
    browser = Browser(floor, limit_minutes=90)
    identity = browser.get(keep)
    for _ in range(3):
        seen = record_of(floor, identity).seen_ms
        floor.advance(29 * MINUTE)
        assert browser.get(lambda: session().id) == identity
        wait_for(lambda: record_of(floor, identity).seen_ms > seen, what="the use to be noted")  # noqa: B023
    floor.advance(4 * MINUTE)
    assert browser.get(lambda: session().id) != identity


def test_2_5_idle_timeout_is_at_least_60_minutes_and_moves_the_end(browser: Browser) -> None:
    def change(minutes: int) -> tuple[int, str]:
        session().idle_timeout = minutes
        return session().idle_timeout, session().expiration_date

    first, early = browser.get(lambda: change(5))
    second, late = browser.get(lambda: change(120))
    assert (first, second) == (60, 120)
    assert early < late
    assert late.endswith("Z")


# -- who may be in it


def test_signing_in_gives_a_new_id(floor: Floor, browser: Browser) -> None:
    planted = browser.get(keep)
    thief = Browser(floor)
    thief.cookie = browser.cookie
    identity = browser.get(sign_in)
    assert browser.identity == identity != planted
    assert browser.get(lambda: dict(session().storage)) == {"cart": {"chair": 1}}
    assert thief.get(lambda: session().user_name) == ""
    assert browser.get(sign_in) == identity, "who is signed in already stays where they are"
    assert browser.get(lambda: sign_in("bob")) != identity


def test_who_signs_in_elsewhere_gets_a_new_id_when_the_answer_begins(floor: Floor, browser: Browser) -> None:
    def by_a_worker() -> None:
        floor.server.sessions.records.write(session().id, user="ann", is_set=True)
        mine = session()
        assert isinstance(mine, WebSession)
        mine.refresh()

    planted = browser.get(keep)
    browser.get(by_a_worker)
    assert browser.identity != planted
    assert browser.get(lambda: session().user_name) == "ann"


def test_more_privileges_give_a_new_id_although_nobody_says_who_it_is(floor: Floor, browser: Browser) -> None:
    """Guests may have been given privileges, and who signs in need not have a name."""

    def given(*privileges: str) -> None:
        floor.server.sessions.records.write(session().id, privileges=privileges, is_set=True)
        mine = session()
        assert isinstance(mine, WebSession)
        mine.refresh()

    browser.get(keep)
    browser.get(lambda: given("look"))
    planted = browser.identity
    browser.get(lambda: given("look", "change"))
    assert browser.identity != planted
    mine = browser.identity
    browser.get(lambda: given("change"))
    assert browser.identity == mine, "who has less is who they were"


@pytest.mark.parametrize("where", ["url", "restore"])
def test_signing_in_to_the_session_of_a_token_gives_it_a_new_id(floor: Floor, browser: Browser, where: str) -> None:
    thief, planted = browser, browser.get(keep)
    token = token_of(thief)
    victim = Browser(floor)

    def body() -> str:
        assert where == "url" or session().restore(token)
        return sign_in()

    victim.get(body, f"$4DSID={token}" if where == "url" else "")
    assert victim.identity != planted
    assert victim.get(lambda: (session().user_name, dict(session().storage))) == ("ann", {"cart": {"chair": 1}})
    assert thief.get(lambda: session().user_name) == ""


def test_a_first_sign_in_needs_no_other_id(browser: Browser, trips: list[str]) -> None:
    browser.get(sign_in)
    assert len(trips) == 2  # opened, and changed


def test_an_address_is_checked_where_that_is_said(floor: Floor) -> None:
    browser = Browser(floor, check_address=True)
    identity = browser.get(keep)
    thief = Browser(floor, ip="203.0.113.9", check_address=True)
    thief.cookie = browser.cookie
    assert thief.get(lambda: session().id) != identity
    assert browser.get(lambda: session().id) == identity
    moved = Browser(floor, ip="203.0.113.9")
    moved.cookie = browser.cookie
    assert moved.get(lambda: session().id) == identity, "it is not checked by default"


def test_closing_ends_it_and_removes_the_cookie(floor: Floor, browser: Browser) -> None:
    def leave() -> tuple[bool, bool]:
        return session().close(), session().is_guest()

    browser.get(sign_in)
    assert browser.get(leave) == (True, True)
    assert browser.cookie == ""
    assert web_count(floor) == 0


def test_what_is_kept_after_closing_is_of_a_new_session(browser: Browser) -> None:
    def leave() -> str:
        session().close()
        return session().id

    before = browser.get(sign_in)
    assert browser.get(leave) == browser.identity != before


def test_revoked_sessions_are_over_at_once(floor: Floor) -> None:
    browsers = [Browser(floor) for _ in range(3)]
    ids = [browser.get(sign_in) for browser in browsers]
    for identity in ids:
        floor.server.sessions.records.write(identity, login="ann")
    listed = floor.server.sessions.listed(login="ann")
    assert {(one.id, one.agent, one.ip) for one in listed} == {(one, "Mozilla", "192.0.2.1") for one in ids}
    floor.server.sessions.drop(ids[0], by="ann")
    assert [browser.get(lambda: session().user_name) for browser in browsers] == ["", "ann", "ann"]
    assert sorted(floor.server.sessions.drop_user("ann", by="ann")) == sorted(ids[1:])
    assert [browser.get(lambda: session().user_name) for browser in browsers] == ["", "", ""]


# -- two at once


def test_requests_of_one_session_do_not_overwrite_each_other(floor: Floor, browser: Browser) -> None:
    browser.get(keep)
    browser.get(sign_in)
    both = threading.Barrier(2)

    def work(name: str) -> None:
        def body() -> None:
            assert "chair" in session().storage["cart"]
            both.wait(20)  # both have read it before one of them writes
            with session().storage.use("cart") as cart:
                cart[name] = 1
            if name == "desk":
                session().quotas.nb_entity_sets = 5
            else:
                session().idle_timeout = 90

        request = browser.sessions.begin(cookie=browser.cookie)
        with request.serving():
            body()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("desk", "lamp")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [record] = floor.server.sessions.listed(kind="web")
    assert (record.user, record.quotas, record.idle_ms) == ("ann", {"nbEntitySets": 5}, 90 * 60_000)
    found = floor.server.sessions.find(record.id)
    assert found is not None
    assert dict(found.storage["cart"]) == {"chair": 1, "desk": 1, "lamp": 1}


def test_threads_of_a_request_see_one_guest(browser: Browser) -> None:
    def body() -> set[str]:
        found: list[str] = []
        contexts = [contextvars.copy_context() for _ in range(4)]
        threads = [
            threading.Thread(target=context.run, args=(lambda: found.append(session().id),)) for context in contexts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return set(found)

    assert browser.get(body) == {browser.identity}


# -- one-time tokens in the URL


def token_of(browser: Browser) -> str:
    token: str = browser.get(lambda: session().create_otp())
    return token


def test_2_10_a_token_brings_the_session_that_made_it(floor: Floor, browser: Browser) -> None:
    identity = browser.get(keep)
    other = Browser(floor, ip="198.51.100.7")
    token = token_of(browser)
    assert other.get(lambda: session().id, f"page=1&$4DSID={token}") == identity
    assert other.get(lambda: session().id) == identity, "the cookie is of that session from now on"
    third = Browser(floor)
    assert third.get(lambda: session().is_guest(), f"$4DSID={token}"), "it is spent"


@pytest.mark.parametrize("query", ["$4DSID={}", "%244DSID={}", "a=b&$4DSID={}&c=d"])
def test_a_token_is_found_however_the_browser_writes_it(floor: Floor, browser: Browser, query: str) -> None:
    identity = browser.get(keep)
    assert Browser(floor).get(lambda: session().id, query.format(token_of(browser))) == identity


@pytest.mark.parametrize("token", ["", "x", "F" * 32, "%ff%00", "$4DSID"])
def test_2_10_what_is_no_token_leaves_the_session_as_it_is(browser: Browser, token: str) -> None:
    identity = browser.get(keep)
    assert browser.get(lambda: session().id, f"$4DSID={token}") == identity
    assert browser.answered == []


def test_2_10_an_invalid_token_without_a_session_is_a_guest(floor: Floor) -> None:
    assert Browser(floor).get(lambda: session().is_guest(), "$4DSID=" + "F" * 32)


def test_2_10_a_token_that_is_too_old_or_whose_session_is_over_brings_nothing(floor: Floor, browser: Browser) -> None:
    browser.get(keep)
    late = browser.get(lambda: session().create_otp(10))
    floor.advance(11)
    assert Browser(floor).get(lambda: session().is_guest(), f"$4DSID={late}")
    orphan = token_of(browser)
    browser.get(lambda: session().close())
    assert Browser(floor).get(lambda: session().is_guest(), f"$4DSID={orphan}")


def test_2_10_a_token_is_of_one_server_and_of_the_host(floor: Floor, browser: Browser, redis_address: Address) -> None:
    identity = browser.get(keep)
    token = token_of(browser)
    with open_floor(redis_address) as other:
        assert Browser(other).get(lambda: session().is_guest(), f"$4DSID={token}")
    floor.server.make_current()
    component = Browser(floor, web="crm")
    assert component.get(lambda: session().is_guest(), f"$4DSID={token}")
    assert Browser(floor).get(lambda: session().id, f"$4DSID={token}") == identity, "nobody has spent it"


def test_2_10_a_session_is_restored_by_a_parameter_of_ones_own(floor: Floor, browser: Browser) -> None:
    identity = browser.get(keep)
    other = Browser(floor)
    token = token_of(browser)
    assert other.get(lambda: (session().restore(token), session().id)) == (True, identity)
    assert other.identity == identity


def test_1_3_row_26_a_token_brings_the_session_of_a_remote_client(floor: Floor, browser: Browser) -> None:
    remote = floor.server.sessions.open("remote", user="ann")
    token = remote.create_otp()
    assert browser.get(lambda: (session().id, session().user_name), f"$4DSID={token}") == (remote.id, "ann")
    assert browser.get(lambda: session().id) == remote.id


def test_a_token_of_procedures_is_for_one_request(floor: Floor, browser: Browser) -> None:
    token = floor.server.session().create_otp()
    assert browser.get(lambda: session().id, f"$4DSID={token}") == floor.server.session().id
    assert browser.answered == []
    assert browser.get(lambda: session().is_guest())


# -- web servers


def test_1_3_rows_9_and_10_without_scalable_sessions(floor: Floor) -> None:
    off = Browser(floor, scalable_sessions=False)
    assert off.get(session) is None
    assert off.get(session, rest=True) is None
    later = Browser(floor, scalable_sessions=False, rest_sessions_always=True)
    assert later.get(session) is None
    assert later.get(lambda: session().info["type"], rest=True) == "rest"


def test_each_web_server_has_sessions_of_its_own(floor: Floor, browser: Browser) -> None:
    component = Browser(floor, web="acme.crm")
    identity = component.get(keep)
    assert component.cookie == f"4DSID_{floor.server.name}_acme.crm={identity}"
    browser.cookie = f"4DSID_{floor.server.name}={identity}"
    assert browser.get(lambda: session().id) != identity


# -- the cookie


def test_a_cookie_says_what_the_settings_say() -> None:
    settings = WebSettings(
        cookie_name="sid", cookie_domain="example.com", cookie_path="/shop", cookie_same_site="None",
        cookie_secure="always", cookie_partitioned=True, cookie_seconds=90,
    )  # fmt: skip
    written = CookieRules.of(settings, "shop").write("A" * 32, secure=False)
    assert written == (
        f"sid={'A' * 32}; path=/shop; Max-Age=90; httponly; samesite=None; domain=example.com; secure; partitioned"
    )


def test_a_cookie_is_secure_where_the_request_is() -> None:
    rules = CookieRules.of(WebSettings(), "shop")
    assert rules.write("A", secure=True) == "4DSID_shop=A; path=/; httponly; samesite=Strict; secure"
    assert rules.write("A", secure=False) == "4DSID_shop=A; path=/; httponly; samesite=Strict"
    never = CookieRules.of(WebSettings(cookie_secure="never"), "shop")
    assert "secure" not in never.write("A", secure=True)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("4DSID_shop=A", "A"),
        ("x=1; 4DSID_shop=A ;y", "A"),
        ('4DSID_shop="A"', "A"),
        ("4DSID_shop=A; 4DSID_shop=B", "A"),
        ("X4DSID_shop=A", ""),
        ("4DSID_shop", ""),
        ("", ""),
        (";;==;", ""),
    ],
)
def test_a_cookie_is_read(header: str, value: str) -> None:
    assert CookieRules.of(WebSettings(), "shop").read(header) == value


@pytest.mark.parametrize("key", ["cookie_name", "cookie_domain", "cookie_path"])
def test_a_setting_cannot_break_the_header(key: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({key: "a; Domain=evil\r\nX: y"}, WebSettings)


# -- devices


def test_a_user_sees_where_they_are_signed_in_and_signs_out_elsewhere(floor: Floor) -> None:
    browsers = [Browser(floor, ip=f"192.0.2.{number}") for number in range(3)]
    ids = [browser.get(sign_in) for browser in browsers]
    Browser(floor).get(lambda: sign_in("bob"))
    Browser(floor).get(keep)
    assert {one.ip for one in devices("ann")} == {"192.0.2.0", "192.0.2.1", "192.0.2.2"}
    assert devices("") == []
    assert sorted(sign_out("ann", by="ann", but=ids[0])) == sorted(ids[1:])
    assert [browser.get(lambda: session().user_name) for browser in browsers] == ["ann", "", ""]
    assert [one.id for one in devices("ann")] == [ids[0]]
    assert len(devices("bob")) == 1


def test_all_pages_of_sessions_are_looked_through(floor: Floor) -> None:
    for _ in range(450):
        floor.server.sessions.open("web", user="ann")
    assert len(devices("ann")) == 450
