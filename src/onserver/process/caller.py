"""Who asks: the caller of a process, as a snapshot that travels signed.

A start inside a process passes on that process' caller, so that who asked first is known at any depth. A program
outside of every session asks as the server itself; its operating-system user and machine are kept for people to see.
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

from onserver.server import Server
from onserver.session.context import Run, current_run
from onserver.values import encode

#: `Caller.kind` of a program that asks in the server's own name.
SERVER = "server"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asked for a process, as it was when they asked.

    Attributes:
        user: name of the user; the server's own name for its sessions (setting `session.user_name`) as the server.
        session: id of the session that asked, or empty.
        kind: `server`, or the kind of the session that asked.
        os_user: operating-system user of the program that asked.
        host: machine that it ran on.
        privileges: privileges and roles that were set in that session.

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

    @property
    def is_server(self) -> bool:
        """Whether it was asked in the server's own name, which passes every privilege."""
        return self.kind == SERVER

    def snapshot(self) -> dict[str, Any]:
        """Answer what travels: the facts that are not empty, ready to be encoded."""
        facts = {"user": self.user, "session": self.session, "os_user": self.os_user, "host": self.host}
        kept: dict[str, Any] = {name: fact for name, fact in facts.items() if fact}
        if self.kind != SERVER:
            kept["kind"] = self.kind
        if self.privileges:
            kept["privileges"] = list(self.privileges)
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
        )


class OwnCaller:
    """This program, asking as the server. Made by `server.part(OwnCaller)`."""

    def __init__(self, server: Server) -> None:
        self.caller = Caller(user=server.settings.session.user_name, os_user=_os_user(), host=socket.gethostname())
        self.sent = Raw(encode(self.caller.snapshot()))


_as_server: ContextVar[bool] = ContextVar("onserver_as_server", default=False)


@contextmanager
def as_server() -> Generator[None]:
    """Start processes in the server's own name: who asked for this one is dropped on purpose.

    Example:
        >>> with as_server():
        ...     caller().is_server
        True
    """
    token = _as_server.set(True)
    try:
        yield
    finally:
        _as_server.reset(token)


def caller() -> Caller:
    """Answer who asked for what is running: inside a procedure the session that started it, at any depth.

    Outside of processes it is this program, which asks as the server.

    Example:
        >>> caller().user  # the virtual user: the setting `session.user_name`
        'server'
    """
    run = current_run()
    if run is None or run.caller is None or _as_server.get():
        return Server.current().part(OwnCaller).caller
    return Caller.read(run.caller)


def snapshot_to_send(server: Server, run: Run | None) -> Raw:
    """Answer the snapshot that a start made in this run, or outside of all, carries; encoded."""
    if run is None or run.caller is None or _as_server.get():
        return server.part(OwnCaller).sent
    return Raw(encode(run.caller))


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid())
