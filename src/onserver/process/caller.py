"""Who asks: the caller of a process, as a snapshot that travels signed.

A start inside a process passes on that process' caller, so that who asked first is known at any depth. A program
outside of every session asks as the server itself; its operating-system user and machine are kept for people to see.

The snapshot is what the session had when it asked: its user, the login of `onserver users` behind it, and the
privileges and roles that were set in it. What they give is worked out when it is needed, by today's `roles.json`; what
has become of session and user meanwhile is `authority`'s to find out.
"""

import getpass
import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from onserver.errors import PrivilegeDenied
from onserver.server import Server
from onserver.session.context import Run, Served, current_run, served
from onserver.session.running import running, served_here
from onserver.session.session import Session
from onserver.values import encode

#: `Caller.kind` of a program that asks in the server's own name.
SERVER = "server"
#: `Caller.kind` of a web session: the one whose code the permissions of `roles.json` filter.
WEB = "web"
#: `Caller.kind` of a remote client's session.
REMOTE = "remote"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asked for a process, as it was when they asked.

    Attributes:
        user: name of the user; the server's own name for its sessions (setting `session.user_name`) as the server.
        session: id of the session that asked, or empty.
        kind: `server`, or the kind of the session that asked.
        os_user: operating-system user of the program that asked.
        host: machine that it ran on.
        privileges: privileges that were set in that session, as they were given.
        roles: roles that were set in it.
        login: user of `onserver users` who had logged in there, or empty.
        asked_ms: when that session asked, by the clock of Redis; what a process starts in turn was asked for then.

    Example:
        >>> Caller(user="ann", kind="web").is_server
        False
    """

    user: str
    session: str = ""
    kind: str = SERVER
    os_user: str = ""
    host: str = ""
    privileges: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    login: str = ""
    asked_ms: int = 0

    @property
    def is_server(self) -> bool:
        """Whether it was asked in the server's own name, which passes every privilege."""
        return self.kind == SERVER

    def has_privilege(self, name: str) -> bool:
        """Whether this caller has a privilege by today's `roles.json`; the server has each one.

        Example:
            >>> caller().has_privilege("invoices.create")  # a program outside of every session asks as the server
            True
        """
        granted = (*self.privileges, *self.roles)
        return self.is_server or bool(Server.current().require_roles().holds(granted, name))

    def require(self, *names: str) -> None:
        """Refuse a caller who lacks one of these privileges.

        Raises:
            PrivilegeDenied: ONS-4103, for the first one that is missing.
        """
        for name in names:
            if not self.has_privilege(name):
                raise PrivilegeDenied(name, self.user, self.roles, Server.current().require_roles().givers(name))

    def snapshot(self) -> dict[str, Any]:
        """Answer what travels: the facts that are not empty, ready to be encoded."""
        facts: dict[str, Any] = {
            "user": self.user, "session": self.session, "os_user": self.os_user, "host": self.host,
            "privileges": list(self.privileges), "roles": list(self.roles), "login": self.login, "at": self.asked_ms,
        }  # fmt: skip
        kept = {name: fact for name, fact in facts.items() if fact}
        if self.kind != SERVER:
            kept["kind"] = self.kind
        return kept

    @classmethod
    def read(cls, snapshot: Mapping[str, Any]) -> "Caller":
        """Read what `snapshot` made; facts of a newer version are left out."""
        return cls(
            user=str(snapshot.get("user", "")),
            session=str(snapshot.get("session", "")),
            kind=str(snapshot.get("kind", SERVER)),
            os_user=str(snapshot.get("os_user", "")),
            host=str(snapshot.get("host", "")),
            privileges=tuple(map(str, snapshot.get("privileges", ()))),
            roles=tuple(map(str, snapshot.get("roles", ()))),
            login=str(snapshot.get("login", "")),
            asked_ms=int(snapshot.get("at", 0)),
        )


class OwnCaller:
    """This program, asking as the server. Made by `server.part(OwnCaller)`."""

    def __init__(self, server: Server) -> None:
        self.caller = Caller(user=server.settings.session.user_name, os_user=_os_user(), host=socket.gethostname())
        self.sent = Raw(encode(self.caller.snapshot()))


class _Here:
    """A block of `as_server`, and what was served or running where it began: it is of nothing else."""

    def __init__(self) -> None:
        self._served, self._run = served(), current_run()

    @property
    def holds(self) -> bool:
        """Whether this is the block's own, and no request or process that has begun inside it."""
        return served() is self._served and current_run() is self._run


_as_server: ContextVar[_Here | None] = ContextVar("onserver_as_server", default=None)


@contextmanager
def as_server() -> Generator[None]:
    """Start processes in the server's own name: who asked for this one is dropped on purpose.

    A request that is served inside the block, or a process that runs inside it, has its own caller all the same.

    Example:
        >>> with as_server():
        ...     caller().is_server
        True
    """
    token = _as_server.set(_Here())
    try:
        yield
    finally:
        _as_server.reset(token)


def asks_as_server() -> bool:
    """Whether it is clear, without a look at any session, that the server itself asks here."""
    if served_here.get() is None and running() is None:
        return True  # most starts are made by programs like this, and each of them asks
    run = current_run()
    return served() is None and (run is None or run.caller is None or "kind" not in run.caller)


def who_asks() -> Mapping[str, Any] | None:
    """Answer the snapshot of who asks here and now, not verified again; None for the server itself."""
    if asks_as_server():
        return None
    here, run = served(), current_run()
    block = _as_server.get()
    if block is not None and block.holds:
        return None
    if here is not None:
        return _of_served(here)
    return None if run is None or run.caller is None else _of_run(run, run.caller)


def caller() -> Caller:
    """Answer who asked for what is running: inside a procedure the session that started it, at any depth.

    In a request of the web it is that request's session. Outside of both it is this program, which asks as the server.

    Example:
        >>> caller().user  # the virtual user: the setting `session.user_name`
        'server'
    """
    asking, run = who_asks(), current_run()
    if asking is not None:
        return Caller.read(asking)
    if run is None or run.caller is None or _as_server.get() is not None:
        return Server.current().part(OwnCaller).caller
    return Caller.read(run.caller)  # the server, as another program of it asked


def snapshot_to_send(server: Server, run: Run | None) -> Raw:
    """Answer the snapshot that a start made here carries; encoded.

    Args:
        server: that is asked.
        run: what runs here, or None.
    """
    asking = who_asks()
    if asking is not None:
        here = served()
        if here is not None and here.session is not None:
            _ = here.session.id  # that of a guest is kept from here on
        return Raw(encode(asking))
    if run is None or run.caller is None or _as_server.get() is not None:
        return server.part(OwnCaller).sent
    return Raw(encode(run.caller))


def _of_served(here: Served) -> Mapping[str, Any]:
    """Answer the snapshot of who is being served: of the session as it is now, where none came signed."""
    if here.caller is not None:
        return here.caller
    kind, session = WEB if here.web is not None else REMOTE, here.session
    if session is None:
        return Caller(user="", kind=kind).snapshot()
    return _of_session(session, kind, Server.current().store.now_ms())


def _of_run(run: Run, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer who asks in a run: whoever asked for it; where it runs in their session, as that is now."""
    if run.session is None or not run.session.id or run.session.id != asked.get("session"):
        return asked
    return _of_session(run.session, str(asked["kind"]), int(asked.get("at", 0)))


def _of_session(session: Session, kind: str, asked_ms: int) -> Mapping[str, Any]:
    record = session.record
    return Caller(
        user=record.user,
        session=record.id,
        kind=kind,
        privileges=record.privileges,
        roles=record.roles,
        login=record.login,
        asked_ms=asked_ms,
    ).snapshot()


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid())
