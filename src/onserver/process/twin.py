"""Twins: on the server, the process that stands for one process of a remote client.

A twin is a mailbox (see there) whose calls are answered. Each call of the client goes into it, in order, and is worked
off as any call of a mailbox, in the session of the client; what the calls share is the process: its number, its name,
its variables. The first call makes it, the end of its connection ends it.

The client makes the id of a call, 32 hexadecimal digits, before it sends it for the first time. The script that puts a
call writes the id down in the same step; the one that ends the call, whatever the end is, writes that there and tells
who waits. So a client that does not know what became of a message sends it again, and asks again for the end, as often
as it likes. The id is the nonce of the signature, too: a message that somebody has copied puts nothing.

| failure | outcome |
|---|---|
| message of the client lost, or sent again | the call is in the twin once; an id is known until its end is forgotten |
| reply lost, client away for a while | its end is kept for `process.keep_seconds`, and until the client has it |
| worker killed | the call runs again, in its turn; a method with `rerun=False` is lost, and the client hears that |
| process aborted, or its workers died too often | the present call ends so, those that wait go on in a new process |
| connection closed | the present call goes on to its end, those that wait are aborted |
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from onserver.errors import BadArguments, CallNotFound, ProcessNotFound
from onserver.process import control
from onserver.process.hearing import Told, heard
from onserver.process.in_session import IN_CALLERS_SESSION
from onserver.process.put import Order, Sender
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.steps import Step, Steps, adrive, drive

#: How long it is known that a call was put, after its client has its end, in seconds: longer than any message is on its
#: way. What came of it is forgotten at once.
KNOWN_SECONDS: Final = 600

_IS_ID: Final = re.compile(r"[0-9a-f]{32}")
_IS_TWIN: Final = re.compile(r"remote [0-9A-Fa-f]+ \d+")
_GONE: Final = "gone"
_DONE: Final = "done"
_CLOSED: Final = "its connection was closed"


@dataclass(frozen=True)
class CallEnd:
    """How a call ended, as the record of a process has it.

    Attributes:
        state: `done`, `failed`, `aborted`, `lost` or `dead`.
        result: what it returned, encoded; empty where it did not.
        error: what it raised, or why it did not end well, encoded; empty where it did.
    """

    state: str
    result: bytes
    error: bytes


def twin_box(session_id: str, connection: int) -> str:
    """Answer the name of the mailbox of a twin. It is no name for people: the id of a session is a secret."""
    return f"remote {session_id} {connection}"


def is_twin(box: str) -> bool:
    """Answer whether a mailbox of this name is a twin's, and nobody else's."""
    return _IS_TWIN.fullmatch(box) is not None


def put_call(server: Server, session_id: str, connection: int, order: Order, body: bytes, call_id: str) -> bool:
    """Put a call of a remote client into the twin of one of its connections, once, however often it is sent.

    Who asks is who is served: `with serving(session, remote=True):` around it.

    Args:
        server: the client's.
        session_id: id of the client's session.
        connection: number of the connection.
        order: of the server method.
        body: arguments, as `Sender.body` makes them.
        call_id: 32 lower-case hexadecimal digits, made by the client.

    Returns:
        False: it was put before, and is not put again.

    Raises:
        BadArguments: ONS-1105, an id of another form, or one that another session has used.
        PrivilegeDenied: ONS-4103.
        SessionExpired: ONS-4102, the session is over or ending, or the connection is not open.
        MaintenanceMode: ONS-4104.
        BrokerUnavailable: ONS-1201; whether it is put is not known: send it again.

    Warns:
        NoWorker: ONS-1202, the call is kept, but no worker would take it now.
    """
    if not _IS_ID.fullmatch(call_id):
        raise BadArguments(order.procedure, "was called under an id that is not 32 hexadecimal digits", "call_id")
    sender, order = server.part(Sender), _in_session(order)
    process = server.settings.process
    kept = (int(process.keep_seconds * 1000), int(process.keep_failed_seconds))

    def words(_: str, made_ms: int) -> list[Word]:
        fields = sender.signed(order, body, call_id, made_ms)
        return [session_id, connection, call_id, *kept, order.queue, order.priority, *fields]

    how, number, served = sender.send("twin_call", words)
    if how < 0:
        raise BadArguments(order.procedure, "was called under an id that another session has used", "call_id")
    if served != b"ok":
        sender.warn(order, number, served)
    return bool(how)


def wait_call(server: Server, call_id: str, session_id: str, seconds: float) -> CallEnd | None:
    """Wait for the end of a call.

    Args:
        server: the client's.
        call_id: under which it was put.
        session_id: of the session that has put it; no other gets its end.
        seconds: how long to wait; 0 only looks.

    Returns:
        None when it has not ended by then.

    Raises:
        CallNotFound: ONS-2004, there is none of this session, or its end is kept no longer.
        BrokerUnavailable: ONS-1201, Redis gave no answer for a while.
    """
    return drive(_ended(server, call_id, session_id, seconds))


async def await_call(server: Server, call_id: str, session_id: str, seconds: float) -> CallEnd | None:
    """`wait_call` without blocking the loop."""
    return await adrive(_ended(server, call_id, session_id, seconds))


def forget_calls(server: Server, session_id: str, call_ids: Sequence[str]) -> int:
    """A client says that it has the ends of these calls: they are not kept for it any longer.

    Args:
        server: the client's.
        session_id: of the session that has put them; what another has put stays.
        call_ids: of calls that have ended; what has not ended stays.

    Returns:
        How many of them have ended.
    """
    words: list[Word] = [session_id, KNOWN_SECONDS * 1000, *call_ids]
    return int(server.store.run("forget_calls", *words)) if call_ids else 0


def end_twin(server: Server, session_id: str, connection: int) -> bool:
    """End a twin after its present call; the calls that wait are aborted, and whoever waits for them is told.

    Returns:
        False when it has no process: then nothing happens.
    """
    keep, store = int(server.settings.process.keep_seconds), server.store
    return bool(store.run("kill_box", store.nonce(), twin_box(session_id, connection), 0, keep, _CLOSED))


def drop_twin(server: Server, session_id: str, connection: int) -> bool:
    """`end_twin`, and its present call is aborted as well: it stops at its next checkpoint, or is interrupted.

    Returns:
        False when it has no process: then nothing happens.
    """
    number = twin_number(server, session_id, connection)
    if number is None:
        return False
    end_twin(server, session_id, connection)
    try:
        control.abort(server, number, _CLOSED)
    except ProcessNotFound:  # it has ended, and its record was not kept
        return True
    return True


def end_left_twins(store: Store, keep_seconds: int) -> int:
    """End the twins whose connection is not there: after a restore, which brings processes back and not every session.

    Args:
        store: of the server.
        keep_seconds: how long their records are kept.

    Returns:
        How many there were.
    """
    boxes = [name.decode() for name in store.command("HKEYS", store.key("boxes")) if is_twin(name.decode())]
    links = [box.split(" ")[1:] for box in boxes]
    there = store.pipeline([("HEXISTS", store.key(f"rc:{session}"), connection) for session, connection in links])
    left = [box for box, is_there in zip(boxes, there, strict=True) if not is_there]
    for box in left:
        store.run("kill_box", store.nonce(), box, 0, keep_seconds, _CLOSED)
    return len(left)


def twin_number(server: Server, session_id: str, connection: int) -> int | None:
    """Answer the number of the process of a twin; None while it has none."""
    found = server.store.command("HGET", server.store.key("boxes"), twin_box(session_id, connection))
    return None if found is None else int(found)


def _in_session(order: Order) -> Order:
    flags = order.flags
    return order if IN_CALLERS_SESSION in flags else replace(order, flags=flags + IN_CALLERS_SESSION)


def _ended(server: Server, call_id: str, session_id: str, seconds: float) -> Steps[CallEnd | None]:
    store = server.store
    told = Told(lambda address: store.run("watch_call", call_id, session_id, address))
    end = yield from heard(server, told, seconds)
    if end is None:
        if told._inbox is not None:  # a client asks again and again: nobody need be told of the times before
            address = told._inbox.address(told)
            yield Step(lambda: store.command("SREM", store.key(f"cw:{call_id}"), address))
        return None
    if end.state == _GONE:
        raise CallNotFound(call_id)
    done = end.state == _DONE
    return CallEnd(end.state, end.payload if done else b"", b"" if done else end.payload)
