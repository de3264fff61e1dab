"""A reply about a remote client that is lost on the way: what is asked again is done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import uuid4

import pytest

from onserver import reject_new_connections
from onserver.connections.desk import Desk
from onserver.connections.facts import Opening
from onserver.connections.records import Connections
from onserver.process.control import abort
from onserver.redis.keys import find_orphans
from onserver.redis.scripts import script
from onserver.server import Server
from onserver.testing.proxy import RUNS, Proxy
from tests.inline_worker import make_server


class Client(NamedTuple):
    """A client's way to the server, over which replies get lost."""

    server: Server
    desk: Desk
    connections: Connections

    def open(self) -> str:
        return self.desk.open(Opening(attempt=uuid4().hex, user="ann")).session

    def connect(self, session: str) -> int:
        """A connection that the hooks have accepted."""
        number, _, _ = self.connections.connect(session, "main", uuid4().hex)
        assert self.connections.decided(session, number, True)
        return number

    def told(self, session: str) -> list[str]:
        return [event.text or event.kind for event in self.desk.wait(session, 0)]

    @property
    def holder(self) -> str:
        return self.server.client.holder()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Client]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{proxy.address.path}") as server, server.as_current():
        server.store.command("HSET", server.store.key("server"), "state", "running")
        yield Client(server, server.part(Desk), server.part(Connections))
        assert [str(orphan) for orphan in find_orphans(server.store)] == []


def opened(client: Client) -> None:
    session = client.open()
    assert [one.id for one in client.server.sessions.listed("remote")] == [session]


def connected(client: Client) -> None:
    session = client.open()
    number = client.connect(session)
    assert [(link.number, link.state) for link in client.connections.links(session)] == [(number, "open")]


def refused(client: Client) -> None:
    session = client.open()
    number, _, _ = client.connections.connect(session, "main", uuid4().hex)
    assert not client.connections.decided(session, number, False)
    assert client.server.sessions.find(session) is None


def ended(client: Client) -> None:
    session = client.open()
    assert client.connections.end(session, "closed")
    assert client.server.sessions.find(session) is None


def told(client: Client) -> None:
    session = client.open()
    with client.server.client.holding():
        number = client.connect(session)
        client.connections.end(session, "dropped", '{"by":"root","reason":""}')
        process = client.connections.closing(session, 1, number)
        assert [(link.state, link.what) for link in client.connections.links(session)] == [("closing", str(process))]
        assert client.connections.told(client.holder, session, number)
    assert client.server.sessions.find(session) is None
    assert client.server.sessions.dropped(session) is not None


def heard(client: Client) -> None:
    session = client.open()
    client.server.sessions.message(session, "a")
    assert client.told(session) == ["a"]
    assert client.told(session) == ["a"]


def registered(client: Client) -> None:
    session = client.open()
    assert client.desk.register(session, "desk")
    assert client.desk.unregister(session)


def slept(client: Client) -> None:
    session = client.open()
    client.desk.sleep(session)
    assert client.desk.facts(session).state == "sleeping"


def rejected(client: Client) -> None:
    assert client.server.name
    assert not reject_new_connections(True)
    assert reject_new_connections(False)


def stopped(client: Client) -> None:
    store = client.server.store
    session = client.open()
    store.command("HSET", store.key("server"), "state", "stopping")
    assert store.run("remote_stop", 0) == 1
    assert client.told(session) == ["stopping"]
    assert store.run("remote_stop", 1) == 0
    assert client.server.sessions.find(session) is None


CASES: list[tuple[str, Callable[[Client], None]]] = [
    ("remote_open", opened), ("remote_connect", connected), ("remote_opened", connected), ("remote_opened", refused),
    ("remote_end", ended), ("remote_end", told), ("remote_closing", told), ("remote_left", told),
    ("remote_beat", heard), ("remote_register", registered), ("remote_sleep", slept), ("reject_connections", rejected),
    ("remote_stop", stopped),
]  # fmt: skip


@pytest.mark.parametrize(("name", "scene"), CASES, ids=[f"{name}-{scene.__name__}" for name, scene in CASES])
def test_a_lost_reply(client: Client, proxy: Proxy, name: str, scene: Callable[[Client], None]) -> None:
    sha = script(name).sha
    proxy.swallow_reply(1, matching=lambda words: words[0] in RUNS and words[1] == sha)
    scene(client)
    assert proxy.broken == 1


def test_a_connection_whose_hooks_nobody_could_tell_is_given_up(client: Client) -> None:
    session = client.open()
    number = client.connect(session)
    client.connections.end(session, "closed")
    process = client.connections.closing(session, 1, number)
    assert client.connections.closing(session, 1, number) == process
    abort(client.server, process, "root")
    assert client.connections.closing(session, 1, number) == 0
    assert client.server.sessions.find(session) is None
