"""What a process sees of a session: promotions, objects and tokens where a server method runs in a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onserver import Process, Session, SessionSingleton, process, server_method, session, shared
from onserver.errors import NotSendable
from onserver.process.put import Sender
from onserver.process.server_method import ServerMethod
from onserver.session.context import serving
from onserver.testing.inline import OnServer
from tests.web_project import declaring, make_project, opened

ROLES = {
    "privileges": [{"privilege": "read"}, {"privilege": "create", "includes": ["read"]}],
    "permissions": {"allowed": [{"applyTo": "promoted", "type": "method", "promote": ["create"]}]},
    "restrictedByDefault": False,
    "forceLogin": False,
}


class Visits(SessionSingleton):
    count = 0

    @shared
    def note(self) -> int:
        self.count += 1
        return self.count


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OnServer]:
    with declaring():
        yield opened(request, monkeypatch, make_project(tmp_path / "shop", roles=json.dumps(ROLES)))


def called(server: OnServer, method: ServerMethod[..., Any], who: Session, *args: Any) -> Any:
    """Call it as a gateway does, for a request of the web."""
    with serving(who):
        made: Process[Any] = server.server.part(Sender).put(method.call_order, args, {})
    return made.result(60)


def test_roles_json_promotes_a_server_method_while_it_runs(server: OnServer) -> None:
    @server_method(name="promoted")
    def promoted() -> list[Any]:
        return [session().has_privilege("read"), session().promote("create"), session().get_privileges()]

    @server_method(name="plain")
    def plain() -> bool:
        return session().has_privilege("read")

    ann = server.server.sessions.open("web")
    assert called(server, promoted, ann) == [True, 0, []]
    assert called(server, plain, ann) is False


def test_a_promotion_ends_with_its_process_also_when_that_fails(server: OnServer) -> None:
    @server_method(name="promotes")
    def promotes(fail: bool) -> list[Any]:
        number = session().promote("create")
        if fail:
            raise NotSendable("x", problem="fails", advice="")
        return [number, session().has_privilege("read"), process().number > 0]

    @server_method(name="asks")
    def asks() -> bool:
        return session().has_privilege("read")

    ann = server.server.sessions.open("web")
    with pytest.raises(NotSendable):
        called(server, promotes, ann, True)
    assert called(server, promotes, ann, False) == [1, True, True]
    assert called(server, asks, ann) is False


def test_what_is_set_in_a_process_is_set_in_the_session(server: OnServer) -> None:
    @server_method(name="log_in")
    def log_in(name: str) -> bool:
        return session().set_privileges({"userName": name, "privileges": "read"})

    ann = server.server.sessions.open("web")
    assert called(server, log_in, ann, "ann") is True
    found = server.server.sessions.find(ann.id)
    assert found is not None
    assert (found.user_name, found.get_privileges(), found.is_guest()) == ("ann", ["read"], False)


def test_a_session_object_is_the_sessions_wherever_its_code_runs(server: OnServer) -> None:
    @server_method(name="visit")
    def visit() -> int:
        return Visits.me.note()

    ann, bob = server.server.sessions.open("web"), server.server.sessions.open("web")
    assert [called(server, visit, who) for who in (ann, ann, bob)] == [1, 2, 1]
    with serving(ann):
        assert visit() == 3  # in place
        in_procedures = visit.start()  # as any procedure: in the stored-procedure session
    assert in_procedures.result(60) == 1
    assert Visits.of(ann).count == 3


def test_a_process_cannot_give_the_browser_another_session(server: OnServer) -> None:
    @server_method(name="restore")
    def restore(token: str) -> list[Any]:
        return [session().restore(token), session().user_name]

    ann = server.server.sessions.open("web", user="ann")
    bob = server.server.sessions.open("web", user="bob")
    token = ann.create_otp()
    assert called(server, restore, bob, token) == [False, "bob"]
    with serving(bob):
        assert bob.restore(token) is True  # it was not spent
