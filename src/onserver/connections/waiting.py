"""A client that waits for what it is to be told. Each look says that it is there, and registers it for the next one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any, Final

from onserver.connections.events import read_events
from onserver.connections.facts import Event
from onserver.connections.records import Connections, Heard
from onserver.process.hearing import Told, heard
from onserver.server import Server
from onserver.session.steps import Step, Steps

_TOLD: Final = (b"told", b"")


def waiting(server: Server, session_id: str, seconds: float, known: int) -> Steps[Sequence[Event]]:
    """Wait for events behind `known`; see `Desk.wait`.

    Only the first look wakes a session: the client may have put it to sleep while this wait was under way.
    """
    connections, until, wakes = server.part(Connections), monotonic() + seconds, True

    def ask(address: str) -> Sequence[Any] | None:
        beat = connections.beat(session_id, known, address, wakes=False)
        return _TOLD if beat.events or beat.state == "closing" else None

    while True:
        beat: Heard = yield Step(partial(connections.beat, session_id, known, wakes=wakes))
        wakes = False
        found = read_events(server, beat)
        if found or monotonic() >= until:
            return found
        yield from heard(server, Told(ask), until - monotonic())
