"""The server's side of remote clients: sessions, connections and their hooks, calls, events.

Specification 3.2, 3.5, 6.4, 6.5; rows 15 and 16 of table 1.3.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from onserver import (
    Connection,
    Server,
    begin_maintenance,
    caller,
    end_maintenance,
    execute_on_client,
    procedure,
    process,
    registered_clients,
    reject_new_connections,
    server_method,
    session,
)
from onserver.cluster.sweep import end_sessions
from onserver.connections.desk import Desk
from onserver.connections.ending import Closer
from onserver.connections.facts import Event, Opened, Opening
from onserver.connections.records import Connections
from onserver.errors import (
    BadArguments,
    ConnectionsRejected,
    ConnectionVetoed,
    LoginRefused,
    MaintenanceMode,
    PrivilegeDenied,
    ProcedureNotFound,
    ProcessNotFound,
    SessionExpired,
)
from onserver.life.hook import CLOSE_CONNECTION, OPEN_CONNECTION, Hook
from onserver.process.record import read_record
from onserver.process.twin import CallEnd
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.registry import declare, keep, kept
from onserver.session.attempts import MOST_OF_NAME, SECONDS
from onserver.session.context import serving
from onserver.session.record import SessionRecord
from onserver.session.users import Users
from onserver.testing import wait_for
from onserver.values import decode, encode
from tests.inline_worker import make_server, working

seen: list[Any] = []


@server_method(name="connections.who_calls")
def who(word: str = "") -> list[str]:
    """Tell in which session this runs, and who asks."""
    return [session().id, session().info.type, caller().user, caller().kind, word]


@server_method(name="connections.calls_so_far")
def count() -> int:
    """Count the calls of a twin in a variable of it."""
    variables = process().variables
    variables["calls"] = variables.get("calls", 0) + 1
    return int(variables["calls"])


@server_method(name="connections.for_readers", requires="invoices.read")
def guarded() -> str:
    return "read"


@procedure(name="connections.job_of_a_client")
def job(word: str) -> str:
    return f"{word} in {session().info.type} for {caller().user}"


def new_id() -> str:
    return uuid4().hex


def body_of(*args: Any) -> bytes:
    by_name: dict[str, Any] = {}
    return encode([list(args), by_name])


class Here(NamedTuple):
    """A server in this program, its desk, and how time passes."""

    server: Server
    desk: Desk

    def open(self, user: str = "ann", **facts: Any) -> Opened:
        return self.desk.open(Opening(attempt=new_id(), user=user, **facts))

    def connect(self, client: Opened, name: str = "") -> int:
        return self.desk.connect(client.session, name, new_id(), 20)

    def call(self, client: Opened, connection: int, name: str, *args: Any) -> Any:
        call, end = new_id(), None
        assert self.desk.call(client.session, connection, call, name, body_of(*args))
        end = self.desk.answer(client.session, call, 20)
        assert isinstance(end, CallEnd)
        assert end.state == "done", decode(end.error)
        return decode(end.result)

    def record(self, client: Opened) -> SessionRecord | None:
        return self.server.sessions.records.read(client.session)

    def advance(self, seconds: float) -> None:
        self.server.store.command("INCRBY", self.server.store.key("clock"), int(seconds * 1000))
        end_sessions(self.server.store)

    def close_all(self) -> list[str]:
        """What the leader does with each beat."""
        said: list[str] = []
        Closer(self.server, self.server.store, said.append).work()
        return said

    def gone(self, client: Opened) -> bool:
        return not self.server.store.command("EXISTS", self.server.store.key(f"s:{client.session}"))


@pytest.fixture
def here(redis_address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.setenv("ONSERVER_TESTING", "1")
    seen.clear()
    before = kept()
    with (
        make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as server,
        server.as_current(),
        working(server),
    ):
        yield Here(server, server.part(Desk))
        assert [str(orphan) for orphan in find_orphans(server.store)] == []
    keep(before)


def hooks(opens: Callable[[Connection], int | None] | None = None) -> None:
    """Declare a hook of each kind, which write down where they run and what they are told."""

    def opening(connection: Connection) -> int | None:
        seen.append(("open", session().id, connection.user, connection.connection, connection.zero))
        return None if opens is None else opens(connection)

    def closing(connection: Connection) -> None:
        seen.append(("close", session().id, connection.user, connection.connection, connection.zero))

    declare(OPEN_CONNECTION, Hook(OPEN_CONNECTION, opening, "shop.open"))
    declare(CLOSE_CONNECTION, Hook(CLOSE_CONNECTION, closing, "shop.close"))


def told(kind: str) -> list[Any]:
    return [facts[1:] for facts in seen if facts[0] == kind]


# ---- who gets in


def test_a_client_has_a_session_of_its_own(here: Here) -> None:
    client = here.open(machine="desk-7", system_user="a.smith", ip="10.0.0.7", host_type="windows", agent="shop 2.1")
    record = here.desk.facts(client.session)
    info = here.server.sessions.of(record).info
    assert (info.type, info.user_name, info.machine_name, info.system_user_name) == (
        "remote",
        "ann",
        "desk-7",
        "a.smith",
    )
    assert (info.ip_address, info.host_type, info.state) == ("10.0.0.7", "windows", "active")
    assert info.persistent_id == client.persistent
    assert "unreachableSince" not in info
    assert (client.beat_seconds, client.unreachable_seconds, client.sleep_hours) == (10, 900, 48)
    other = here.open("bob")
    assert other.session != client.session
    assert other.number != client.number


def test_an_attempt_opens_one_session_however_often_it_is_sent(here: Here) -> None:
    asked = Opening(attempt=new_id(), user="ann")
    first = here.desk.open(asked)
    assert here.desk.open(asked) == first
    assert here.server.sessions.counts()["remote"] == 1
    with pytest.raises(BadArguments):
        here.desk.open(Opening(attempt="no id"))


def test_a_project_with_users_lets_in_only_them_and_gives_them_their_roles(here: Here) -> None:
    Users(here.server.store).add("Ann", "a long password", ["invoices.read"])
    for user, password in (("ann", "wrong"), ("", ""), ("bob", "a long password")):
        with pytest.raises(LoginRefused):
            here.desk.open(Opening(attempt=new_id(), user=user, password=password))
    client = here.open("ANN", password="a long password")
    record = here.desk.facts(client.session)
    assert (record.user, record.login, client.privileges) == ("Ann", "ann", ("invoices.read",))


def test_too_many_wrong_passwords_shut_the_door_for_a_while(here: Here) -> None:
    Users(here.server.store).add("Ann", "a long password", ["invoices.read"])
    for _ in range(MOST_OF_NAME):
        with pytest.raises(LoginRefused, match="no such name and password"):
            here.desk.open(Opening(attempt=new_id(), user="ANN", password="wrong", ip="192.0.2.1"))
    with pytest.raises(LoginRefused, match=r"too many passwords were wrong; try again in \d+ s") as shut:
        here.open("ann", password="a long password")
    assert 0 < shut.value.wait <= SECONDS
    for key in here.server.store.command("KEYS", here.server.store.key("tries:*")):
        here.server.store.command("DEL", key)  # it is over
    for _ in range(MOST_OF_NAME + 1):  # what is right is not counted
        here.open("ann", password="a long password")


@pytest.mark.parametrize("state", ["none", "starting", "stopping"])
def test_no_client_gets_in_while_the_server_does_not_run(here: Here, state: str) -> None:
    key = here.server.store.key("server")
    here.server.store.command("HSET", key, "state", state)
    with pytest.raises(ConnectionsRejected):
        here.open()
    here.server.store.command("HSET", key, "state", "running")
    here.open()


def test_new_connections_are_rejected_and_those_that_are_there_go_on(here: Here) -> None:
    client = here.open()
    connection = here.connect(client)
    assert not reject_new_connections(True)
    with pytest.raises(ConnectionsRejected, match="are rejected by"):
        here.open()
    with pytest.raises(ConnectionsRejected):
        here.connect(client)
    assert here.call(client, connection, "who_calls", "x")[4] == "x"
    assert reject_new_connections(False)
    assert here.connect(client) > connection


def test_in_maintenance_no_client_gets_in_and_none_is_served(here: Here) -> None:
    client = here.open()
    connection = here.connect(client)
    begin_maintenance("month-end close")
    for asks in (
        here.open,
        lambda: here.connect(client),
        lambda: here.desk.call(client.session, connection, new_id(), "who_calls", body_of()),
        lambda: here.desk.start(client.session, new_id(), "connections.job_of_a_client", body_of("a")),
    ):
        with pytest.raises(MaintenanceMode, match="month-end close"):
            asks()
    here.desk.end(client.session)  # it can leave
    wait_for(lambda: here.gone(client))
    end_maintenance()


# ---- connections and their hooks


def test_both_hooks_see_the_session_of_the_client_and_get_the_same_pair(here: Here) -> None:
    hooks()
    client = here.open()
    first, second = here.connect(client, "main"), here.connect(client, "editor")
    assert told("open") == [(client.session, client.number, first, 0), (client.session, client.number, second, 0)]
    here.desk.disconnect(client.session, second)
    wait_for(lambda: len(told("close")) == 1)
    assert told("close") == [(client.session, client.number, second, 0)]
    assert here.call(client, first, "who_calls")[0] == client.session
    here.desk.end(client.session)
    wait_for(lambda: here.gone(client))
    assert told("close")[1:] == [(client.session, client.number, first, 0)]


def test_a_connection_is_made_once_for_a_call(here: Here) -> None:
    hooks()
    client, call = here.open(), new_id()
    number = here.desk.connect(client.session, "main", call, 20)
    assert here.desk.connect(client.session, "main", call, 20) == number
    assert len(told("open")) == 1
    assert [link.name for link in here.server.part(Connections).links(client.session)] == ["main"]


async def test_a_connection_is_made_on_a_loop(here: Here) -> None:
    client = here.open()
    assert await here.desk.aconnect(client.session, "main", new_id(), 20) > 0


def test_a_refusal_reaches_the_client_and_the_first_one_ends_the_session(here: Here) -> None:
    hooks(lambda connection: connection.veto(22000, "closed for the night"))
    client = here.open()
    with pytest.raises(ConnectionVetoed) as refused:
        here.connect(client)
    assert (refused.value.hook, refused.value.answer, refused.value.reason) == (
        "shop.open",
        22000,
        "closed for the night",
    )
    assert here.gone(client)
    assert told("close") == []


def test_a_later_refusal_leaves_the_session_and_its_other_connections(here: Here) -> None:
    first: list[int] = []

    def once(connection: Connection) -> int | None:
        first.append(connection.connection)
        return None if len(first) == 1 else 7

    hooks(once)
    client = here.open()
    connection = here.connect(client)
    with pytest.raises(ConnectionVetoed):
        here.connect(client)
    assert here.call(client, connection, "who_calls")[0] == client.session
    here.desk.end(client.session)
    wait_for(lambda: here.gone(client))
    assert [facts[2] for facts in told("close")] == [connection]


def test_a_client_has_so_many_connections_and_no_more(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    client = here.open()
    here.connect(client)
    store = here.server.store
    with pytest.raises(ConnectionsRejected, match="has 1 connections already"):
        store.run("remote_connect", client.session, new_id(), "", 1)


def test_a_connection_that_ends_while_the_hooks_are_asked_is_told_to_them(here: Here) -> None:
    asked, go = threading.Event(), threading.Event()

    def slow(_connection: Connection) -> None:
        asked.set()
        assert go.wait(20)

    hooks(slow)
    client = here.open()
    failed: list[BaseException] = []

    def connects() -> None:
        try:
            here.connect(client)
        except SessionExpired as error:
            failed.append(error)

    thread = threading.Thread(target=connects)
    thread.start()
    assert asked.wait(20)
    here.desk.end(client.session)
    assert not here.gone(client)  # its only connection is being opened
    go.set()
    thread.join(20)
    here.close_all()
    wait_for(lambda: here.gone(client))
    assert len(told("open")) == len(told("close")) == 1


# ---- calls


def test_a_call_runs_in_the_session_of_its_client(here: Here) -> None:
    ann, bob = here.open("ann"), here.open("bob")
    assert here.call(ann, here.connect(ann), "connections.who_calls", "a") == [
        ann.session,
        "remote",
        "ann",
        "remote",
        "a",
    ]
    assert here.call(bob, here.connect(bob), "who_calls", "b") == [bob.session, "remote", "bob", "remote", "b"]


def test_each_connection_has_its_own_variables(here: Here) -> None:
    client = here.open()
    first, second = here.connect(client), here.connect(client)
    assert [here.call(client, one, "calls_so_far") for one in (first, first, second, first)] == [1, 2, 1, 3]


def test_what_may_not_be_called_is_not(here: Here) -> None:
    client = here.open()
    connection = here.connect(client)
    for name, error in (
        ("connections.job_of_a_client", ProcedureNotFound),
        ("onserver.close_connection", ProcedureNotFound),
        ("for_readers", PrivilegeDenied),
        ("connections.who_calls", BadArguments),
    ):
        with pytest.raises(error):
            here.desk.call(
                client.session, connection, new_id(), name, body_of(*([1, 2, 3] if "who_calls" in name else []))
            )
    with pytest.raises(SessionExpired):
        here.desk.call("F" * 32, connection, new_id(), "who_calls", body_of())
    with pytest.raises(SessionExpired):
        here.desk.call("' or 1", connection, new_id(), "who_calls", body_of())
    other = here.open("bob")
    with pytest.raises(SessionExpired):  # the connection is another client's
        here.desk.call(other.session, connection, new_id(), "who_calls", body_of())


def test_a_session_of_the_web_is_no_clients(here: Here) -> None:
    web = here.server.sessions.open("web")
    for asks in (here.desk.facts, here.desk.sleep, here.desk.wake):
        with pytest.raises(SessionExpired):
            asks(web.id)
    with pytest.raises(SessionExpired):
        here.desk.wait(web.id, 0)
    here.desk.end(web.id)
    assert here.server.sessions.take(web.id) is not None


# ---- processes


def test_what_a_client_starts_runs_as_a_stored_procedure_and_is_told_to_it_alone(here: Here) -> None:
    client, other, start = here.open(), here.open("bob"), new_id()
    number = here.desk.start(client.session, start, "job_of_a_client", body_of("a"), {"name": "nightly", "priority": 7})
    assert here.desk.start(client.session, start, "job_of_a_client", body_of("a")) == number
    end = here.desk.process(client.session, number, 20)
    assert end is not None
    assert decode(end.payload) == "a in storedProcedure for ann"
    record = read_record(here.server.store, number)
    assert record is not None
    assert record.name == "nightly"
    for session_id, wanted in ((other.session, number), (client.session, number + 100)):
        with pytest.raises(ProcessNotFound):
            here.desk.process(session_id, wanted, 0)
    with pytest.raises(SessionExpired):
        here.desk.process("", number, 0)
    with pytest.raises(BadArguments, match="cannot be read"):
        here.desk.start(client.session, new_id(), "job_of_a_client", b"no arguments")
    with pytest.raises(BadArguments):
        here.desk.start(client.session, new_id(), "job_of_a_client", body_of("a"), {"after_commit": "default"})
    with pytest.raises(ProcedureNotFound):
        here.desk.start(client.session, new_id(), "onserver.close_connection", body_of("a"))


async def test_the_end_of_a_process_is_waited_for_on_a_loop(here: Here) -> None:
    client = here.open()
    number = await asyncio.to_thread(here.desk.start, client.session, new_id(), "job_of_a_client", body_of("a"))
    end = await here.desk.aprocess(client.session, number, 20)
    assert end is not None
    assert end.state == "done"


# ---- events


def kinds(events: Sequence[Event]) -> list[tuple[str, str]]:
    return [(event.kind, event.text or event.name) for event in events]


def test_messages_come_once_they_are_confirmed(here: Here) -> None:
    client = here.open()
    assert here.desk.wait(client.session, 0) == []
    here.server.sessions.message(client.session, "backup at six", by="root")
    [event] = here.desk.wait(client.session, 5)
    assert (event.kind, event.text, event.by) == ("message", "backup at six", "root")
    assert here.desk.wait(client.session, 0) == [event]  # the answer was lost: it is told again
    here.server.sessions.message(client.session, "now")
    assert kinds(here.desk.wait(client.session, 5, event.number)) == [("message", "now")]


def test_who_waits_is_told_at_once(here: Here) -> None:
    client, got = here.open(), list[Event]()
    thread = threading.Thread(target=lambda: got.extend(here.desk.wait(client.session, 20)))
    thread.start()
    store = here.server.store
    wait_for(lambda: store.command("EXISTS", store.key(f"rw:{client.session}")))
    here.server.sessions.message(client.session, "hello")
    thread.join(20)
    assert kinds(got) == [("message", "hello")]


async def test_who_waits_on_a_loop_is_told_of_the_end(here: Here) -> None:
    go = threading.Event()

    def slow(_connection: Connection) -> None:
        assert go.wait(20)

    declare(CLOSE_CONNECTION, Hook(CLOSE_CONNECTION, slow, "shop.slow"))
    client = here.open()
    await here.desk.aconnect(client.session, "", new_id(), 20)
    waiting = asyncio.create_task(here.desk.await_(client.session, 20))
    store = here.server.store
    await asyncio.to_thread(wait_for, lambda: store.command("EXISTS", store.key(f"rw:{client.session}")))
    here.desk.end(client.session)
    assert kinds(await waiting) == [("closing", "closed")]
    go.set()
    wait_for(lambda: here.gone(client))
    with pytest.raises(SessionExpired):
        await here.desk.await_(client.session, 5)


def test_clients_run_what_they_are_asked_for_one_behind_the_other(here: Here) -> None:
    client, other = here.open(), here.open("bob")
    assert here.desk.register(client.session, "front desk")
    assert not here.desk.register(client.session, "again")
    assert execute_on_client("front@", job, "a") == 1
    ask = new_id()
    assert [here.desk.ask(other.session, ask, "front desk", "job_of_a_client", body_of("b")) for _ in range(2)] == [
        1,
        1,
    ]
    assert [(one.name, one.requests) for one in registered_clients()] == [("front desk", 2)]
    first, second = here.desk.wait(client.session, 5)
    assert [(one.kind, one.name, decode(one.body)[0]) for one in (first, second)] == [
        ("request", "connections.job_of_a_client", ["a"]),
        ("request", "connections.job_of_a_client", ["b"]),
    ]
    assert kinds(here.desk.wait(client.session, 0, first.number)) == [("request", "connections.job_of_a_client")]
    assert here.desk.unregister(client.session)
    assert not here.desk.unregister(client.session)
    assert here.desk.wait(client.session, 0, first.number) == []
    assert execute_on_client("front@", job, "a") == 0


def test_a_forged_request_is_told_to_nobody(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    client = here.open()
    here.desk.register(client.session, "desk")
    store = here.server.store
    content = encode(["connections.job_of_a_client", body_of("a"), b"no signature"])
    assert store.run("ask_clients", store.nonce(), "", store.now_ms(), "desk", content) == 1
    assert here.desk.wait(client.session, 0) == []
    assert "was refused" in caplog.text


# ---- beats, sleep, and what ends a session


def test_a_client_that_is_silent_is_unreachable_and_then_its_session_ends(here: Here) -> None:
    hooks()
    client = here.open()
    connection = here.connect(client)
    here.advance(31)
    record = here.record(client)
    assert record is not None
    assert here.server.sessions.of(record).info.unreachable_since == 31
    here.desk.wait(client.session, 0)  # it is heard again
    record = here.record(client)
    assert record is not None
    assert "unreachableSince" not in here.server.sessions.of(record).info
    here.advance(899)
    assert here.desk.facts(client.session).state == "active"
    here.advance(2)
    with pytest.raises(SessionExpired):
        here.desk.facts(client.session)
    assert here.close_all() == ["client ann on ? was not heard any more: session closed"]
    wait_for(lambda: here.gone(client))
    assert told("close") == [(client.session, client.number, connection, 0)]
    assert here.server.sessions.dropped(client.session) is None


def test_what_counts_is_that_the_client_is_heard_and_not_that_its_session_is_used(here: Here) -> None:
    client = here.open()
    for _ in range(4):
        here.advance(600)
        here.desk.wait(client.session, 0)
    assert here.desk.facts(client.session).state == "active"
    here.advance(600)
    assert here.server.sessions.take(client.session, renew=True) is not None  # a request of the web
    here.advance(301)
    assert here.gone(client)


def test_a_session_sleeps_for_48_hours_and_is_there_when_its_client_wakes(here: Here) -> None:
    client = here.open()
    connection = here.connect(client)
    here.call(client, connection, "calls_so_far")
    here.desk.sleep(client.session)
    assert here.desk.facts(client.session).state == "sleeping"
    here.advance(47 * 3600)
    record = here.desk.facts(client.session)
    assert (record.state, record.unreachable_ms) == ("sleeping", 0)
    assert here.desk.wake(client.session).state == "active"
    assert here.call(client, connection, "calls_so_far") == 2  # its twin is as it was
    here.advance(901)
    here.close_all()
    wait_for(lambda: here.gone(client))


def test_a_session_that_sleeps_too_long_is_over(here: Here) -> None:
    client = here.open()
    here.desk.sleep(client.session)
    here.advance(48 * 3600 + 1)
    with pytest.raises(SessionExpired):
        here.desk.wake(client.session)
    assert here.gone(client)  # it had no connection: nobody is to be told


def test_a_wait_that_is_under_way_does_not_wake_what_sleeps(here: Here) -> None:
    client = here.open()
    thread = threading.Thread(target=lambda: here.desk.wait(client.session, 20))
    thread.start()
    store = here.server.store
    wait_for(lambda: store.command("EXISTS", store.key(f"rw:{client.session}")))
    here.desk.sleep(client.session)
    here.server.sessions.message(client.session, "good night")  # ends the wait
    thread.join(20)
    assert here.desk.facts(client.session).state == "sleeping"


def test_a_dropped_session_leaves_a_tombstone_once_the_hooks_were_told(here: Here) -> None:
    hooks()
    client = here.open()
    here.connect(client)
    assert here.server.sessions.drop(client.session, by="root", reason="spring cleaning")
    assert here.server.sessions.dropped(client.session) is None
    for asks in (here.desk.facts, here.desk.sleep):
        with pytest.raises(SessionExpired):
            asks(client.session)
    assert kinds(here.desk.wait(client.session, 5)) == [("closing", "dropped")]
    here.close_all()
    wait_for(lambda: here.gone(client))
    drop = here.server.sessions.dropped(client.session)
    assert drop is not None
    assert (drop.by, drop.reason) == ("root", "spring cleaning")
    assert len(told("close")) == 1


def test_the_sessions_of_a_user_who_is_removed_are_told_to_the_hooks(here: Here) -> None:
    hooks()
    users = Users(here.server.store)
    users.add("Ann", "a long password")
    client = here.open("ann", password="a long password")
    here.connect(client)
    users.remove("Ann")
    assert here.server.sessions.drop_user("Ann", by="root") == [client.session]
    here.close_all()
    wait_for(lambda: here.gone(client))
    assert told("close")[0][0] == client.session


def test_the_storage_is_there_until_the_hooks_were_told(here: Here) -> None:
    client = here.open()

    def last(_connection: Connection) -> None:
        seen.append(("stored", session().storage["cart"]["chair"]))

    declare(CLOSE_CONNECTION, Hook(CLOSE_CONNECTION, last, "shop.last"))
    here.connect(client)
    with here.server.sessions.of(here.desk.facts(client.session)).storage.use("cart") as cart:
        cart["chair"] = 2
    here.desk.end(client.session)
    wait_for(lambda: here.gone(client))
    assert seen == [("stored", 2)]


def test_a_hook_that_raises_keeps_no_session(here: Here) -> None:
    def fails(_connection: Connection) -> None:
        raise ValueError("no")

    declare(CLOSE_CONNECTION, Hook(CLOSE_CONNECTION, fails, "shop.fails"))
    client = here.open()
    here.connect(client)
    here.desk.end(client.session)
    wait_for(lambda: here.gone(client))


def test_the_leader_ends_what_somebody_has_begun_to_end(here: Here) -> None:
    hooks()
    client = here.open()
    here.connect(client)
    here.connect(client)
    assert here.server.part(Connections).end(client.session, "closed")  # and died then
    assert not here.gone(client)
    here.close_all()
    here.close_all()
    wait_for(lambda: here.gone(client))
    assert len(told("close")) == 2


def test_a_session_whose_time_is_up_before_the_hooks_are_told_is_there_for_them(here: Here) -> None:
    hooks()
    client = here.open()
    connection = here.connect(client)
    store = here.server.store
    store.command("HSET", store.key(f"s:{client.session}"), "until", 1)
    assert here.server.part(Connections).closing(client.session, client.number, connection)
    wait_for(lambda: here.gone(client))
    assert told("close") == [(client.session, client.number, connection, 0)]


def test_two_who_end_a_session_tell_the_hooks_once(here: Here) -> None:
    hooks()
    client = here.open()
    for _ in range(3):
        here.connect(client)
    threads = [threading.Thread(target=here.desk.end, args=(client.session,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    here.close_all()
    wait_for(lambda: here.gone(client))
    assert len({facts[2] for facts in told("close")}) == len(told("close")) == 3


def test_a_token_brings_a_browser_into_the_session_which_keeps_its_id(here: Here) -> None:
    client = here.open()
    token = here.desk.token(client.session, 60)
    redeemed = here.server.sessions.records.redeem(token)
    assert redeemed is not None
    assert redeemed.id == client.session
    assert here.server.sessions.rotate(client.session).id == client.session  # the id is its client's
    with serving(here.server.sessions.of(redeemed)):
        assert session().id == client.session
