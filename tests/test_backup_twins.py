"""A backup that is cut while calls wait in a twin, and what becomes of them where it is restored."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from onserver import Process, Server, execute_on_server, procedure, process, server_method, session
from onserver.backup.cut import Cut
from onserver.backup.load import load
from onserver.connections.ending import Closer
from onserver.connections.records import Connections
from onserver.errors import CallNotFound
from onserver.process.record import State
from onserver.process.twin import twin_number, wait_call
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.testing import wait_for
from onserver.values import decode
from tests.inline_worker import make_server, working
from tests.twin_client import Client

ran: list[Any] = []
gate = threading.Event()


@server_method
def count(word: str) -> list[Any]:
    mine = process().variables
    mine["n"] = mine.get("n", 0) + 1
    ran.append(word)
    return [word, mine["n"], session().id]


@server_method
def hold(word: str) -> list[Any]:
    answer: list[Any] = count.function(word)
    if not gate.wait(30):
        raise TimeoutError(word)
    return answer


@server_method(rerun=False)
def hold_once(word: str) -> list[Any]:
    answer: list[Any] = hold.function(word)
    return answer


@procedure
def idle() -> str:
    return "idle"


class Here(NamedTuple):
    """A server, and one client of it."""

    name: str
    address: str
    client: Client

    @property
    def server(self) -> Server:
        return self.client.server

    @property
    def twin(self) -> Process[Any]:
        number = twin_number(self.server, self.client.session, self.client.connection)
        assert number is not None
        return Process.get(number)

    @contextmanager
    def worker(self) -> Iterator[Server]:
        """A worker, until the block ends: another one each time."""
        with make_server(self.name, self.address) as server, working(server):
            yield server

    def saved(self) -> list[bytes]:
        with Cut(self.server.store) as cut:
            return list(cut.entries())

    def state(self, call: str) -> str | None:
        """How a call has ended; None: it has not."""
        found = wait_call(self.server, call, self.client.session, 0)
        return None if found is None else found.state


@pytest.fixture
def here(redis_address: Address) -> Iterator[Here]:
    ran.clear()
    gate.clear()
    name, address = f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}"
    with make_server(name, address) as server:
        with make_server(name, address) as worker, working(worker), server.as_current():
            client = Client(server)
        with server.as_current():
            yield Here(name, address, client)
            assert find_orphans(server.store) == []


def cut_while_it_works(here: Here, method: Any) -> tuple[list[bytes], list[str]]:
    """Cut while one call has ended, one runs and two wait. All end afterwards, and one more; answers their ids."""
    client = here.client
    with here.worker():
        with here.server.as_current():
            calls = [client.put(count, "ended"), client.put(method, "runs"), client.put(count, "first")]
            calls += [client.put(count, "second")]
        wait_for(lambda: ran == ["ended", "runs"], 20)
        pieces = here.saved()
        with here.server.as_current():
            calls.append(client.put(count, "since"))
        gate.set()
        for call in calls:
            assert client.end(call).state == "done"
    assert ran == ["ended", "runs", "first", "second", "since"]
    ran.clear()
    return pieces, calls


def test_calls_that_waited_wait_again_and_run_in_order_when_they_are_resumed(here: Here) -> None:
    client = here.client
    pieces, (ended, runs, first, second, since) = cut_while_it_works(here, hold)
    loaded = load(here.server.store, pieces, path="a.onsb")
    assert (loaded.alive, loaded.lost) == (1, 0)
    with here.worker(), here.server.as_current():
        assert (here.twin.state, here.twin.record().paused_by) == (State.PAUSED, "restore")
        assert [here.state(call) for call in (ended, runs, first, second)] == ["done", None, None, None]
        with pytest.raises(CallNotFound):  # nobody knows of it any more
            here.state(since)
        assert not client.put_again(first, count, "first")  # its client sends it again: it is there
        again = client.put(count, "since", call_id=since)
        here.twin.resume()
        answers = [decode(client.end(call).result) for call in (runs, first, second, again)]
        assert [word for word, _, _ in answers] == ran == ["runs", "first", "second", "since"]
        assert [n for _, n, _ in answers] == [3, 4, 5, 6]  # the variables of the instant: `runs` had counted by then
        assert {session for _, _, session in answers} == {client.session}
        assert here.state(ended) == "done"


def test_where_that_is_said_they_go_on_at_once(here: Here) -> None:
    pieces, (_, *waited, _) = cut_while_it_works(here, hold)
    load(here.server.store, pieces, path="a.onsb", run=True)
    with here.worker(), here.server.as_current():
        assert [here.client.end(call).state for call in waited] == ["done"] * 3
        assert ran == ["runs", "first", "second"]


def test_a_call_that_must_not_run_twice_is_lost_and_those_behind_it_wait(here: Here) -> None:
    client = here.client
    pieces, (_, once, first, second, _) = cut_while_it_works(here, hold_once)
    loaded = load(here.server.store, pieces, path="a.onsb")
    assert (loaded.alive, loaded.lost) == (0, 1)
    with here.worker(), here.server.as_current():
        assert [here.state(call) for call in (once, first, second)] == ["lost", None, None]
        twin = here.twin  # another process, that has begun nothing
        assert (twin.state, twin.record().paused_by) == (State.PAUSED, "restore")
        assert execute_on_server(idle).result(20) == "idle"  # whatever was to run before it, has
        assert ran == []
        twin.resume()
        assert [decode(client.end(call).result)[0] for call in (first, second)] == ["first", "second"]
        assert ran == ["first", "second"]


@pytest.mark.parametrize("how", ["dropped", "closed"])
def test_calls_of_a_session_that_has_ended_since_are_told_so_and_run_never(here: Here, how: str) -> None:
    """One that was dropped stays so; one that its client has closed comes back only where sessions are restored."""
    client = here.client
    pieces, (ended, *waited, _) = cut_while_it_works(here, hold)
    with here.worker() as worker:
        if how == "dropped":
            assert worker.sessions.drop(client.session, by="root")
        else:
            assert worker.part(Connections).end(client.session, "closed")
        wait_for(lambda: _closed(worker, client.session), 20)
    load(here.server.store, pieces, path="a.onsb", only=["processes"] if how == "closed" else [], run=True)
    with here.worker(), here.server.as_current():
        assert here.server.sessions.find(client.session) is None
        assert twin_number(here.server, client.session, client.connection) is None
        assert [here.state(call) for call in (ended, *waited)] == ["done", "aborted", "aborted", "aborted"]
        assert decode(client.end(waited[0]).error)["reason"] == "its connection was closed"
        assert execute_on_server(idle).result(20) == "idle"
        assert ran == []


@pytest.mark.parametrize("part", ["processes", "sessions"])
def test_a_part_alone_leaves_client_and_twin_together(here: Here, part: str) -> None:
    client = here.client
    pieces, calls = cut_while_it_works(here, hold)
    load(here.server.store, pieces, path="a.onsb", only=[part], run=True)
    with here.worker(), here.server.as_current():
        assert [client.end(call).state for call in calls[:4]] == ["done"] * 4
        assert ran == (["runs", "first", "second"] if part == "processes" else [])
        assert client.call(count, "late")[::2] == ["late", client.session]


def _closed(server: Server, session_id: str) -> bool:
    Closer(server, server.store, print).work()  # as the leader does with each beat
    return server.sessions.find(session_id) is None
