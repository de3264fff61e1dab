"""Processes that a client starts: they are stored procedures like any others, and their ends are told to it alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from onserver.connections.orders import start_order
from onserver.errors import BadArguments, ProcessNotFound
from onserver.process.handle import Process
from onserver.process.inbox import End, Inbox
from onserver.process.pump import Pump
from onserver.process.put import Sender
from onserver.process.signing import Signer
from onserver.server import Server
from onserver.session.context import serving
from onserver.session.session import Session
from onserver.values import decode


def start_process(
    server: Server, here: Session, start_id: str, name: str, body: bytes, options: Mapping[str, Any]
) -> int:
    """Start a process for the client of a session, once. See `Desk.start`."""
    order = start_order(server, name, options, f"remote {here.id} {start_id}")
    with serving(here, remote=True):
        return server.part(Sender).put(order, *arguments(name, body)).number


def end_of_process(server: Server, session_id: str, number: int, seconds: float) -> End | None:
    """Wait for the end of a process that the client of a session has started. See `Desk.process`.

    Raises:
        ProcessNotFound: ONS-2001, there is none of this client.
    """
    process = _own(server, session_id, number)
    any(True for _ in server.part(Inbox).ends((process,), seconds))
    return process.end


async def aend_of_process(server: Server, session_id: str, number: int, seconds: float) -> End | None:
    """`end_of_process` on a loop."""
    process = await asyncio.to_thread(_own, server, session_id, number)
    await server.part(Pump).end_or_call(process, seconds)
    return process.end


def arguments(name: str, body: bytes) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Answer the arguments that a client has sent, by position and by name.

    Args:
        name: of what they are for.
        body: as the client has sent it.

    Raises:
        BadArguments: ONS-1105, they cannot be read.
    """
    try:
        args, kwargs = msgspec.convert(decode(body), tuple[list[Any], dict[str, Any]])
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadArguments(name, f"was sent arguments that cannot be read: {error}", f"{name}(…)") from error
    return args, kwargs


def _own(server: Server, session_id: str, number: int) -> Process[Any]:
    asked = server.store.command("HGET", server.store.key(f"p:{number}"), "c")
    who = Signer.shown(asked) if asked else None
    if who is None or not session_id or who.session != session_id:
        raise ProcessNotFound(number)
    return Process(server, number)
