"""A server method is called like any function, and runs in the session of whoever calls it from outside."""

from pathlib import Path
from typing import Any

import pytest

from onserver import caller, execute_on_server, procedure, server_method, session
from onserver.errors import BadDeclaration, PrivilegeDenied
from onserver.process.put import Sender
from onserver.process.server_method import AsyncServerMethod, ServerMethod
from onserver.session.context import serving
from onserver.testing.inline import OnServer
from tests.web_project import ROLES, declaring, make_project, opened


@server_method
def whose() -> str:
    return f"{session().record.kind} of {caller().user}"


@server_method(requires="nobody.has.it")
def guarded() -> str:
    return "done"


@server_method
async def awaited(x: int) -> int:
    return x + 1


def test_it_is_called_in_place() -> None:
    assert isinstance(awaited, AsyncServerMethod)
    assert guarded() == "done"  # outside of the web nothing filters it


async def test_a_coroutine_is_awaited_in_place() -> None:
    assert await awaited(1) == 2


def test_as_a_process_it_runs_in_the_stored_procedure_session(onserver: OnServer) -> None:
    with serving(onserver.server.sessions.open("web", user="ann")):
        assert execute_on_server(whose).result(10) == "storedProcedure of ann"


def test_a_call_runs_in_the_session_of_its_caller(onserver: OnServer) -> None:
    with serving(onserver.server.sessions.open("web", user="ann")):
        from_web = onserver.server.part(Sender).put(whose.call_order, (), {})
    assert from_web.result(10) == "web of ann"


def test_in_place_in_the_web_its_privileges_are_asked_for(onserver: OnServer) -> None:
    with serving(onserver.server.sessions.open("web")), pytest.raises(PrivilegeDenied):
        guarded()


def test_in_place_in_the_web_it_is_promoted_by_roles_json(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    allowed = '"allowed": [{"applyTo": "promoted", "type": "method", "promote": ["CreateInvoices"]}]'
    project = make_project(tmp_path / "shop", roles=ROLES.replace('"allowed": []', allowed))
    with declaring():

        @server_method(name="promoted")
        def promoted() -> bool:
            return bool(session().has_privilege("CreateInvoices"))

        server = opened(request, monkeypatch, project).server
        with serving(server.sessions.open("web")):
            assert promoted()
            assert not session().has_privilege("CreateInvoices")


def test_what_it_is_told_to_other_programs_says_that_it_is_published() -> None:
    assert ServerMethod(test_it_is_called_in_place, published=True).describe()["published"] is True
    assert "published" not in whose.describe()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"schedule": "* * * * *"}, "has no option `schedule`"),
        ({"requires": [3]}, "requires 3"),
        ({"timeout": -1.0}, "has timeout=-1.0"),
    ],
)
def test_what_cannot_be_kept_is_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(BadDeclaration, match=problem.replace("*", r"\*")):
        server_method(**options)(test_it_is_called_in_place)  # type: ignore[call-overload]


@pytest.mark.parametrize("options", [{"name": "onserver.x"}, {"name": "x", "aliases": ["onserver.x"]}])
@pytest.mark.parametrize("decorator", [server_method, procedure])
def test_the_names_of_the_framework_are_its_own(decorator: Any, options: dict[str, object]) -> None:
    with pytest.raises(BadDeclaration, match=r"`onserver\.x` begins with `onserver\.`"):
        decorator(**options)(test_it_is_called_in_place)


@pytest.mark.parametrize("decorator", [server_method, procedure])
def test_called_with_the_function_it_keeps_the_options(decorator: Any) -> None:
    with declaring():
        made = decorator(test_it_is_called_in_place, name="called.directly", priority=7)
        assert (made.name, made.order.priority) == ("called.directly", 7)
        with pytest.raises(BadDeclaration, match="has no option `colour`"):
            decorator(test_it_is_called_in_place, colour="red")


def test_a_generator_is_no_server_method() -> None:
    def many() -> object:
        yield 1

    with pytest.raises(BadDeclaration, match="generator"):
        server_method(many)
