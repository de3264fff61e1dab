"""Executing on clients: the specification's edges (5.11) row by row, and the death of a client."""

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver import (
    Server,
    execute_on_client,
    execute_on_server,
    procedure,
    register_client,
    registered_clients,
    unregister_client,
)
from onserver.errors import BadArguments, NotSendable
from onserver.process.clients import RegisteredClient, aexecute_on_client, aregister_client
from onserver.redis.address import Address
from onserver.redis.keys import find_orphans
from onserver.redis.scripts import script
from onserver.session.running import running
from onserver.testing import wait_for
from onserver.testing.proxy import RUNS, Proxy, Words
from tests.cluster.conftest import Open, cluster_of
from tests.inline_worker import make_server, working

__all__ = ["cluster_of"]

TASKS = """
from onserver import execute_on_client, procedure

@procedure
def ring(word):
    pass
"""

PROGRAM = """
import threading
from onserver import Server, register_client
Server.load()
print(register_client("front desk"), flush=True)
threading.Event().wait()
"""

ran: list[Any] = []
gate = threading.Event()


@procedure
def ring(word: Any) -> None:
    ran.append((word, threading.current_thread().name, running()))


@procedure
def wait_at_gate() -> None:
    ran.append("waits")
    gate.wait(20)


@procedure
def fail() -> None:
    ran.append("fails")
    raise ValueError("on a client")


@procedure
def ring_clients(name: str) -> int:
    return execute_on_client(name, ring, "from a stored procedure")


@procedure
def register_inside() -> bool:
    return register_client("inside")


def words() -> list[Any]:
    return [one[0] if isinstance(one, tuple) else one for one in ran]


class Programs:
    """Programs of one server, as far as their servers are: the current one is that which did something last."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.name = f"t{uuid4().hex[:8]}"
        self.servers: list[Server] = []

    def another(self) -> Server:
        self.servers.append(make_server(self.name, self.address))
        return self.servers[-1]


@pytest.fixture
def programs(redis_address: Address) -> Iterator[Programs]:
    ran.clear()
    gate.clear()
    made = Programs(f"unix://{redis_address.path}")
    with working(made.another()):
        made.servers[0].make_current()
        yield made
        gate.set()
        made.servers[0].make_current()
        for server in made.servers[1:]:
            server.close()
        unregister_client()
        made.servers[0].make_current()
    assert find_orphans(made.servers[0].store) == []
    made.servers[0].close()


# -- specification 5.11, row by row


def it_is_registered_once(programs: Programs) -> None:
    assert register_client("desk")
    assert not register_client("desk")
    assert not register_client("other")
    assert registered_clients() == [RegisteredClient("desk", 0)]


def names_need_not_be_unique(programs: Programs) -> None:
    register_client("desk")
    programs.another()
    assert register_client("desk")
    assert registered_clients() == [RegisteredClient("desk", 0)] * 2
    assert execute_on_client("desk", ring, 1) == 2
    wait_for(lambda: words() == [1, 1], 20)


def in_a_process_of_the_server_nothing_is_registered(programs: Programs) -> None:
    assert execute_on_server(register_inside).result(timeout=20) is False
    assert registered_clients() == []


def requests_are_pushed_and_run_in_a_thread_of_the_client(programs: Programs) -> None:
    register_client("desk")
    assert execute_on_client("desk", ring, "hello") == 1
    wait_for(lambda: ran, 20)
    assert ran == [("hello", "onserver-client", None)]


def to_rename_unregister_first(programs: Programs) -> None:
    register_client("desk")
    assert unregister_client()
    assert register_client("office")
    assert registered_clients() == [RegisteredClient("office", 0)]
    execute_on_client("office", ring, 1)
    wait_for(lambda: words() == [1], 20)


def what_is_not_registered_cannot_be_unregistered(programs: Programs) -> None:
    assert not unregister_client()


def it_is_unregistered_at_quit(programs: Programs) -> None:
    other = programs.another()
    register_client("desk")
    other.close()
    programs.servers[0].make_current()
    assert registered_clients() == []


def a_client_and_a_stored_procedure_may_ask(programs: Programs) -> None:
    register_client("desk")
    assert execute_on_server(ring_clients, "desk").result(timeout=20) == 1
    wait_for(lambda: words() == ["from a stored procedure"], 20)


def at_is_a_wildcard(programs: Programs) -> None:
    register_client("desk 1")
    programs.another()
    register_client("desk 2 (*)")
    programs.another()
    register_client("DESK 3")
    for name, count in {"desk@": 2, "@": 3, "@2@": 1, "desk 1": 1, "desk": 0, "d@k 2 (*)": 1, "desk .": 0}.items():
        assert (name, execute_on_client(name, ring, name)) == (name, count)


def requests_to_one_client_are_stacked(programs: Programs) -> None:
    register_client("desk")
    execute_on_client("desk", wait_at_gate)
    wait_for(lambda: ran == ["waits"], 20)
    for n in range(3):
        execute_on_client("desk", ring, n)
    assert registered_clients() == [RegisteredClient("desk", 4)]  # methods still to run, with the one that runs
    gate.set()
    wait_for(lambda: words() == ["waits", 0, 1, 2], 20)
    wait_for(lambda: registered_clients() == [RegisteredClient("desk", 0)], 20)


def unregistering_cancels_the_stack(programs: Programs) -> None:
    register_client("desk")
    execute_on_client("desk", wait_at_gate)
    wait_for(lambda: ran == ["waits"], 20)
    execute_on_client("desk", ring, "never")
    unregister_client()
    gate.set()
    register_client("desk")
    execute_on_client("desk", ring, "later")
    wait_for(lambda: words() == ["waits", "later"], 20)


def it_only_says_that_the_server_accepted_it(programs: Programs) -> None:
    register_client("desk")
    assert execute_on_client("nobody", ring, 1) == 0
    assert execute_on_client("desk", fail) == 1


def without_a_name_there_is_none(programs: Programs) -> None:
    with pytest.raises(BadArguments):
        register_client("")


ROWS: list[Callable[[Programs], None]] = [
    it_is_registered_once, names_need_not_be_unique, in_a_process_of_the_server_nothing_is_registered,
    requests_are_pushed_and_run_in_a_thread_of_the_client, to_rename_unregister_first,
    what_is_not_registered_cannot_be_unregistered, it_is_unregistered_at_quit,
    a_client_and_a_stored_procedure_may_ask, at_is_a_wildcard, requests_to_one_client_are_stacked,
    unregistering_cancels_the_stack, it_only_says_that_the_server_accepted_it, without_a_name_there_is_none,
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row.__name__ for row in ROWS])
def test_row_of_the_specification(programs: Programs, row: Callable[[Programs], None]) -> None:
    row(programs)


# -- ours


def test_one_that_fails_is_logged_and_the_next_one_runs(programs: Programs, caplog: pytest.LogCaptureFixture) -> None:
    register_client("desk")
    with caplog.at_level(logging.ERROR):
        execute_on_client("desk", fail)
        execute_on_client("desk", ring, "next")
        wait_for(lambda: words() == ["fails", "next"], 20)
    assert "ValueError: on a client" in caplog.text


def test_what_nobody_signed_is_not_run(programs: Programs, caplog: pytest.LogCaptureFixture) -> None:
    register_client("desk")
    store = programs.servers[0].store
    holder = store.command("HKEYS", store.key("clients"))[0].decode()
    execute_on_client("desk", wait_at_gate)
    wait_for(lambda: ran == ["waits"], 20)
    execute_on_client("desk", ring, "as it was sent")
    queue = store.key(f"cq:{holder}")
    sent: bytes = store.command("LINDEX", queue, 0)
    with caplog.at_level(logging.ERROR):
        store.command("RPUSH", queue, sent.replace(b"as it was sent", b"as it was NOT!").replace(b":", b"x", 1))
        gate.set()
        wait_for(lambda: "BadSignature" in caplog.text, 20)
    assert words() == ["waits", "as it was sent"]


def test_what_cannot_be_sent_is_refused_at_once(programs: Programs) -> None:
    register_client("desk")
    with pytest.raises(BadArguments):
        execute_on_client("desk", ring)  # type: ignore[call-overload]
    with pytest.raises(NotSendable):
        execute_on_client("desk", ring, {1})
    with pytest.raises(BadArguments, match="options that a request cannot keep"):
        execute_on_client("desk", ring.options(delay=3), 1)
    assert registered_clients() == [RegisteredClient("desk", 0)]


def test_one_that_was_declared_dead_registers_anew(programs: Programs) -> None:
    register_client("desk")
    server = programs.servers[0]
    member = int(server.client.holder().partition(".")[0])
    server.store.run("bury_member", member, 3, 60, "for a test", "")
    assert registered_clients() == []
    with server.client._mutex:  # its next beat would find out, in twenty seconds
        server.client._holder = ""
    wait_for(lambda: registered_clients() == [RegisteredClient("desk", 0)], 20)
    execute_on_client("desk", ring, 1)
    wait_for(lambda: words() == [1], 20)


def test_in_a_loop(programs: Programs) -> None:
    async def scene() -> None:
        assert await aregister_client("desk")
        assert await aexecute_on_client("desk", ring, 1) == 1

    asyncio.run(scene())
    wait_for(lambda: words() == [1], 20)


def test_a_client_that_is_killed_is_registered_no_more(cluster_of: Open) -> None:
    cluster = cluster_of(1, tasks=TASKS)
    command = [sys.executable, "-c", PROGRAM]
    with (
        cluster.as_current(),
        subprocess.Popen(command, env=cluster.environment(), stdout=subprocess.PIPE, text=True) as program,
    ):
        assert program.stdout is not None
        assert program.stdout.readline() == "True\n"
        assert registered_clients() == [RegisteredClient("front desk", 0)]
        program.send_signal(signal.SIGKILL)
        cluster.wait_for(lambda: registered_clients() == [])
        assert execute_on_client("front desk", "jobs.ring", 1) == 0


# -- lost replies


@pytest.mark.parametrize("name", ["register_client", "ask_clients", "unregister_client", "BLMOVE"])
def test_a_lost_reply(redis_address: Address, tmp_path: Path, name: str) -> None:
    sha = name.encode() if name == "BLMOVE" else script(name).sha

    def is_it(given: Words) -> bool:
        return given[0] == sha or (given[0] in RUNS and given[1] == sha)

    ran.clear()
    with (
        Proxy(redis_address, tmp_path / "proxy") as proxy,
        make_server(f"t{uuid4().hex[:8]}", f"unix://{proxy.address.path}") as client,
    ):
        client.store.command("PING")
        proxy.swallow_reply(1, matching=is_it)
        assert register_client("desk")
        for n in range(3):
            assert execute_on_client("desk", ring, n) == 1
        wait_for(lambda: words() == [0, 1, 2], 20)
        assert unregister_client()
        assert proxy.broken == 1
