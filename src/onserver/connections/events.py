"""What a client is told, read from what is kept for it.

A request whose signature is wrong, or whose caller may not ask for it by now, is told to nobody but the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from onserver.connections.facts import Event
from onserver.connections.records import Heard
from onserver.errors import OnServerError
from onserver.process.admission import requires_of
from onserver.process.authority import admit
from onserver.process.signing import Signer
from onserver.server import Server
from onserver.session.records import Message
from onserver.values import decode

logger = logging.getLogger(__name__)


def read_events(server: Server, beat: Heard) -> Sequence[Event]:
    """Answer what a beat was answered; the end of the session as its last."""
    events = [event for words in beat.events if (event := _event(server, words)) is not None]
    if beat.state == "closing":
        events.append(Event(number=0, kind="closing", text=beat.why))
    return events


def _event(server: Server, words: bytes) -> Event | None:
    number, kind, *rest = words.split(b" ", 2)
    if kind == b"message":
        message = msgspec.json.decode(rest[0], type=Message)
        return Event(number=int(number), kind="message", text=message.text, by=message.by, at_ms=message.at_ms)
    if kind == b"request":
        nonce, accepted, content = rest[0].split(b" ", 2)
        return _request(server, int(number), nonce.decode(), int(accepted), content)
    return Event(number=int(number), kind="stopping")


def _request(server: Server, number: int, nonce: str, accepted_ms: int, content: bytes) -> Event | None:
    procedure, body, envelope = decode(content)
    try:
        asked = server.part(Signer).verify(envelope, procedure, body, accepted_ms, nonce=nonce)
        _admit(server, asked, procedure)
    except OnServerError:
        logger.exception("a request of %s to a remote client was refused", procedure)
        return None
    return Event(number=number, kind="request", name=procedure, body=body)


def _admit(server: Server, asked: Mapping[str, Any], procedure: str) -> None:
    found = server.registry.find(procedure)
    admit(server, asked, procedure, requires_of(found))
