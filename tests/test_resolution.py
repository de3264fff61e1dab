"""Which session each context sees: the decision table of the specification (1.3), each row by its number.

Rows that need a gateway of the web, or a remote client's program, are run where those are built; `ELSEWHERE` names
them. What they come to, a request served in a session and a server method run in the session of its caller, is run
here as well.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import pytest

from onserver import Procedure, Process, Server, Session, caller, execute_on_server, procedure, session
from onserver.errors import NoWorker, SessionExpired
from onserver.life.hook import (
    ARGUMENTS,
    BACKUP_SHUTDOWN,
    BACKUP_STARTUP,
    SHUTDOWN,
    SHUTDOWN_DRAINED,
    STARTUP,
    SYSTEM_EVENT,
    Hook,
)
from onserver.life.hook_call import call_hook
from onserver.process.claim import read_claim
from onserver.process.in_session import IN_CALLERS_SESSION
from onserver.process.put import Sender
from onserver.process.runner import Uncounted, prepare, settlement
from onserver.redis.address import Address
from onserver.registry import keep, kept
from onserver.session.context import in_web, serving
from onserver.testing import OnServer
from tests.inline_worker import make_server, working

#: Rows that are run by other tests, and where.
ELSEWHERE: Final[Mapping[int, str]] = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 10, 26), "the tests of the gateway and of REST"),
    8: "nowhere: there is no SOAP, see docs/why.md",
    **dict.fromkeys((11, 12, 13, 14, 15, 16, 18), "test_remote_programs.py, which has rows 17, 20 and 28 as well"),
    **dict.fromkeys((24, 25), "test_session_standalone.py, and test_standalone.py, which has row 26 as well"),
}
HERE: Final = {9, 17, 19, 20, 21, 22, 23, 27, 28}


@pytest.fixture
def server(redis_address: Address, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "config").mkdir()
    roles: dict[str, Any] = {
        "privileges": [],
        "permissions": {"allowed": []},
        "restrictedByDefault": False,
    }  # what may be called
    (tmp_path / "config" / "roles.json").write_text(json.dumps(roles))
    settings = make_server(f"t{uuid4().hex[:8]}", f"unix://{redis_address.path}").settings
    before = kept()
    with Server(settings=settings, project=tmp_path) as made:
        yield made
    keep(before)


@pytest.fixture
def worker(server: Server) -> Iterator[OnServer]:
    with working(server) as opened:
        yield opened


def seen() -> list[object]:
    """What code sees of its session."""
    found: Session | None = session()
    return [found.id, found.info.type] if found else [None, None]


def of_server(server: Server) -> list[object]:
    return [server.session().id, "storedProcedure"]


def start_as(server: Server, body: Procedure[..., Any], opened: Session | None, **how: Any) -> Any:
    """Start a server method as a request or a call does that is served in a session."""
    order = replace(body.order, flags=body.order.flags + IN_CALLERS_SESSION)
    with serving(opened, **how):
        return server.part(Sender).put(order, [], {})


def test_every_row_is_run_by_a_test() -> None:
    assert HERE | set(ELSEWHERE) == set(range(1, 29))
    assert not HERE & set(ELSEWHERE)
    tests = Path(__file__).read_text()
    for row in HERE:
        assert f"def test_row_{row}_" in tests or f"_and_{row}_" in tests, row


# ---- rows that can be run now


def test_row_9_without_scalable_sessions_a_request_has_none(server: Server, worker: OnServer) -> None:
    @procedure
    def body() -> list[object]:
        return [*seen(), in_web()]

    with serving(None):
        assert session() is None
        assert body() == [None, None, True]
    assert start_as(server, body, None).result(timeout=60) == [None, None, True]


def test_row_17_a_client_program_has_none(server: Server, worker: OnServer) -> None:
    assert session() is None
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(session()))
    thread.start()
    thread.join()
    assert found == [None]
    assert Server.current().storage is server.storage


def test_row_19_what_execute_on_server_starts_has_the_servers(server: Server, worker: OnServer) -> None:
    @procedure
    def body() -> list[object]:
        return [*seen(), caller().kind]

    assert execute_on_server(body).result(timeout=60) == [*of_server(server), "server"]
    web = server.sessions.open("web", user="ann")
    with serving(web):  # 10.1 item 8: a process that a request has started is a stored procedure
        process = execute_on_server(body)
    assert process.result(timeout=60) == [*of_server(server), "web"]
    remote = server.sessions.open("remote", user="bob")
    with serving(remote, remote=True):
        process = execute_on_server(body)
    assert process.result(timeout=60) == [*of_server(server), "remote"]


def test_row_20_what_a_stored_procedure_calls_has_its_session(server: Server, worker: OnServer) -> None:
    @procedure
    def inner() -> list[object]:
        return seen()

    class Model:
        def function(self) -> list[object]:
            return inner()

    @procedure
    def body() -> list[object]:
        return Model().function()

    assert execute_on_server(body).result(timeout=60) == of_server(server)


@pytest.mark.parametrize("kind", [STARTUP, SHUTDOWN, SHUTDOWN_DRAINED])
def test_row_21_startup_and_shutdown_hooks_have_the_servers(server: Server, worker: OnServer, kind: str) -> None:
    hook_sees_the_servers(server, kind)


@pytest.mark.parametrize("kind", [BACKUP_STARTUP, BACKUP_SHUTDOWN])
def test_row_22_backup_hooks_have_the_servers(server: Server, worker: OnServer, kind: str) -> None:
    hook_sees_the_servers(server, kind)


def test_row_23_the_hook_of_system_events_has_the_servers(server: Server, worker: OnServer) -> None:
    hook_sees_the_servers(server, SYSTEM_EVENT)


def hook_sees_the_servers(server: Server, kind: str) -> None:
    found: list[list[object]] = []

    def body(*_: object) -> None:
        found.append(seen())

    made = ARGUMENTS.get(kind)
    argument = None if made is None else made.read({"code": 2, "name": "foreground"} if kind == SYSTEM_EVENT else {})
    assert call_hook(server, Hook(kind, body, "shop.hook", None), argument).outcome == "ok"
    with serving(server.sessions.open("web")):  # a request that causes one lends it nothing
        assert call_hook(server, Hook(kind, body, "shop.hook", None), argument).outcome == "ok"
    assert found == [of_server(server)] * 2


def test_row_27_what_a_stored_procedure_starts_has_the_servers(server: Server, worker: OnServer) -> None:
    @procedure
    def started() -> list[object]:
        return seen()

    @procedure
    def starting() -> int:
        return execute_on_server(started).number

    from_server = execute_on_server(starting).result(timeout=60)
    web = server.sessions.open("web", user="ann")
    from_web = start_as(server, starting, web).result(timeout=60)  # 10.1 item 6
    for number in (from_server, from_web):
        assert Process.get(number).result(timeout=60) == of_server(server)


def test_row_28_what_a_storing_triggers_has_the_session_of_its_process(server: Server, worker: OnServer) -> None:
    """A trigger is a receiver of the ORM's signals here: it is called where the row is saved."""
    receivers: list[Callable[[], list[object]]] = [seen]

    @procedure
    def save() -> list[list[object]]:
        return [receiver() for receiver in receivers]

    assert execute_on_server(save).result(timeout=60) == [of_server(server)]
    web = server.sessions.open("web")
    with serving(web):
        assert save() == [[web.id, "web"]]


# ---- what rows 5, 7, 11 and 13 come to: a server method in the session of its caller


@pytest.mark.parametrize(("kind", "how", "web"), [("web", {}, True), ("remote", {"remote": True}, False)])
def test_a_server_method_has_the_session_of_its_caller(
    server: Server, worker: OnServer, kind: Any, how: dict[str, Any], web: bool
) -> None:
    @procedure
    def body() -> list[object]:
        with session().storage.use("basket") as basket:
            basket["items"] = 3
        return [*seen(), in_web(), caller().kind, caller().session]

    opened = server.sessions.open(kind, user="ann")
    called = start_as(server, body, opened, **how)
    assert called.result(timeout=60) == [opened.id, kind, web, kind, opened.id]
    assert opened.storage["basket"]["items"] == 3
    assert "basket" not in server.storage


def test_a_server_method_that_the_server_calls_has_the_servers(server: Server, worker: OnServer) -> None:
    @procedure
    def body() -> list[object]:
        return [*seen(), in_web()]

    order = replace(body.order, flags=IN_CALLERS_SESSION)
    assert server.part(Sender).put(order, [], {}).result(timeout=60) == [*of_server(server), False]


def test_a_server_method_whose_session_is_over_fails(server: Server) -> None:
    @procedure(name="resolution.late")
    def body() -> None:
        raise AssertionError("it must not run")

    opened = server.sessions.open("web", user="ann")
    with pytest.warns(NoWorker):
        process = start_as(server, body, opened)
    server.sessions.close(opened.id)
    with working(server), pytest.raises(SessionExpired, match=opened.id):
        process.result(timeout=60)
    assert process.state == "failed"
    assert process.record().deliveries == 0


def test_a_server_method_that_runs_inline_in_a_request(server: Server) -> None:
    """The request waits in the same thread and context in which the process is run."""

    @procedure
    def method() -> list[object]:
        return seen()

    @procedure
    def stored() -> list[object]:
        return [*seen(), in_web()]

    inline = OnServer(server)
    inline.open()
    try:
        opened = server.sessions.open("web")
        order = replace(method.order, flags=IN_CALLERS_SESSION)
        with serving(opened):
            assert server.part(Sender).put(order, [], {}).result(timeout=60) == [opened.id, "web"]
            assert execute_on_server(stored).result(timeout=60) == [*of_server(server), False]
            assert session() is opened
    finally:
        inline.close()


def test_what_redis_gives_no_answer_about_is_handed_back(server: Server, tmp_path: Path) -> None:
    @procedure(name="resolution.later")
    def body() -> str:
        return session().id

    opened = server.sessions.open("web", user="ann")
    with pytest.warns(NoWorker):
        called = start_as(server, body, opened)
    claim = read_claim(server.store, called.number)
    assert claim is not None
    gone = msgspec.structs.replace(server.settings, redis=f"unix://{tmp_path}/gone", redis_connect_seconds=0.1)
    with server.as_current(), Server(settings=gone, project=tmp_path) as away:
        prepared = prepare(claim, away)
    assert isinstance(prepared, Uncounted)
    assert not prepared.key
    assert settlement(claim, server, prepared) == (called.number, "back", "", b"", "")
    with working(server):
        assert called.result(timeout=60) == opened.id
