"""Every action of the administration: who may not, what is asked first, what it does, what is written down of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from onserver import Process, execute_on_server, procedure, registry
from onserver.errors import (
    ActionNotFound,
    ActionRefused,
    BadField,
    BrokerUnavailable,
    LockLost,
    LoginTooOld,
    NotConfirmed,
    NotDone,
    NoWorker,
    OnServerError,
    ProcedureNotFound,
    ProcessNotFound,
    VersionConflict,
)
from onserver.process.gates import paused
from onserver.process.maintenance import maintenance_on
from onserver.process.record import State, read_record
from onserver.redis.address import Address
from onserver.redis.answers import OutOfMemory
from onserver.server import Server
from onserver.steer import act, gate
from onserver.steer.action import Outcome
from onserver.steer.actions import ACTIONS
from onserver.steer.actor import Actor
from onserver.steer.audit import Line, lines, record
from onserver.steer.gate import CONFIRM, perform
from onserver.steer.granted import PRIVILEGES
from onserver.steer.made import line
from onserver.testing.inline import OnServer
from tests.cluster.redis_program import redis_program
from tests.inline_worker import make_server, working


def actor(*privileges: str, **facts: Any) -> Actor:
    known = {"user": "ann", "origin": "::1", "where": "page", "privileges": frozenset(privileges or PRIVILEGES)}
    return Actor(**(known | facts))


@pytest.fixture
def server(redis_address: Address) -> Iterator[Server]:
    with make_server(f"sa{uuid4().hex[:8]}", f"unix://{redis_address.path}") as made:
        yield made


@pytest.fixture
def declared() -> Iterator[None]:
    """Procedures of these tests, beside whatever others have declared."""
    known = registry.kept()

    @procedure(name="steer.add")
    def add(left: int, right: int = 0) -> int:
        return left + right

    @procedure(name="steer.fails")
    def fails() -> None:
        raise ValueError("wrong")

    @procedure(name="steer.waits")
    def waits() -> None:
        """It waits in its queue, since there is no worker."""

    yield
    registry.keep(known)


@pytest.fixture
def worked(server: Server, declared: None) -> Iterator[OnServer]:  # declared before the worker looks
    with working(server) as opened:
        yield opened


def audit(server: Server) -> list[Line]:
    return list(lines(server.store))


def given(name: str) -> dict[str, str]:
    """Fields that an action could have, and what confirms it."""
    kinds = {"number": "1", "whole": "1", "seconds": "1", "bool": "true", "json": "[]"}
    known = ACTIONS[name]
    fields = {field.name: field.choices[0] if field.choices else kinds.get(field.kind, "x") for field in known.fields}
    return fields | {CONFIRM: known.about(fields) if known.confirm == "typed" else "yes"}


# -- every action


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_nobody_does_it_without_its_privilege(server: Server, name: str) -> None:
    others = set(PRIVILEGES) - {ACTIONS[name].privilege}
    with pytest.raises(ActionRefused) as refused:
        perform(server, actor(*others), name, given(name))
    assert ACTIONS[name].privilege in refused.value.message
    (line,) = audit(server)
    assert (line.action, line.result, line.user, line.where) == (name, "refused", "ann", "page")
    assert ACTIONS[name].privilege in line.why


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_nobody_does_it_where_nothing_can_be_changed(server: Server, name: str) -> None:
    with pytest.raises(ActionRefused, match="read-only"):
        perform(server, actor(read_only=True), name, given(name))
    assert [one.result for one in audit(server)] == ["refused"]


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_it_takes_its_own_fields_and_no_others(server: Server, name: str) -> None:
    with pytest.raises(BadField, match="none of its fields"):
        perform(server, actor(), name, given(name) | {"other": "x"})
    needed = [field.name for field in ACTIONS[name].fields if field.required]
    for field in needed:
        with pytest.raises(BadField, match="is missing"):
            perform(server, actor(), name, given(name) | {field: ""})
    assert [one.result for one in audit(server)] == ["refused"] * (1 + len(needed))


@pytest.mark.parametrize("name", sorted(name for name, one in ACTIONS.items() if one.confirm))
def test_it_is_asked_first(server: Server, name: str) -> None:
    fields = given(name)
    with pytest.raises(NotConfirmed):
        perform(server, actor(), name, fields | {CONFIRM: ""})
    if ACTIONS[name].confirm == "typed":
        with pytest.raises(NotConfirmed):
            perform(server, actor(), name, fields | {CONFIRM: "another"})
        with pytest.raises(LoginTooOld):
            perform(server, actor(fresh=False), name, fields)
        assert [one.result for one in audit(server)] == ["refused"]
    else:
        assert audit(server) == []  # nothing was refused


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_it_can_be_said_as_a_command_and_in_python(name: str) -> None:
    fields = {field: text for field, text in given(name).items() if field != CONFIRM}
    assert ACTIONS[name].cli(fields).split()[0] in ("onserver", "celery")
    python = ACTIONS[name].python(fields)
    assert python.startswith(f"act({name!r}")
    compile(python, "twin", "eval")
    assert ACTIONS[name].cli({})  # before anything was chosen


def test_there_is_no_other_action(server: Server) -> None:
    with pytest.raises(ActionNotFound, match=r"process\.explode"):
        perform(server, actor(), "process.explode", {})


# -- what they do


def done(server: Server, name: str, **fields: object) -> Any:
    """Do it as ann would, confirmed."""
    texts = {field: str(value) for field, value in fields.items()}
    known = ACTIONS[name]
    texts[CONFIRM] = known.about(texts) if known.confirm == "typed" else "yes"
    return perform(server, actor(), name, texts)


@pytest.mark.usefixtures("worked")
def test_processes(server: Server) -> None:
    started = done(server, "process.start", procedure="steer.add", args="[2]", kwargs='{"right": 3}')
    number = started.data["process"]
    assert Process[int](server, number).result(timeout=20) == 5
    assert started.page == f"/processes/{number}"
    failed = execute_on_server("steer.fails")
    assert failed.wait(timeout=20) == State.FAILED
    assert done(server, "process.replay", process=failed.number).before == "failed"
    assert Process[None](server, failed.number).wait(timeout=20) == State.FAILED
    assert done(server, "dead.drop", process=failed.number).before == "failed"
    with pytest.raises(ProcessNotFound):
        done(server, "dead.drop", process=failed.number)
    with pytest.raises(NotDone, match="neither dead nor failed: it is done"):
        done(server, "dead.drop", process=number)
    assert [(one.action, one.target, one.result) for one in audit(server)] == [
        ("dead.drop", str(number), "failed"),
        ("dead.drop", str(failed.number), "failed"),
        ("dead.drop", str(failed.number), "done"),
        ("process.replay", str(failed.number), "done"),
        ("process.start", "steer.add", "done"),
    ]


@pytest.mark.usefixtures("declared")
def test_what_waits(server: Server) -> None:
    server.make_current()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoWorker)  # said once for a while, whichever test was first
        numbers = [execute_on_server("steer.waits").number for _ in range(3)]
    assert done(server, "process.pause", process=numbers[0]).after == "paused"
    with pytest.raises(NotDone, match="does not run: it is paused"):
        done(server, "process.stack", process=numbers[0])
    found = read_record(server.store, numbers[0])
    assert found is not None
    assert found.paused_by == "ann"
    assert done(server, "process.resume", process=numbers[0]).before == "paused"
    assert done(server, "process.abort", process=numbers[0], reason="why not").after == "aborted"
    assert done(server, "queue.pause", queue="default").after == "paused"
    assert [gate.name for gate in paused(server)] == ["default"]
    assert "by ann" in paused(server)[0].text
    assert done(server, "queue.resume", queue="default").data is True
    assert done(server, "server.pause", seconds="10m").after == "paused"
    assert done(server, "server.resume").data is True
    assert done(server, "queue.purge", queue="default").data == {"dropped": 2}


def test_the_server_as_a_whole(server: Server) -> None:
    assert "month end" in done(server, "maintenance.on", message="month end").text
    assert done(server, "maintenance.off").data is True
    done(server, "connections.reject")
    assert done(server, "connections.accept").before == "rejected"
    assert [one.action for one in audit(server)] == [
        "connections.accept", "connections.reject", "maintenance.off", "maintenance.on",
    ]  # fmt: skip


def test_storage(server: Server) -> None:
    first = done(server, "storage.set", key="rates", value='{"usd": 1}')
    assert server.storage["rates"]["usd"] == 1
    with pytest.raises(VersionConflict):
        done(server, "storage.set", key="rates", value="2", version=first.data["version"] + 1)
    again = done(server, "storage.set", key="rates", value="two", version=first.data["version"])
    assert (again.before, server.storage["rates"]) == (f"version {first.data['version']}", "two")
    assert done(server, "storage.increment", key="hits", amount=5).data == {"value": 5}
    assert done(server, "storage.delete", key="rates").before
    with pytest.raises(NotDone, match="no entry"):
        done(server, "storage.delete", key="rates")
    with pytest.raises(NotDone, match="nobody has the lock"):
        done(server, "storage.unlock", key="rates")
    with server.storage.use("held"):
        assert "taken from" in done(server, "storage.unlock", key="held").text
    assert not any("usd" in str(one) for one in audit(server))  # no value


def test_sessions(server: Server) -> None:
    opened = server.sessions.open("web", ip="127.0.0.1")
    assert done(server, "session.message", session=opened.id, text="hello").target == opened.id
    link = done(server, "session.link", session=opened.id, seconds=30)
    assert link.secret
    assert link.secret not in link.text
    assert "ann" in done(server, "session.set", session=opened.id, user_name="ann").after
    done(server, "session.drop", session=opened.id, reason="gone")
    dropped = server.sessions.dropped(opened.id)
    assert dropped is not None
    assert dropped.by == "ann"
    assert not any(link.secret in str(one) for one in audit(server))


def test_events_and_workers(server: Server) -> None:
    assert done(server, "event.send", event="door.opened", payload='{"door": 3}').data["id"]
    with pytest.raises(BadField, match="no JSON object"):
        done(server, "event.send", event="door.opened", payload="[]")
    with pytest.raises(NotDone, match="no workers are called `w9`"):
        done(server, "member.drain", member="w9")
    assert done(server, "member.reload").text == "0 workers are to take new code."


def test_what_a_program_does_is_done_in_its_name(server: Server) -> None:
    server.make_current()
    assert act("queue.pause", queue="mail").text == "mail is paused."
    assert act("queue.purge", queue="mail").data == {"dropped": 0}  # asked for by its name: that is confirmed
    with pytest.raises(OnServerError):
        act("queue.pause", queue="mail", running="perhaps")
    assert {(one.where, "@" in one.user) for one in audit(server)} == {("python", True)}


def test_a_number_that_would_do_something_else_is_refused(server: Server) -> None:
    for name, field, text in (
        ("process.abort", "process", "1.5"), ("process.abort", "process", "-1"), ("backup.prune", "keep", "0"),
        ("backup.prune", "keep", "-1"), ("session.set", "idle_minutes", "-1"), ("storage.set", "version", "0.5"),
    ):  # fmt: skip
        with pytest.raises(BadField, match=field):
            perform(server, actor(), name, given(name) | {field: text})


def test_the_lock_of_the_root_is_not_that_of_an_entry_of_its_name(server: Server) -> None:
    with pytest.raises(NotConfirmed):
        perform(server, actor(), "storage.unlock", {})  # nothing typed is no confirmation
    with server.storage.use("the root"):
        with pytest.raises(NotDone, match="nobody has the lock"):
            done(server, "storage.unlock")
        assert "the root" in done(server, "storage.unlock", key="the root").text
    with pytest.raises(LockLost), server.storage.use() as root:
        assert done(server, "storage.unlock").target == "the root"
        root["late"] = 1


def test_two_servers_of_one_program_are_not_taken_for_each_other(redis_address: Address) -> None:
    address = f"unix://{redis_address.path}"
    with make_server(f"sa{uuid4().hex[:8]}", address) as first, make_server(f"sa{uuid4().hex[:8]}", address) as second:
        second.make_current()
        for name, fields in (
            ("maintenance.on", {"message": "first"}), ("connections.reject", {}), ("process.signal", {"signal": "go"}),
            ("queue.pause", {"queue": "mail"}), ("storage.set", {"key": "k", "value": "1"}),
        ):  # fmt: skip
            done(first, name, **fields)
        assert maintenance_on(first.store) is not None
        assert maintenance_on(second.store) is None
        assert not second.store.command("EXISTS", second.store.key("paused"), second.store.key("sg:e:go"))
        assert not second.store.command("HEXISTS", second.store.key("server"), "rj")
        assert Server.current() is second
        with pytest.raises(ProcedureNotFound):
            done(first, "process.start", procedure="nobody.has_it")
        done(first, "maintenance.off")


# -- the audit


def test_lines_are_found_by_what_they_say_the_last_first_and_in_pages(server: Server) -> None:
    for at in range(250):
        who = actor(user="ann" if at % 2 else "bob", where="page" if at % 5 else "api")
        record(server.store, who, "process.abort" if at % 3 else "storage.set", result="done", target=str(at))
    found = audit(server)
    assert [int(one.target) for one in found] == list(range(249, -1, -1))
    assert {one.user for one in lines(server.store, user="ann")} == {"ann"}
    assert len(list(lines(server.store, action="process"))) == len([at for at in range(250) if at % 3])
    assert len(list(lines(server.store, action="storage.set", where="api"))) == len(range(0, 250, 15))
    assert [one.target for one in lines(server.store, before=found[247].id)] == ["1", "0"]
    assert list(lines(server.store, since_ms=found[0].at_ms + 1)) == []
    assert list(lines(server.store, result="refused")) == []


def test_a_line_is_no_longer_than_people_read(server: Server) -> None:
    record(server.store, actor(), "storage.set", result="failed", why="x" * 10_000)
    assert len(audit(server)[0].why) == 501


def test_words_of_a_command_line_are_quoted() -> None:
    assert line("onserver", "storage", "set", "", "a key", "it's") == """onserver storage set 'a key' 'it'"'"'s'"""


# -- what goes wrong meanwhile


class Killed(BaseException):
    """The program is killed."""


def replaced(monkeypatch: pytest.MonkeyPatch, name: str, run: Callable[[Server, Mapping[str, str]], Outcome]) -> None:
    monkeypatch.setitem(ACTIONS, name, replace(ACTIONS[name], run=run))


def test_a_program_that_is_killed_before_it_has_written_what_came_of_it_has_written_that_it_began(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_server: Server, _given: Mapping[str, str]) -> Outcome:
        raise Killed

    replaced(monkeypatch, "queue.purge", dies)
    with pytest.raises(Killed):
        done(server, "queue.purge", queue="mail")
    (line,) = audit(server)
    assert (line.action, line.target, line.result) == ("queue.purge", "mail", "begun")


def test_what_cannot_be_written_down_is_not_done(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def runs(_server: Server, given: Mapping[str, str]) -> Outcome:
        ran.append(given["queue"])
        return Outcome(said="Done.")

    def gone(*_args: object, **_kwargs: object) -> str:
        raise BrokerUnavailable("redis://nowhere", 1, 0.0, "no answer")

    replaced(monkeypatch, "queue.purge", runs)
    monkeypatch.setattr(gate, "record", gone)
    with pytest.raises(BrokerUnavailable):
        done(server, "queue.purge", queue="mail")
    assert ran == []


def test_a_line_takes_the_place_of_the_one_that_said_that_it_begins(server: Server) -> None:
    done(server, "queue.pause", queue="mail")
    assert [(one.result, one.after) for one in audit(server)] == [("done", "paused")]
    with pytest.raises(ProcessNotFound):
        done(server, "process.abort", process=99)
    assert [one.result for one in audit(server)] == ["failed", "done"]


def test_what_frees_memory_goes_where_memory_is_full(tmp_path: Path) -> None:
    with redis_program(tmp_path / "redis") as program, make_server("full", program.url) as server:
        link = server.store
        link.command("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(OutOfMemory):
            server.storage.counter("hits").add(1)
        assert done(server, "queue.purge", queue="mail").data == {"dropped": 0}
        assert [one.result for one in audit(server)] == ["done"]
        link.command("CONFIG", "SET", "maxmemory", 0)
