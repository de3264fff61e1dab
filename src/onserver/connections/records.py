"""The connections of remote clients in Redis: each step one script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from onserver import values
from onserver.connections.facts import Link
from onserver.process.caller import as_server
from onserver.process.put import Sender
from onserver.process.signing import sign_now
from onserver.redis.resp import Word
from onserver.server import Server
from onserver.session.record import SessionRecord, read_session, written
from onserver.session.sessions import new_identity
from onserver.session.users import key_of_name

#: The built-in procedures that ask and tell the hooks of connections.
OPEN: Final = "onserver.open_connection"
CLOSE: Final = "onserver.close_connection"


class Heard(NamedTuple):
    """What a beat of a client was answered."""

    server: str
    state: str
    why: str
    events: Sequence[bytes]


class Connections:
    """The remote sessions of one server, and their connections. Made by `server.part(Connections)`.

    Args:
        server: the loaded project.
    """

    def __init__(self, server: Server) -> None:
        self._server, self._store = server, server.store
        self._settings = server.settings.remote

    # -- sessions

    def open(self, attempt: str, login: str, **facts: Any) -> SessionRecord:
        """Open a session, or answer the one that this attempt has opened.

        Args:
            attempt: 32 hexadecimal digits of the client's.
            login: name of the user who has logged in, or empty.
            **facts: attributes of its record.

        Raises:
            MaintenanceMode: ONS-4104.
            ConnectionsRejected: ONS-4113.
            SessionExpired: ONS-4102, that of this attempt is over already.
        """
        remote = self._settings
        times = (int(remote.unreachable_seconds * 1000), int(remote.beat_seconds * 1000))
        nonce, words = f"open:{attempt}", written({name: fact for name, fact in facts.items() if fact})
        identity, *fields = self._store.run("remote_open", nonce, new_identity(), key_of_name(login), *times, *words)
        return read_session(identity.decode(), fields)

    def beat(self, session: str, known: int, address: str = "", *, wakes: bool = True) -> Heard:
        """Note that a client is there.

        Args:
            session: its id.
            known: number of the last event that it has.
            address: "CLIENT TOKEN" that is told of the next event, if there is none now.
            wakes: the client is awake; False of a wait that has begun before it may have gone to sleep.

        Raises:
            SessionExpired: ONS-4102.
        """
        last_ms = int(self._settings.unreachable_seconds * 1000)
        server, state, why, *events = self._store.run("remote_beat", session, last_ms, known, address, int(wakes))
        return Heard(server.decode(), state.decode(), why.decode(), events)

    def sleep(self, session: str) -> None:
        """Let a session last while the client's machine sleeps.

        Raises:
            SessionExpired: ONS-4102.
        """
        self._store.run("remote_sleep", session, int(self._settings.sleep_hours * 3_600_000))

    def end(self, session: str, why: str, tombstone: str = "") -> bool:
        """Begin the end of a session, which is over at once where it has no connection. False where there is none.

        Args:
            session: its id.
            why: `closed dropped expired stopped`.
            tombstone: JSON of who dropped it and why; empty where nobody did.
        """
        return bool(self._store.run("remote_end", self._store.nonce(), session, why, tombstone))

    def ending(self, most: int, after: int = 0) -> Sequence[str]:
        """Answer ids of sessions that end, those first whose end began first; `most` of them, behind `after` others."""
        key = self._store.key("closing")
        return [name.decode() for name in self._store.command("ZRANGE", key, after, after + most - 1)]

    # -- connections

    def connect(self, session: str, name: str, call: str) -> tuple[int, int, bool]:
        """Make a connection, which the hooks are to accept, or answer the one that was made for this call.

        Args:
            session: id of the session.
            name: for people.
            call: id of the call that asks the hooks.

        Returns:
            Its number, that of the user, and whether it is open.

        Raises:
            SessionExpired: ONS-4102.
            MaintenanceMode: ONS-4104.
            ConnectionsRejected: ONS-4113.
        """
        most = self._settings.max_connections
        number, user, is_open = self._store.run("remote_connect", session, call, name, most)
        return int(number), int(user), bool(is_open)

    def decided(self, session: str, connection: int, accepted: bool, holder: str = "") -> bool:
        """Note that the hooks have accepted a connection, or not. Answers whether it is there.

        Args:
            session: id of the session.
            connection: its number.
            accepted: by all of them.
            holder: of the process that has asked them; empty for whoever has heard how that ended.

        Raises:
            MemberFenced: ONS-2401, that process is run elsewhere by now.
        """
        return bool(self._store.run("remote_opened", holder, session, connection, int(accepted)))

    def closing(self, session: str, user: int, connection: int) -> int:
        """Have the hooks told that a connection ends. Answers the number of the process that tells them.

        Args:
            session: id of the session.
            user: number of the user.
            connection: its number.

        Returns:
            0 where there is nothing to be told: no such connection, or one that was not accepted.
        """
        nothing: dict[str, Any] = {}
        body, queue = values.encode([[session, user, connection], nothing]), self._settings.queue

        def words(nonce: str, made_ms: int) -> list[Word]:
            signed = sign_now(self._server, CLOSE, body, nonce, made_ms)
            return [session, connection, queue, "t", CLOSE, "b", body, "c", signed, "n", f"close {connection}"]

        with as_server():  # whoever has asked for it may be a user who was removed meanwhile
            return int(self._server.part(Sender).send("remote_closing", words))

    def told(self, holder: str, session: str, connection: int) -> bool:
        """Note that the hooks were told of the end of a connection. Answers whether the session is over with it.

        Raises:
            MemberFenced: ONS-2401, the process that has told them is run elsewhere by now.
        """
        return bool(self._store.run("remote_left", holder, session, connection))

    def links(self, session: str, connection: int | None = None) -> Sequence[Link]:
        """Answer the connections of a session by number; or one of them, if it is there."""
        key = self._store.key(f"rc:{session}")
        if connection is not None:
            text = self._store.command("HGET", key, connection)
            return [] if text is None else [_link(str(connection).encode(), text)]
        found = self._store.command("HGETALL", key)
        return sorted(map(_link, found[::2], found[1::2]), key=lambda link: link.number)


def _link(number: bytes, text: bytes) -> Link:
    state, since, what, name = text.decode().split(" ", 3)
    return Link(number=int(number), state=state, since_ms=int(since), what=what, name=name)
