"""Schedules are signed: who may write to Redis, and has no key, cannot let a worker start something in its name.

A schedule in Redis carries the signature of the program that has planned it: over its name and all that it says. The
leader verifies it before each start, and asks in the name of who has planned it: a worker is the server, and what code
of a session has added is that session's caller's. A key that is retired is no loss: schedules are signed again before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onserver.errors import BadSignature
from onserver.process.signing import Envelope, Signer, sign_now
from onserver.server import Server


def sign_schedule(server: Server, name: str, written: bytes) -> bytes:
    """Sign what a schedule says, in the name of who plans it here.

    Args:
        server: whose.
        name: of the schedule.
        written: what it says, as it is kept.
    """
    return sign_now(server, _signed_as(name), written, "", server.store.now_ms())


def verify_schedule(server: Server, name: str, written: bytes, signed: bytes) -> Mapping[str, Any]:
    """Answer the snapshot of who has planned a schedule.

    Raises:
        BadSignature: ONS-4106, nobody of this project has, or it was changed since.
    """
    try:
        made_ms = Envelope(signed).made_ms
    except ValueError:
        made_ms = 0
    return server.part(Signer).verify(signed, _signed_as(name), written, made_ms)


def sign_schedules_again(server: Server) -> int:
    """Sign with the key that signs now whatever schedule another key has signed; answers how many they are.

    One that is not as it was signed stays as it is: it starts nothing.
    """
    store, signer, count = server.store, server.part(Signer), 0
    for raw in store.command("SMEMBERS", store.key("schedules")):
        name = raw.decode()
        written, signed = store.command("HMGET", store.key(f"schedule:{name}"), "what", "c")
        if not written or not signed:
            continue
        try:
            verify_schedule(server, name, written, signed)
        except BadSignature:
            continue
        envelope = Envelope(signed)
        if envelope.key != signer.keys.active():
            again = signer.sign_again(envelope, _signed_as(name), written)
            count += int(store.run("sign_schedule", name, signed, again))
    return count


def _signed_as(name: str) -> str:
    """What is in the place of a procedure: no name of one has a blank."""
    return f"schedule {name}"
