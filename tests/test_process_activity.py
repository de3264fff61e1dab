"""`process_activity`: the specification's options and states (2.12, 5.5)."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from onserver import Server, Signal, execute_on_server, mailbox, procedure, process, process_activity
from onserver.redis.address import Address
from onserver.testing import wait_for
from tests.inline_worker import make_server, working


@procedure
def wait(one: Signal) -> None:
    one.wait(20)


@procedure
def nap() -> None:
    process().sleep(600)


@procedure
def look() -> Any:
    activity = process_activity(options=1)
    assert activity is not None
    return [(one["number"], one["state"]) for one in activity["processes"]]


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made, working(made):
        yield made


def processes() -> list[dict[str, Any]]:
    activity = process_activity()
    assert activity is not None
    found: list[dict[str, Any]] = activity["processes"]
    return found


def test_what_runs_is_listed_with_its_session(server: Server) -> None:
    one = Signal()
    waiting = execute_on_server(wait.options(name="patient"), one)
    wait_for(lambda: processes() and processes()[0]["state"] == 4, 20)  # waiting for internal flag
    (listed,) = processes()
    assert (listed["number"], listed["name"], listed["type"]) == (waiting.number, "patient", 1)
    assert listed["sessionID"] == listed["session"]["ID"] == server.session().id
    assert listed["session"]["type"] == "storedProcedure"
    assert listed["creationDateTime"].endswith("Z")
    one.trigger()
    waiting.result(timeout=20)
    assert processes() == []


def test_the_states_have_the_codes_of_the_original(server: Server) -> None:
    running = execute_on_server(look)
    assert running.result(timeout=20) == [[running.number, 0]]  # executing
    napping = execute_on_server(nap)
    wait_for(lambda: [one["state"] for one in processes()] == [1], 20)  # delayed
    napping.wake()
    napping.result(timeout=20)
    mailbox("box").call(look)
    wait_for(lambda: [(one["state"], one["type"]) for one in processes()] == [(2, 5)], 20)  # a worker without a call
    mailbox("box").kill()


def test_the_options(server: Server) -> None:
    activity = process_activity(options=2)
    assert activity is not None
    assert list(activity) == ["sessions"]
    assert [session["userName"] for session in activity["sessions"]] == ["server"]
    assert process_activity("no such session") is None
    mine = process_activity(server.session().id)
    assert mine is not None
    assert sorted(mine) == ["processes", "sessions"]
    with_numbers = process_activity(options=1)
    assert with_numbers == {"processes": []}
