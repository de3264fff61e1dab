"""`process_activity()`: what runs on the server just now, in the original's words."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final, Literal

from onserver.process.record import Record, State, read_record
from onserver.process.session_by_id import find_session
from onserver.server import Server
from onserver.session.info import info_of
from onserver.session.record import SessionRecord
from onserver.session.session import Session

#: Of a process that a mailbox has, and of every other: the original's types.
_WORKER, _EXECUTE_ON_SERVER = 5, 1
#: How many sessions one trip reads.
_PAGE: Final = 1_000


def process_activity(session_id: str | None = None, options: Literal[0, 1, 2] = 0) -> dict[str, Any] | None:
    """List the processes that have begun and not ended, and the sessions, of the server.

    Args:
        session_id: only this session and the processes that run in it.
        options: 0 both, 1 the processes only, 2 the sessions only.

    Returns:
        `processes` and `sessions`, as asked for; None when there is no such session. A process has `number name type
        state sessionID creationDateTime systemID preemptive visible` and, if sessions are listed, its `session`: None
        if that has ended meanwhile. A session has what its `info` tells; those opened last come first.

    Raises:
        NotConnected: ONS-1005, this program has no server.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.

    Example:
        >>> activity = process_activity()
        >>> [session["type"] for session in activity["sessions"]], activity["processes"]
        (['storedProcedure'], [])

    4D: `Process activity` (specification 2.12). Processor times are not known here, and `systemID` is the holder.
    """
    server = Server.current()
    own = server.session()
    only = None if session_id is None else find_session(server, session_id)
    if session_id is not None and only is None:
        return None
    found: dict[str, Any] = {}
    if options != 2:
        shown = None if options == 1 else cache(partial(_info, server))
        begun = ((record, worker, _session_of(record, own.id)) for record, worker in _begun(server))
        found["processes"] = [
            _described(record, worker, of, shown) for record, worker, of in begun if only is None or of == only.id
        ]
    if options != 1:
        found["sessions"] = [dict(only.info)] if only is not None else _sessions(server, own)
    return found


def _session_of(record: Record, own: str) -> str:
    """The session that a process runs in: the server's, but for a server method, which runs in its caller's."""
    return record.session if record.in_session and record.session else own


def _info(server: Server, identity: str) -> dict[str, Any] | None:
    found = find_session(server, identity)
    return None if found is None else dict(info_of(found.record))


def _sessions(server: Server, own: Session) -> list[dict[str, Any]]:
    listed: list[SessionRecord] = []
    last: SessionRecord | None = None
    while page := server.sessions.listed(limit=_PAGE, before=last):
        listed += page
        last = page[-1]
    if not any(record.id == own.id for record in listed):  # nobody has opened an epoch yet
        listed.append(own.record)
    return [dict(info_of(record)) for record in listed]


def _begun(server: Server) -> Iterator[tuple[Record, bool]]:
    """The records of what is held, and of idle mailboxes, by number; and whether it is a mailbox."""
    store = server.store
    holders = [holder.decode() for holder in store.command("SMEMBERS", store.key("live"))]
    boxes, *held = store.pipeline(
        [("HVALS", store.key("boxes")), *(("LRANGE", store.key(f"held:{holder}"), 0, -1) for holder in holders)]
    )
    workers = {int(number) for number in boxes}
    for number in sorted(workers.union(int(number) for numbers in held for number in numbers)):
        record = read_record(store, number)
        if record is not None and record.state in (State.RUNNING, State.WAITING, State.PAUSED):
            yield record, number in workers


def _described(
    record: Record, worker: bool, session_id: str, info: Callable[[str], Mapping[str, Any] | None] | None
) -> dict[str, Any]:
    began = datetime.fromtimestamp((record.claimed_ms or record.accepted_ms) / 1000, UTC)
    described = {
        "number": record.number,
        "name": record.name or record.procedure,
        "type": _WORKER if worker else _EXECUTE_ON_SERVER,
        "state": record.code_4d,
        "sessionID": session_id,
        "creationDateTime": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "systemID": record.holder,
        "preemptive": True,
        "visible": False,
    }
    return described if info is None else {**described, "session": info(session_id)}
