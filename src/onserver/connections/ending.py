"""The ends of connections and sessions, and the leader's part in them.

Whoever ends a session only says so (`remote_end`, an expiry, a drop); what then is to be done for each connection is
done here, by whoever has said it, and by the leader for all whose end was begun and not finished. All of it may be done
twice, and by two at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from onserver.cluster.member import Beat
from onserver.connections.facts import Link
from onserver.connections.records import Connections
from onserver.errors import CallNotFound
from onserver.process.twin import drop_twin, end_twin, wait_call
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.record import SessionRecord

#: How long one beat may take for it, in seconds: the rest waits for the next.
_BUDGET_SECONDS: Final = 0.3
_PAGE: Final = 50


def end_link(server: Server, record: SessionRecord, link: Link, *, hard: bool = False) -> None:
    """End one connection: its twin, and have the hooks told.

    Args:
        server: the loaded project.
        record: of the session.
        link: the connection.
        hard: the present call is aborted as well.
    """
    connections = server.part(Connections)
    (drop_twin if hard else end_twin)(server, record.id, link.number)
    if link.state == "opening":
        _give_up_opening(server, record, link)
    else:
        connections.closing(record.id, record.number, link.number)


def end_links(server: Server, identity: str) -> None:
    """Do what is to be done for each connection of a session that ends."""
    connections = server.part(Connections)
    record = server.sessions.records.read(identity)
    if record is None:
        connections.end(identity, "closed")  # of a restore: it is over by now, and nobody is to look for it any more
        return
    if record.state != "closing":
        return
    why = server.store.command("HGET", server.store.key(f"s:{identity}"), "why")
    for link in connections.links(identity):
        end_link(server, record, link, hard=why == b"dropped")


def _give_up_opening(server: Server, record: SessionRecord, link: Link) -> None:
    """A connection that the hooks have not accepted: it goes once they are asked no more."""
    try:
        end = wait_call(server, link.what, record.id, 0)
    except CallNotFound:
        gone = True  # they were never asked
    else:
        gone = end is not None and end.state != "done"
    if gone:
        server.part(Connections).decided(record.id, link.number, False)


class Closer:
    """Brings sessions to their end that nobody else does. A `Duty` of the leader.

    Args:
        server: the loaded project.
        store: its Redis, with deadlines that a beat can afford.
        say: told, for people, which clients were not heard any more.
    """

    def __init__(self, server: Server, store: Store, say: Callable[[str], None]) -> None:
        self._server, self._store, self._say = server, store, say
        self._said: set[str] = set()
        self._after = 0

    def heard(self, beat: Beat) -> None:
        """A beat was answered: look whether a session ends. While the server stops, `Guests` do."""
        if beat.ending and beat.state == "running":
            self.work()

    def work(self) -> None:
        """Do what is to be done for the sessions that end, as far as a beat has time for it."""
        until, connections = monotonic() + _BUDGET_SECONDS, self._server.part(Connections)
        while monotonic() < until:
            found = connections.ending(_PAGE, self._after)
            self._after = self._after + len(found) if len(found) == _PAGE else 0
            for identity in found:
                self._tell(identity)
                end_links(self._server, identity)
            if not self._after:
                self._said &= set(found)
                return

    def _tell(self, identity: str) -> None:
        if identity in self._said:
            return
        self._said.add(identity)
        facts = self._store.command("HMGET", self._store.key(f"s:{identity}"), "why", "user", "machine")
        why, user, machine = ((fact or b"").decode() for fact in facts)
        if why == "expired":
            self._say(f"client {user or 'without a name'} on {machine or '?'} was not heard any more: session closed")
