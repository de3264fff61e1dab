"""`process_activity`: the specification's options and states (2.12, 5.5)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver import (
    Server,
    Signal,
    execute_on_server,
    mailbox,
    procedure,
    process,
    process_activity,
    session_info,
    session_storage,
)
from onserver.cli import command, exits
from onserver.redis.address import Address
from onserver.session.context import serving
from onserver.testing import wait_for
from onserver.views.finding import find
from onserver.views.processes import Seen
from tests.inline_worker import make_server, working


@procedure
def wait(one: Signal) -> None:
    one.wait(20)


@procedure(requires="guest")
def open_to_all(one: Signal) -> None:
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


def test_a_session_is_found_by_its_id_whatever_its_kind(server: Server) -> None:
    shopper, own = server.sessions.open("web", type="rest", user="ann", ip="10.0.0.7"), server.session()
    storage = session_storage(shopper.id)
    assert storage is shopper.storage
    assert session_storage(own.id) is server.storage
    found, of_own = session_info(shopper.id), session_info(own.id)
    assert found is not None
    assert of_own is not None
    assert (found["type"], found["userName"], found["IPAddress"], found["ID"]) == (
        "rest",
        "ann",
        "10.0.0.7",
        shopper.id,
    )
    assert (found["machineName"], found["state"], found.user_name) == ("", "active", "ann")
    assert found["creationDateTime"].endswith("Z")
    assert "persistentID" not in found
    assert of_own["type"] == "storedProcedure"
    server.sessions.close(shopper.id)
    for unknown in (shopper.id, "", "no such session", "F" * 32):
        assert session_storage(unknown) is None
        assert session_info(unknown) is None


def test_a_remote_session_tells_since_when_its_client_is_unreachable(server: Server) -> None:
    remote = server.sessions.open("remote", machine="till 3", system_user="ann")
    info = session_info(remote.id)
    assert info is not None
    assert info["persistentID"] == ""
    assert "unreachableSince" not in info
    server.sessions.records.write(remote.id, unreachable_ms=server.store.now_ms() - 90_000, state="sleeping")
    info = session_info(remote.id)
    assert info is not None
    assert 80 <= info.unreachable_since <= 120
    assert (info.machine_name, info.system_user_name, info.state) == ("till 3", "ann", "sleeping")


def test_sessions_are_listed_whatever_their_kind(server: Server) -> None:
    shopper, till = server.sessions.open("web"), server.sessions.open("remote")
    activity = process_activity()
    assert activity is not None
    assert {one["ID"] for one in activity["sessions"]} == {shopper.id, till.id, server.session().id}
    mine = process_activity(shopper.id)
    assert mine == {"processes": [], "sessions": [dict(session_info(shopper.id) or {})]}
    assert mine is not None
    assert process_activity(shopper.id, 2) == {"sessions": mine["sessions"]}
    server.sessions.close(shopper.id)
    assert process_activity(shopper.id) is None


def test_a_process_is_of_the_session_in_which_it_runs(server: Server) -> None:
    """A server method runs in the session of who called it (specification 1.3, row 5); a procedure in the server's."""
    shopper = server.sessions.open("web", user="ann")
    one = Signal()
    with serving(shopper):
        plain = execute_on_server(open_to_all.options(name="a procedure"), one)
    wait_for(lambda: len(processes()) == 1, 20)
    (listed,) = processes()
    assert listed["sessionID"] == server.session().id
    assert process_activity(shopper.id, 1) == {"processes": []}
    rows = find(Seen(server.store), "", 10, ended=False, session=shopper.id[:8])
    assert [row.number for row in rows] == [plain.number]
    assert find(Seen(server.store), "", 10, ended=False, session="0" * 32) == []
    server.store.command("HSET", server.store.key(f"p:{plain.number}"), "v", "S")  # as of a server method
    (listed,) = processes()
    assert (listed["sessionID"], listed["session"]["userName"]) == (shopper.id, "ann")
    of_shopper = process_activity(shopper.id)
    assert of_shopper is not None
    assert [one["number"] for one in of_shopper["processes"]] == [plain.number]
    server.sessions.close(shopper.id)
    (listed,) = processes()
    assert (listed["sessionID"], listed["session"]) == (shopper.id, None)
    server.store.command("HDEL", server.store.key(f"p:{plain.number}"), "v")
    one.trigger()
    plain.result(timeout=20)


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


def test_ps_shows_what_a_session_has_asked_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").mkdir()
    settings = f'name = "{server.name}"\nredis = "{server.settings.redis}"\n'
    (tmp_path / "config" / "onserver.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONSERVER_SIGNING_KEY", "a key that only the tests have")

    def ps(*words: str) -> tuple[int, list[dict[str, Any]]]:
        capsys.readouterr()
        with server.as_current():
            status = command.run(["ps", "--json", *words])
        return status, json.loads(capsys.readouterr().out)["data"]

    shopper, one = server.sessions.open("web", user="ann"), Signal()
    with serving(shopper):
        asked = execute_on_server(open_to_all, one)
    other = execute_on_server(wait, one)
    assert sorted(row["number"] for row in ps()[1]) == [asked.number, other.number]
    status, rows = ps("--session", shopper.id[:10].lower())
    assert (status, [(row["number"], row["session"]) for row in rows]) == (0, [(asked.number, shopper.id)])
    assert ps("--session", "F" * 32) == (exits.NOT_FOUND, [])
    one.trigger()
    for started in (asked, other):
        started.result(timeout=20)
