"""A process, for the session that started it: `/processes/N` as JSON, `/processes/N/events` as it goes on.

Only the session that asked for a process, at whatever depth, may look at it; to all others it is not there, 404, as is
a number that was never given. A session that got another id when its user logged in is the same session. Who it was is
read in the signed snapshot that the record has, which is not verified here: who can write records can read them.

Events are those of the standard (server-sent events):

    state       how it stands: the first one after each connect, and when that has changed; it has no id
    progress    what it has reported last: where it reports faster than it is read, the newest
    result      how it has ended, and with what: the last one

An id names what was seen and not a number in a line, so whoever connects again with `Last-Event-ID` gets what they
have not seen and nothing twice; behind `result` there is nothing, 204, at which a browser connects no more. Every 15 s
a comment keeps the connection open; whoever's session has ended meanwhile hears nothing more.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from onserver.errors import OnServerError, ProcedureFailed, ProcessAborted, ProcessLost, ProcessNotFound
from onserver.process.failure import value_of
from onserver.process.following import Following
from onserver.process.handle import Process
from onserver.process.progress import Progress
from onserver.process.record import ENDED_BYTES, Record, read_record
from onserver.process.signing import Signer
from onserver.server import Server
from onserver.session.context import session
from onserver.session.session import Session
from onserver.web.answers import HEADERS, JSON, problem, refusal, status_of

#: How often a comment is sent where nothing happens, in seconds.
HEARTBEAT_SECONDS: Final = 15.0
#: How long a browser waits before it connects again, in milliseconds.
RETRY_MS: Final = 3000
#: How many may follow processes at a time, in one program.
MOST: Final = 1000

_LAST: Final = "end"
_LONGEST_NUMBER: Final = 15
_HEADERS: Final = {**HEADERS, "X-Accel-Buffering": "no"}
#: Ends that no code of the project has caused.
_OURS: Final = (ProcessAborted, ProcessLost)


def process_routes(server: Server) -> Sequence[Route]:
    """Make the routes of processes, for an application whose requests are served in sessions.

    Args:
        server: whose processes they are.
    """
    watching = Watching(server)
    return [
        Route("/processes/{number}", watching.show, methods=["GET"]),
        Route("/processes/{number}/events", watching.follow, methods=["GET"]),
    ]


class Watching:
    """The processes of one server, for the sessions that have started them.

    Args:
        server: whose processes they are.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._followers = 0

    def show(self, request: Request) -> Response:
        """Answer how a process stands, and what it has ended with."""
        try:
            record = _own(self._server, request.path_params["number"], session())
        except ProcessNotFound as missing:
            return refusal(missing)
        return Response(_json(_facts(self._server, record)), 200, HEADERS, JSON)

    async def follow(self, request: Request) -> Response:
        """Answer events of a process, until it ends."""
        mine = await asyncio.to_thread(session)
        try:
            record = await asyncio.to_thread(_own, self._server, request.path_params["number"], mine)
        except ProcessNotFound as missing:
            return refusal(missing)
        seen = request.headers.get("last-event-id", "")
        if seen == _LAST or request.method == "HEAD":
            return Response(status_code=204, headers=_HEADERS)
        if self._followers >= MOST:
            return problem(503, "Too many follow processes here.", headers={"Retry-After": "5"})
        stream = self._counted(events(self._server, record, mine, seen))
        return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)

    async def _counted(self, events: AsyncIterator[str]) -> AsyncIterator[str]:
        """Pass events on, and count who gets them."""
        self._followers += 1
        try:
            async for event in events:
                yield event
        finally:
            self._followers -= 1


@dataclass
class _Shown:
    """What somebody who follows a process has been told."""

    identity: str
    kept: bytes = b""
    state: str = ""


async def events(server: Server, record: Record, mine: Session, seen: str) -> AsyncIterator[str]:
    """Tell what becomes of a process, as the text of a stream.

    Args:
        server: whose process it is.
        record: of it.
        mine: the session that has started it.
        seen: id of the event that was seen last; empty for none.
    """
    told, identity = _Shown(seen, state=record.state.value), mine.record.id
    following = Following(server, record.number, None)
    yield f"retry: {RETRY_MS}\n" + _event("state", {"process": record.number, "state": told.state})
    while True:
        news = await following.news(told.kept, HEARTBEAT_SECONDS)
        if await asyncio.to_thread(server.sessions.find, identity) is None:
            return  # logged out or dropped meanwhile
        if news is None:
            yield await _alive(server, record.number, told)
            continue
        last = news if news.state == "progress" else await following.news(told.kept, 0.0)
        if last is not None and last.state == "progress":  # what it has said last stands before its end
            told.kept = last.payload
            if _identity(last.payload) != told.identity:
                told.identity = _identity(last.payload)
                yield _event("progress", _progress(last.payload), told.identity)
        else:
            yield await asyncio.to_thread(_ending, server, record.number)
            return


async def _alive(server: Server, number: int, told: _Shown) -> str:
    """Answer what is sent where nothing was told: the state, if it is another by now, or a comment."""
    now = await asyncio.to_thread(read_record, server.store, number)
    state = now.state.value if now else told.state
    if state == told.state:
        return ": still here\n\n"
    told.state = state
    return _event("state", {"process": number, "state": state})


def _ending(server: Server, number: int) -> str:
    record = read_record(server.store, number)
    if record is None:
        return _event("result", {"process": number, "state": "gone"}, _LAST)
    return _event("result", _facts(server, record), _LAST)


def _own(server: Server, word: str, mine: Session | None) -> Record:
    """Answer the record of a process that a session has started.

    Raises:
        ProcessNotFound: ONS-2001, there is none of this number, or it is another's.
    """
    if mine is None or not word.isascii() or not word.isdecimal() or len(word) > _LONGEST_NUMBER:
        raise ProcessNotFound(word[:_LONGEST_NUMBER])
    number = int(word)
    record = read_record(server.store, number)
    envelope: bytes | None = server.store.command("HGET", server.store.key(f"p:{number}"), "c")
    caller = Signer.shown(envelope) if envelope else None
    ids = {mine.record.id, *mine.record.earlier}  # `.id` would keep a guest of whom nothing is kept
    if record is None or caller is None or not caller.session or caller.session not in ids:
        raise ProcessNotFound(number)
    return record


def _facts(server: Server, record: Record) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "process": record.number,
        "name": record.name or record.procedure,
        "procedure": record.procedure,
        "state": record.state.value,
        "progress": record.progress.as_dict() if record.progress else None,
        "accepted_ms": record.accepted_ms,
        "began_ms": record.claimed_ms or None,
        "ended_ms": record.ended_ms or None,
        "deliveries": record.deliveries,
    }
    if record.state.value.encode() in ENDED_BYTES:
        facts |= _outcome(server, record.number)
    return facts


def _outcome(server: Server, number: int) -> dict[str, Any]:
    """Answer what a process has ended with; of an error of the project's code only that there was one."""
    end = Process[Any](server, number).look("")
    if end is None:
        return {}  # replayed meanwhile
    try:
        return {"result": value_of(server, number, "", end)}
    except Exception as error:  # noqa: BLE001  # whatever the procedure has raised
        if isinstance(error, OnServerError) and (isinstance(error, _OURS) or status_of(error) != 500):
            return {"error": {"code": error.code, "message": error.message}}
        return {"error": {"code": ProcedureFailed.code, "message": "It has failed; its log has the reason."}}


def _progress(kept: bytes) -> dict[str, Any]:
    found = Progress.read(kept)
    return found.as_dict() if found else {}


def _identity(kept: bytes) -> str:
    return hashlib.sha256(kept).hexdigest()[:24]


def _event(kind: str, data: object, identity: str = "") -> str:
    named = f"id: {identity}\n" if identity else ""
    return f"{named}event: {kind}\ndata: {_json(data).decode()}\n\n"


def _json(data: object) -> bytes:
    return msgspec.json.encode(data)
