"""Remote clients over Redis: of the project, on a host that is trusted, by nothing but the address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from onserver import Server, on_server_open_connection, procedure, remote, server_method, session
from onserver.errors import (
    BadArguments,
    ConnectionVetoed,
    NoSigningKey,
    ProjectNotFound,
    ServerUnreachable,
    SessionExpired,
)
from onserver.redis.address import Address
from onserver.remote import Client
from onserver.remote.ways import OverRedis
from onserver.server import current_stays
from onserver.testing import wait_for
from tests.inline_worker import KEY, working
from tests.terminator import TLS, Terminator
from tests.topologies import free_port
from tests.web_project import declaring, make_project

SETTINGS = """
[member]
lease_seconds = 60.0
[remote]
beat_seconds = 0.2
"""


@server_method(name="depot.whose")
def whose() -> list[Any]:
    here = session()
    return [here.info.type, here.id, here.user_name]


@procedure(name="depot.kind")
def kind() -> str:
    return str(session().info.type)


class Here(NamedTuple):
    """A server that has no gateway, and what leads to its Redis."""

    server: Server
    project: Path
    addresses: dict[str, str]


@pytest.fixture(scope="module")
def served(embedded: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    address: Address = embedded.start()
    project = make_project(tmp_path_factory.mktemp("over_redis") / "depot", settings=SETTINGS)
    environment = {"ONSERVER_SIGNING_KEY": KEY, "ONSERVER_NAME": f"depot{uuid4().hex[:6]}"}
    with (
        Terminator(address.path, tls=False) as plain,
        Terminator(address.path) as encrypted,
        Server.load(project, {**environment, "ONSERVER_REDIS": f"unix://{address.path}"}) as server,
        working(server),
    ):
        addresses = {
            "unix": f"unix://{address.path}",
            "redis": f"redis://127.0.0.1:{plain.port}/0",
            "rediss": f"rediss://localhost:{encrypted.port}?ssl_ca_certs={TLS / 'certificate.pem'}",
        }
        yield Here(server, project, addresses)


@pytest.fixture
def here(served: Here, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """This program is in the project, by its environment; its own server is the one with the worker."""
    monkeypatch.setenv("ONSERVER_PROJECT", str(served.project))
    monkeypatch.setenv("ONSERVER_SIGNING_KEY", KEY)
    monkeypatch.setenv("ONSERVER_NAME", served.server.name)
    monkeypatch.delenv("ONSERVER_REDIS", raising=False)
    with served.server.as_current(), declaring():
        yield served
        assert Server.current() is served.server


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Server]:
    """The servers that were closed."""
    found: list[Server] = []
    close = Server.close

    def closing(server: Server) -> None:
        found.append(server)
        close(server)

    monkeypatch.setattr(Server, "close", closing)
    return found


def server_of(client: Client) -> Server:
    way = client._trips.way
    assert isinstance(way, OverRedis)
    return way.server


@pytest.mark.parametrize("scheme", ["unix", "redis", "rediss"])
def test_an_address_makes_a_client_and_the_server_goes_with_it(here: Here, scheme: str) -> None:
    with remote.connect(here.addresses[scheme], user="ann") as client:
        made = server_of(client)
        assert Server.current() is here.server  # which the program had before, and keeps
        assert whose()[::2] == ["remote", "ann"]
        assert client.execute_on_server(kind).result(20) == "storedProcedure"
        assert (made.name, made.settings.redis) == (here.server.name, here.addresses[scheme])
        identity = whose()[1]
        assert here.server.sessions.find(identity) is not None
    assert client.ended == "closed"
    assert made._store is None  # its connections are closed
    wait_for(lambda: here.server.sessions.find(identity) is None, 20)
    with pytest.raises(SessionExpired):
        client.call(whose)
    client.close()  # once more does nothing


async def test_it_is_the_same_on_a_loop(here: Here) -> None:
    async with await remote.aconnect(here.addresses["unix"], user="ann") as client:
        made = server_of(client)
        assert (await client.acall(whose))[::2] == ["remote", "ann"]
    assert client.ended == "closed"
    assert made._store is None


def test_two_addresses_are_two_clients(here: Here) -> None:
    with remote.connect(here.addresses["unix"]) as one, remote.connect(here.addresses["redis"]) as two:
        assert one.call(whose)[1] != two.call(whose)[1]
        two.close()
        assert one.call(whose)[0] == "remote"


def test_a_server_that_is_closed_ends_its_client(here: Here) -> None:
    client = remote.connect(here.addresses["unix"])
    server_of(client).close()
    assert client.ended == "closed"


def test_a_client_that_is_being_closed_is_closed_and_not_expired(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its watch may find the session gone before the program that ended it has the answer."""
    client = remote.connect(here.addresses["unix"])
    stop = client.watch.stop

    def found_gone() -> None:
        stop()
        client._has_ended("expired")  # what the watch says

    monkeypatch.setattr(client.watch, "stop", found_gone)
    client.close()
    assert client.ended == "closed"


def test_the_project_may_be_named(here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ONSERVER_PROJECT")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProjectNotFound):
        remote.connect(here.addresses["unix"])
    with pytest.raises(ProjectNotFound, match="nowhere"):
        remote.connect(here.addresses["unix"], project="nowhere")
    with remote.connect(here.addresses["unix"], project=here.project) as client:
        assert client.call(whose)[0] == "remote"


def test_a_program_that_may_not_sign_has_no_client(
    here: Here, monkeypatch: pytest.MonkeyPatch, closed: list[Server]
) -> None:
    monkeypatch.delenv("ONSERVER_SIGNING_KEY")
    with pytest.raises(NoSigningKey):
        remote.connect(here.addresses["unix"])
    assert len(closed) == 1


def test_a_connection_that_is_refused_leaves_no_server(here: Here, closed: list[Server]) -> None:
    @on_server_open_connection(name="shut")
    def shut(_: Any) -> int:
        return 22000

    with pytest.raises(ConnectionVetoed):
        remote.connect(here.addresses["unix"])
    assert len(closed) == 1
    assert closed[0]._store is None


def test_a_redis_that_is_not_there_is_named_without_its_password(
    here: Here, monkeypatch: pytest.MonkeyPatch, closed: list[Server]
) -> None:
    monkeypatch.setenv("ONSERVER_REDIS_COMMAND_SECONDS", "0.2")
    monkeypatch.setenv("ONSERVER_REDIS_CONNECT_SECONDS", "0.2")
    address = f"redis://ann:geheim@127.0.0.1:{free_port()}/3"
    for connecting in (remote.connect, lambda *words, **given: asyncio.run(remote.aconnect(*words, **given))):
        with pytest.raises(ServerUnreachable, match=r"redis://127.0.0.1:\d+/3 \(server depot") as caught:
            connecting(address, patience=0.0)
        assert "Is its Redis running" in str(caught.value)
        assert "geheim" not in str(caught.value) + repr(caught.value.__cause__)
    assert len(closed) == 2


def test_a_server_is_shown_without_its_password() -> None:
    with current_stays(), Server("shop", redis="redis://ann:geheim@redis.example:6379/0?ssl_keyfile=k") as server:
        assert repr(server) == "<Server shop at redis://…@redis.example:6379/0?ssl_keyfile=k>"


@pytest.mark.parametrize(
    ("where", "options", "said"),
    [
        (
            "redis://ann:geheim@shop.example:port/0",
            {},
            "is given `redis://…@shop.example:port/0`, which is no",
        ),
        ("unix://", {}, "which is no address of Redis"),
        ("redis+sentinel://ann:geheim@shop.example", {}, "it names no service"),
        ("rediss://shop.example", {"verify": "ca.pem"}, "is given verify=… with an address of Redis"),
        ("redis://shop.example", {"insecure": True}, "is given insecure=… with an address of Redis"),
        ("https://shop.example", {"project": "."}, "is given project=… with an address of the web"),
        ("rediss:shop.example", {}, "is no https:// address, and none of Redis"),
        ("valkey://shop.example", {}, "is no https:// address, and none of Redis"),
    ],
)
def test_what_cannot_be_is_refused_and_repeats_no_password(
    here: Here, where: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadArguments) as caught:
        remote.connect(where, **options)
    assert said in str(caught.value)
    assert "geheim" not in str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)


def test_options_of_other_ways_are_refused_with_a_server(here: Here) -> None:
    for option in ({"verify": True}, {"insecure": True}, {"project": "."}):
        with pytest.raises(BadArguments, match="with a server"):
            remote.connect(here.server, **option)
