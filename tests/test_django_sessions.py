"""Django's sessions are onserver's: the engine passes Django's own tests, and the middleware serves requests in it."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

import pytest
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path as url
from msgspec.structs import replace

from onserver import Server, session
from onserver.errors import PrivilegeDenied
from onserver.redis.address import Address
from onserver.redis.store import Store
from onserver.session.context import served
from onserver.testing import OnServer
from onserver.web import web_sessions
from tests import django_site, sdists
from tests.inline_worker import make_server

django_site.set_up()

from onserver.django_app.middleware import SessionMiddleware  # noqa: E402  # Django has to be set up first
from onserver.django_app.sessions import SessionStore  # noqa: E402

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "onserver.django_app.middleware.SessionMiddleware",
]


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"dj{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, made.as_current():
        yield made


# ---- Django's own tests


def test_djangos_own_session_tests_pass(redis_address: Address) -> None:
    folder = sdists.fetch("django")
    command = [sys.executable, "-m", "tests.django_sessions", str(folder), f"dj{uuid4().hex[:8]}"]
    done = subprocess.run(
        [*command, f"unix://{redis_address.path}"], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(re.findall(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)[0]) >= 89
    assert re.search(r"^OK$", done.stderr, re.MULTILINE), done.stderr[-500:]


# ---- the engine


def test_a_session_has_all_that_djangos_own_is_made_with(server: Server) -> None:
    """It does not call Django's `__init__`, which looks up the serializer for each request."""
    for key in (None, "short", "A" * 32):
        made, own = SessionStore(key), SessionBase(key)
        assert {name: getattr(made, name) for name in vars(own)} == vars(own)
        assert (made.session_key, made.facts) == (own.session_key, {})


def test_requests_of_one_session_do_not_overwrite_each_others_keys(server: Server) -> None:
    first = SessionStore()
    first.update({"cart": [1], "seen": 1})
    first.save()
    one, other = SessionStore(first.session_key), SessionStore(first.session_key)
    one["cart"] = [1, 2]
    other["language"] = "fr"
    del other["seen"]
    one.save()
    other.save()
    assert dict(SessionStore(first.session_key).items()) == {"cart": [1, 2], "language": "fr"}


def test_a_change_inside_a_value_is_saved(server: Server) -> None:
    store = SessionStore()
    store["cart"] = [1]
    store.save()
    again = SessionStore(store.session_key)
    again["cart"].append(2)
    again.modified = True
    again.save()
    assert SessionStore(store.session_key)["cart"] == [1, 2]


def test_the_session_of_django_is_a_session_of_onserver(server: Server) -> None:
    store = SessionStore()
    store.save()
    opened = server.sessions.find(str(store.session_key))
    assert opened is not None
    assert (opened.record.kind, opened.id) == ("web", store.session_key)
    with opened.storage.use("cart") as cart:
        cart["chair"] = 1
    store.cycle_key()
    assert server.sessions.find(opened.id) is None
    assert store.opened.storage["cart"] == {"chair": 1}
    store.flush()
    assert server.sessions.counts()["web"] == 0


def test_expiry_is_the_sessions(server: Server) -> None:
    store = SessionStore()
    store.save()
    assert store.opened.record.idle_ms == 14 * 86_400_000
    store.set_expiry(60)
    store.save()
    record = server.sessions.records.read(str(store.session_key))
    assert record is not None
    assert record.until_ms == record.seen_ms + 60_000
    store.set_expiry(timedelta(hours=1))
    store.save()
    record = server.sessions.records.read(str(store.session_key))
    assert record is not None
    assert record.idle_ms == 0
    assert abs(record.until_ms - record.read_ms - 3_600_000) < 60_000


def test_a_session_that_was_dropped_is_gone(server: Server) -> None:
    store = SessionStore()
    store["user"] = 7
    store.save()
    server.sessions.drop(str(store.session_key), by="a test")
    with pytest.raises(UpdateError):
        store.save()
    assert SessionStore(store.session_key).get("user") is None


@pytest.mark.parametrize("key", ["someunknownkey", "F" * 32, "../../etc/passwd"])
def test_a_key_that_nobody_was_given_opens_nothing(server: Server, key: str) -> None:
    store = SessionStore(key)
    store["user"] = 7
    assert store.session_key is None
    store.save()
    assert store.session_key != key
    with pytest.raises(CreateError):
        SessionStore(store.session_key).save(must_create=True)
    with pytest.raises(CreateError):
        SessionStore("someunknownkey").save(must_create=True)


def test_a_session_of_another_web_server_is_not_taken(server: Server) -> None:
    opened = server.sessions.open("web", web="component", data={"x": b"1"})
    assert SessionStore(opened.id).get("x") is None


def test_a_session_that_is_emptied_and_keeps_its_key_is_saved(server: Server) -> None:
    store = SessionStore()
    store["foo"] = "bar"
    store.save()
    again = SessionStore(store.session_key)
    del again["foo"]
    again.save()
    assert dict(SessionStore(store.session_key).items()) == {}
    assert server.sessions.find(str(store.session_key)) is not None


# ---- the middleware


def count(request: HttpRequest) -> HttpResponse:
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(f"{session().id} {request.session['count']}")


def look(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{session().id} {session().info['IPAddress']}")


def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(repr(served() is not None))


async def acount(request: HttpRequest) -> HttpResponse:
    number = await request.session.aget("count", 0) + 1
    await request.session.aset("count", number)
    there = await asyncio.to_thread(lambda: session().id)
    return HttpResponse(f"{there} {number} {session().id == there}")


def sign_in(request: HttpRequest) -> HttpResponse:
    before = session().id
    session().set_privileges({"userName": "ann"})
    return HttpResponse(before)


def hand_over(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{session().restore(request.GET['token'])} {session().id}")


def leave(request: HttpRequest) -> HttpResponse:
    before = session().id
    request.session.flush()
    return HttpResponse(before)


def close(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{session().id} {session().close()}")


def leave_and_look(request: HttpRequest) -> HttpResponse:
    before = session().id
    request.session.flush()
    return HttpResponse(f"{before} {session().id}")


def refused(request: HttpRequest) -> HttpResponse:
    raise PrivilegeDenied("invoices.create", "ann")


urlpatterns = [
    url(f"{view.__name__}", view)
    for view in (count, look, nothing, acount, sign_in, hand_over, leave, leave_and_look, close, refused)
]


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE):
        yield Client(raise_request_exception=False)


def cookie(client: Client | AsyncClient) -> str:
    return client.cookies["sessionid"].value if "sessionid" in client.cookies else ""


def test_both_names_of_the_session_mean_the_same(client: Client, server: Server) -> None:
    first, second = (client.get("/count").content.decode().split() for _ in range(2))
    assert first[0] == second[0] == cookie(client)
    assert (first[1], second[1]) == ("1", "2")
    record = server.sessions.records.read(first[0])
    assert record is not None
    assert (record.data, record.ip, record.host_type) == ({"count": b"2"}, "127.0.0.1", "browser")


def test_a_guest_whose_session_is_looked_at_gets_a_cookie(client: Client, server: Server) -> None:
    there, address = client.get("/look").content.decode().split()
    assert (there, address) == (cookie(client), "127.0.0.1")
    assert client.get("/look").content.decode().split()[0] == there
    assert server.sessions.counts()["web"] == 1


def test_a_request_that_looks_at_no_session_makes_none(client: Client, server: Server) -> None:
    assert client.get("/nothing").content == b"True"
    assert not cookie(client)
    assert server.sessions.counts()["web"] == 0
    assert served() is None


async def test_asynchronous_views_have_the_same_session(client: Client, server: Server) -> None:
    asynchronous = AsyncClient()
    texts = [(await asynchronous.get("/acount")).content.decode().split() for _ in range(3)]
    assert {there for there, _, _ in texts} == {cookie(asynchronous)}
    assert [(number, same) for _, number, same in texts] == [("1", "True"), ("2", "True"), ("3", "True")]
    text = (await asynchronous.get("/count")).content.decode()
    assert text == f"{cookie(asynchronous)} 4"


def test_who_signs_in_gets_another_id(client: Client, server: Server) -> None:
    fixed = client.get("/look").content.decode().split()[0]
    assert client.get("/sign_in").content.decode() == fixed
    assert cookie(client) != fixed
    assert server.sessions.find(fixed) is None
    found = server.sessions.find(cookie(client))
    assert found is not None
    assert found.user_name == "ann"
    assert client.get("/look").content.decode().split()[0] == found.id


def test_a_session_that_is_handed_over_is_the_browsers_from_then_on(client: Client, server: Server) -> None:
    client.get("/count")
    other = server.sessions.open("web", user="bob", data={"count": b"41"})
    token = other.create_otp()
    assert client.get("/hand_over", {"token": token}).content.decode() == f"True {other.id}"
    assert cookie(client) == other.id
    assert client.get("/count").content.decode() == f"{other.id} 42"
    assert client.get("/hand_over", {"token": token}).content.decode() == f"False {other.id}"


@pytest.mark.parametrize("kind", ["web", "remote"])
async def test_a_token_in_the_url_leads_into_its_session(client: Client, server: Server, kind: Literal["web"]) -> None:
    other = server.sessions.open(kind, user="bob", data={"count": b"41"})
    asynchronous = AsyncClient()
    for number, browser in enumerate((client, asynchronous), 42):
        query = {"$4DSID": other.create_otp()}
        for _ in range(2):  # the second one brings a token that is spent
            if isinstance(browser, AsyncClient):
                text = (await browser.get("/acount" if number < 43 else "/look", query)).content.decode()
            else:
                text = (await asyncio.to_thread(browser.get, "/look", query)).content.decode()
            assert text.split()[0] == other.id == cookie(browser)
    assert client.get("/count").content.decode() == f"{other.id} 42"


def test_who_signs_in_to_the_session_of_a_token_gets_another_id(client: Client, server: Server) -> None:
    planted = server.sessions.open("web", data={"count": b"41"})
    client.get("/sign_in", {"$4DSID": planted.create_otp()})
    assert cookie(client) not in {"", planted.id}
    assert server.sessions.find(planted.id) is None
    found = server.sessions.find(cookie(client))
    assert found is not None
    assert (found.user_name, found.record.data["count"]) == ("ann", b"41")


def test_nobody_gets_into_the_session_of_procedures_by_a_cookie(client: Client, server: Server) -> None:
    worker = OnServer(server, live=False)
    worker.open()
    try:
        token = server.session().create_otp()
        there = client.get("/look", {"$4DSID": token}).content.decode().split()[0]
        assert there == server.session().id
        assert cookie(client) != there
        client.cookies["sessionid"] = there
        assert client.get("/look").content.decode().split()[0] != there
    finally:
        worker.close()


def test_who_leaves_has_no_session_any_more(client: Client, server: Server) -> None:
    client.get("/count")
    left = client.get("/leave").content.decode()
    assert server.sessions.find(left) is None
    assert cookie(client) == ""
    client.get("/count")
    left, fresh = client.get("/leave_and_look").content.decode().split()
    assert server.sessions.find(left) is None
    assert fresh == cookie(client) != left


def test_a_session_that_is_closed_has_no_cookie(client: Client, server: Server) -> None:
    client.get("/count")
    left, closed = client.get("/close").content.decode().split()
    assert (closed, cookie(client)) == ("True", "")
    assert server.sessions.find(left) is None
    assert client.get("/count").content.decode().split()[1] == "1"


def test_the_use_of_a_session_is_noted_though_nobody_looks(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []
    client.get("/count")
    monkeypatch.setattr(server.sessions, "touch", noted.append)
    for _ in range(3):
        client.get("/nothing")
    web_sessions(server).close()
    assert noted == [cookie(client)]


def test_a_missing_privilege_is_403(client: Client) -> None:
    assert client.get("/refused").status_code == 403


def test_simultaneous_requests_of_one_session_keep_each_others_keys(client: Client, server: Server) -> None:
    client.get("/count")
    key, failures = cookie(client), list[BaseException]()

    def change(name: str) -> None:
        try:
            for number in range(20):
                store = SessionStore(key)
                store[name] = number
                store.save()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=change, args=(f"k{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert dict(SessionStore(key).items()) == {"count": 1, **{f"k{i}": 19 for i in range(4)}}


def test_sessions_can_be_switched_off(server: Server) -> None:
    settings = replace(server.settings, web=replace(server.settings.web, scalable_sessions=False))
    with Server(settings=settings) as without, without.as_current():
        request = RequestFactory().get("/")
        request.session = SessionStore()
        response = SessionMiddleware(lambda _: HttpResponse(repr(session())))(request)
    assert isinstance(response, HttpResponse)
    assert response.content == b"None"


def test_a_session_can_be_kept_to_its_address(server: Server) -> None:
    settings = replace(server.settings, web=replace(server.settings.web, check_address=True))
    with (
        Server(settings=settings) as careful,
        careful.as_current(),
        override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE),
    ):
        client = Client()
        there = client.get("/look").content.decode().split()[0]
        assert client.get("/look").content.decode().split()[0] == there
        assert client.get("/look", REMOTE_ADDR="10.0.0.7").content.decode().split() != [there, "10.0.0.7"]


def test_the_middleware_says_what_it_needs(server: Server) -> None:
    with pytest.raises(ImproperlyConfigured, match="stands behind"):
        SessionMiddleware(lambda _: HttpResponse())(RequestFactory().get("/"))


def test_a_session_costs_one_round_trip_a_request(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get("/count")
    trips: list[Store] = []
    insist = Store._insist

    def counted(store: Store, *args: Any, **kwargs: Any) -> Any:
        trips.append(store)
        return insist(store, *args, **kwargs)

    monkeypatch.setattr(Store, "_insist", counted)
    Client().get("/nothing")
    assert len(trips) == 0
    client.get("/look")
    assert len(trips) == 1
    client.get("/count")
    assert len(trips) == 3  # one to read it, one to write what has changed
