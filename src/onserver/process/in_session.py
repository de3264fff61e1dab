"""In which session a process runs: the server's, or for a server method that of whoever called it.

The stored-procedure session is the one of all processes, whoever has started them (specification 1.3, rows 19 to 23
and 27). A server method is the exception (rows 5, 7, 11 and 13): it is put with the flag `S`, and its run takes the
session of its signed caller, from Redis, as it is by then. One round trip; none for any other process.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from onserver.errors import SessionExpired
from onserver.process.caller import WEB, Caller
from onserver.server import Server
from onserver.session.roles_resources import Resource
from onserver.session.session import Session

#: The letter in the flags of what runs in the session of its caller.
IN_CALLERS_SESSION: Final = "S"


class InSession(NamedTuple):
    """The session of one run."""

    #: None for a request of a web server that keeps no sessions.
    session: Session | None
    #: Whether a request of the web has caused it, and privileges filter what it does.
    web: bool = False
    #: Privileges that `roles.json` promotes it to while it runs.
    promoted: Collection[str] = ()


def session_of_run(
    server: Server, flags: str, caller: Mapping[str, Any] | None, name: str = "", resource: Resource | None = None
) -> InSession:
    """Answer the session of a run.

    Args:
        server: that runs it.
        flags: of its record.
        caller: verified snapshot of who asked.
        name: full name of what runs.
        resource: what it is to `roles.json`, which may promote it; None for the method of that name.

    Raises:
        SessionExpired: ONS-4102, it was to run in the session of its caller, which has ended meanwhile.
    """
    if IN_CALLERS_SESSION not in flags or caller is None:
        return InSession(server.session())
    who = Caller.read(caller)
    if who.is_server:
        return InSession(server.session())
    web = who.kind == WEB
    promoted = server.require_roles().promotes(resource or Resource("method", name)) if web else ()
    if not who.session:
        return InSession(None, web, promoted)
    found = server.sessions.take(who.session)
    if found is None:
        raise SessionExpired(who.session)
    return InSession(found, web, promoted)
