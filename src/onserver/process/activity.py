"""`process_activity()`: what runs on the server just now, in the original's words."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from onserver.process.record import Record, State, read_record
from onserver.server import Server

#: Of a process that a mailbox has, and of every other: the original's types.
_WORKER, _EXECUTE_ON_SERVER = 5, 1


def process_activity(session_id: str | None = None, options: Literal[0, 1, 2] = 0) -> dict[str, Any] | None:
    """List the processes that have begun and not ended, and the sessions, of the server.

    Args:
        session_id: only this session and its processes.
        options: 0 both, 1 the processes only, 2 the sessions only.

    Returns:
        `processes` and `sessions`, as asked for; None when there is no such session. A process has `number name type
        state sessionID creationDateTime systemID preemptive visible` and, if sessions are listed, its `session`.

    Example:
        >>> activity = process_activity()
        >>> [session["type"] for session in activity["sessions"]], activity["processes"]
        (['storedProcedure'], [])

    4D: `Process activity` (specification 2.12). Processor times are not known here, and `systemID` is the holder.
    """
    server = Server.current()
    session = server.session()
    info = dict(session.info)
    if session_id is not None and session_id != session.id:
        return None
    found: dict[str, Any] = {}
    if options != 2:
        shown = None if options == 1 else info
        found["processes"] = [_described(record, worker, session.id, shown) for record, worker in _begun(server)]
    if options != 1:
        found["sessions"] = [info]
    return found


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


def _described(record: Record, worker: bool, session_id: str, info: Mapping[str, Any] | None) -> dict[str, Any]:
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
    return described if info is None else {**described, "session": info}
