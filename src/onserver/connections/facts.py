"""What a desk is told of a client, and what it tells one."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Opening(Struct, frozen=True, kw_only=True):
    """Who wants to be a client.

    Attributes:
        attempt: 32 hexadecimal digits that the client has made: sent again with them, it is opened once.
        user: name of the user.
        password: of that user; empty where the project has no users.
        machine: name of the machine.
        system_user: name of the operating-system user there.
        ip: address that the client is from.
        host_type: `windows`, `mac`, `linux`.
        agent: what the client says that it is.
        persistent: an id that the client has had before; empty for a new one.
    """

    attempt: str
    user: str = ""
    password: str = ""
    machine: str = ""
    system_user: str = ""
    ip: str = ""
    host_type: str = ""
    agent: str = ""
    persistent: str = ""

    def __repr__(self) -> str:
        """Say who, and not the password: whatever shows a wish does not show that."""
        return f"<Opening of {self.user or 'nobody'} from {self.machine or self.ip or 'somewhere'}>"


class Opened(Struct, frozen=True, kw_only=True):
    """A session that was opened, and what its client has to know.

    Attributes:
        session: its id, the client's secret.
        number: of the user, as the hooks of connections are told it.
        user: name of the user.
        persistent: the id that the client keeps.
        beat_seconds: how often the client says that it is there.
        unreachable_seconds: how long the session lasts when it does not.
        sleep_hours: how long it lasts while the machine sleeps.
        client_session: whether `session()` in the client is an object of its own.
        server: name of the server.
        version: release that it runs.
        privileges: those that the session has.
        roles: those that the session has.
    """

    session: str
    number: int
    user: str
    persistent: str
    beat_seconds: float
    unreachable_seconds: float
    sleep_hours: int
    client_session: bool
    server: str
    version: str
    privileges: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class Event(Struct, frozen=True, kw_only=True):
    """Something that a client is told.

    Attributes:
        number: grows by one with each event of the session; a client confirms all up to a number. 0 of the end of the
            session, which is told until it is over.
        kind: `message`; `request`, of `execute_on_client`; `stopping`, the server is about to stop; `closing`, the
            session ends.
        text: of a message; of an end why: `closed dropped expired stopped`.
        by: who said it, for people.
        at_ms: when a message was left, milliseconds since 1970.
        name: of a request, the procedure.
        body: of a request, its arguments, as `values.encode([args, kwargs])` has them.
    """

    number: int
    kind: Literal["message", "request", "stopping", "closing"]
    text: str = ""
    by: str = ""
    at_ms: int = 0
    name: str = ""
    body: bytes = b""


class Link(Struct, frozen=True, kw_only=True):
    """A connection of a client, as it is kept.

    Attributes:
        number: of the connection.
        state: `opening`, `open` or `closing`.
        since_ms: since when it is there, milliseconds since 1970.
        what: while it opens, and afterwards, the id of the call by which the hooks were asked; while it closes, the
            number of the process that tells them.
        name: for people.
    """

    number: int
    state: str
    since_ms: int
    what: str
    name: str = ""
