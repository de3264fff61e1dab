"""Who may have a task of Celery's run: asked when its message is sent, and again before it runs.

A task is a method to `roles.json`, as a procedure is. What follows a task in a canvas is sent by the worker, in the
name of who asked for the first: whether they may is decided when it runs, since a step that has ended well is not
failed by what comes after it. `celery.map` and the like run another task inside their own: that one decides. Where it
cannot be told which that is, or it runs another one in turn, sessions may not have it run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from onserver.celery_app.message import Stored, arguments
from onserver.errors import PrivilegeDenied
from onserver.process.admission import admitted, requires_of, resource_of
from onserver.process.authority import admit, require_ask
from onserver.process.caller import caller as who_is
from onserver.process.caller import who_asks
from onserver.process.claim import Claim
from onserver.server import Server

#: What Celery brings itself: it passes values on, and starts nothing that is not started as a task of its own.
_OWN: Final = "celery."
#: Its tasks that run another one, which their arguments name.
_AROUND: Final = frozenset({"celery.map", "celery.starmap", "celery.chunks"})
#: Names that do not tell what runs: of one around others, inside another, and where none is given.
_UNTOLD: Final = _AROUND | {""}

_follows: ContextVar[bool] = ContextVar("onserver_follows", default=False)


@contextmanager
def following() -> Generator[None]:
    """What is sent in this block follows a task in its canvas."""
    token = _follows.set(True)
    try:
        yield
    finally:
        _follows.reset(token)


def require_send(server: Server, message: Stored) -> None:
    """Refuse a message that whoever sends it may not send.

    Raises:
        PrivilegeDenied: ONS-4103.
    """
    if who_asks() is None or _follows.get():
        return
    for name in run_by(message.procedure, message.body, message.headers):
        if name in _UNTOLD:
            raise _untold(message.procedure, who_is().user)
        found = server.registry.find(name)
        require_ask(server, name if found is None else found.name, requires_of(found), resource_of(found))


def may_run(server: Server, claim: Claim, caller: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse a claimed process that its caller may not have run by now; answers who asked.

    Raises:
        CallerRevoked: ONS-4107.
        PrivilegeDenied: ONS-4103.
    """
    if not claim.procedure.startswith(_OWN):
        return admitted(server, claim, caller, server.registry.find(claim.procedure))
    return permit(server, caller, run_by(claim.procedure, claim.body, claim.headers))


def permit(server: Server, caller: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any]:
    """`may_run` for a message that has no record, or one without arguments.

    Args:
        server: the loaded project.
        caller: verified snapshot of who asked.
        names: of the tasks that it runs.

    Raises:
        CallerRevoked: ONS-4107.
        PrivilegeDenied: ONS-4103.
    """
    if "kind" not in caller:
        return caller
    for inner in names:
        if inner in _UNTOLD:
            raise _untold(inner, str(caller.get("user", "")))
        found = server.registry.find(inner)
        name = inner if found is None else found.name
        caller = admit(server, caller, name, requires_of(found), resource_of(found))
    return caller


def takes_privileges(server: Server, names: Iterable[str]) -> bool:
    """Whether one of these tasks asks for privileges itself: who has sent it has to be known, then."""
    return any(name in _UNTOLD or requires_of(server.registry.find(name)) for name in names)


def run_by(name: str, body: bytes, headers: bytes) -> list[str]:
    """Answer the names of the tasks that a message runs; not of one around others that has no body here."""
    args, kwargs = (arguments(body, headers) if name in _AROUND and body else None) or ((), {})
    return around(name, args, kwargs) if body or name not in _AROUND else []


def around(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
    """Answer the names of the tasks that a task runs with these arguments: mostly its own."""
    if name in _AROUND:
        inner = kwargs.get("task", args[0] if args else "")
        named = inner.get("task") if isinstance(inner, Mapping) else inner
        return [named if isinstance(named, str) else ""]
    return [] if name.startswith(_OWN) else [name]


def _untold(name: str, user: str) -> PrivilegeDenied:
    return PrivilegeDenied("", user, (), (), name, "it runs a task inside its own that cannot be told")
