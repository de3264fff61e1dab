"""What a client wishes for, asked of the desk: the one table of which wish is which method.

`grant` blocks, and is for a program that is client and server in one; `agrant` waits on a loop, and is for the gateway:
only what is a short trip takes a thread there, and what waits for a function of the project takes none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import msgspec

from onserver.connections.desk import Desk
from onserver.connections.wire import (
    Answer,
    Ask,
    Call,
    Close,
    Connect,
    Disconnect,
    Ended,
    Facts,
    Known,
    Open,
    Process,
    Register,
    Sleep,
    Start,
    Token,
    Unregister,
    Wait,
    Wake,
    Wish,
)
from onserver.errors import BadArguments
from onserver.process.inbox import End
from onserver.process.twin import CallEnd, forget_calls
from onserver.server import Server
from onserver.session.info import info_of
from onserver.values import decode

#: Runs a function that blocks in a thread of somebody's.
Beside = Callable[..., Awaitable[Any]]


def grant(server: Server, session: str, wish: Wish) -> Any:
    """Answer a wish.

    Args:
        server: the loaded project.
        session: id that the client has given; not looked at where it wishes for one.
        wish: what it wants.

    Raises:
        OnServerError: as the method of the desk says.
    """
    desk = server.part(Desk)
    match wish:
        case Connect():
            return desk.connect(session, wish.name, wish.call, wish.seconds)
        case Call():
            desk.call(session, wish.connection, wish.call, wish.name, wish.body)
            return _ended(desk.answer(session, wish.call, wish.seconds))
        case Answer():
            return _ended(desk.answer(session, wish.call, wish.seconds))
        case Wait():
            forget_calls(server, session, wish.have)
            return desk.wait(session, wish.seconds, wish.known)
        case Process():
            return _process(desk.process(session, wish.number, wish.seconds))
        case _:
            return _SHORT[type(wish)](server, session, wish)


async def agrant(server: Server, session: str, wish: Wish, beside: Beside) -> Any:
    """`grant` on a loop.

    Args:
        server: the loaded project.
        session: id that the client has given.
        wish: what it wants.
        beside: runs what is a short trip.
    """
    desk = server.part(Desk)
    match wish:
        case Connect():
            return await desk.aconnect(session, wish.name, wish.call, wish.seconds)
        case Call():
            await beside(desk.call, session, wish.connection, wish.call, wish.name, wish.body)
            return _ended(await desk.aanswer(session, wish.call, wish.seconds))
        case Answer():
            return _ended(await desk.aanswer(session, wish.call, wish.seconds))
        case Wait():
            if wish.have:
                await beside(forget_calls, server, session, wish.have)
            return await desk.await_(session, wish.seconds, wish.known)
        case Process():
            return _process(await desk.aprocess(session, wish.number, wish.seconds))
        case _:
            return await beside(_SHORT[type(wish)], server, session, wish)


def _known(server: Server, session: str, _wish: Wish) -> Known:
    record = server.part(Desk).facts(session)
    privileges = tuple(server.require_roles().listed(record.granted))
    return Known(user=record.user, info=dict(info_of(record)), privileges=privileges)


def _wake(server: Server, session: str, _wish: Wish) -> None:
    server.part(Desk).wake(session)


def _ended(end: CallEnd | None) -> Ended | None:
    return None if end is None else Ended(state=end.state, result=end.result, error=end.error)


def _process(end: End | None) -> Ended | None:
    if end is None:
        return None
    done = end.state == "done"
    return Ended(state=end.state, result=end.payload if done else b"", error=b"" if done else end.payload)


def _start(server: Server, session: str, wish: Start) -> int:
    try:
        options: Any = decode(wish.options)
    except (msgspec.DecodeError, ValueError) as error:
        raise BadArguments(wish.name, f"has options that cannot be read: {error}", "options") from error
    if not isinstance(options, dict):
        raise BadArguments(wish.name, "has options that are no dict", "options")
    return server.part(Desk).start(session, wish.start, wish.name, wish.body, cast("dict[str, Any]", options))


_SHORT: Final[Mapping[type[Wish], Callable[[Server, str, Any], Any]]] = {
    Open: lambda server, _, wish: server.part(Desk).open(wish.asked),
    Disconnect: lambda server, session, wish: server.part(Desk).disconnect(session, wish.connection),
    Start: _start,
    Ask: lambda server, session, wish: server.part(Desk).ask(session, wish.ask, wish.name, wish.procedure, wish.body),
    Register: lambda server, session, wish: server.part(Desk).register(session, wish.name),
    Unregister: lambda server, session, _: server.part(Desk).unregister(session),
    Token: lambda server, session, wish: server.part(Desk).token(session, wish.seconds),
    Facts: _known,
    Sleep: lambda server, session, _: server.part(Desk).sleep(session),
    Wake: _wake,
    Close: lambda server, session, _: server.part(Desk).end(session),
}
