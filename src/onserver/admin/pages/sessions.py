"""Sessions: who is there, in which state, what each may do and why, what it has stored, holds and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import msgspec

from onserver.admin.page import MOST_ROWS, BadQuery, Look, NotThere, Page, View
from onserver.session.record import KINDS, SessionRecord
from onserver.session.records import Message
from onserver.views.finding import find
from onserver.views.locks import Lock, locks
from onserver.views.masked import mask_of
from onserver.views.processes import Row, Seen
from onserver.views.sessions import STATES, Counts, Privilege, as_dict, counts, listed, privileges, state_of
from onserver.views.stored import Stored, entries, names, value_of

#: Rows of a page, where nothing else is asked for.
_ROWS: Final = 50
#: Of its storage, its processes and its messages a session shows so many; the links behind them have all.
_SOME: Final = 20
#: A value that is longer than this is not written beside its name.
_SHORT: Final = 120
_LOOKED_INTO: Final = 4096
_LIVE: Final = frozenset({"running", "waiting", "paused"})


def sessions(look: Look) -> View:
    """Show who is there."""
    kind, state, words = look.word("kind", KINDS), look.word("state", STATES), look.text("q")
    limit, cursor = look.number("limit", _ROWS, 1, MOST_ROWS), look.text("cursor")
    try:
        found = listed(look.server, kind=kind, state=state, words=words, limit=limit, cursor=cursor)
    except ValueError as error:
        raise BadQuery("cursor", cursor, "is none of this list") from error
    there = counts(look.server)
    known = {
        "rows": [(record, state_of(record)) for record in found.rows], "cursor": found.cursor, "looked": found.looked,
        "limit": limit, "kinds": _kinds(look, there), "states": _states(look, there),
        "filtered": bool(kind or state or words),
        "lonely": not any(number for name, number in there.kinds.items() if name != "storedProcedure"),
        "nobody": not any(there.kinds.values()),
    }  # fmt: skip
    data = {"rows": [as_dict(record) for record in found.rows], "cursor": found.cursor, **asdict(there)}
    return View("sessions.html", known, data=data)


def session(look: Look) -> View:
    """Show one session."""
    server = look.server
    record = server.sessions.records.read(look.path["id"].upper())
    if record is None:
        raise NotThere(_gone(look))
    may = privileges(server.require_roles(), record)
    stored, more = _stored(look, record)
    held = [lock for lock in locks(server.store) if _of(lock, record)]
    rows = find(Seen(server.store), "", _SOME, ended=False, states=_LIVE, session=record.id)[:_SOME]
    sent = _messages(look, record)
    known = {
        "record": record, "word": state_of(record),
        "quotas": ", ".join(f"{name} {most}" for name, most in record.quotas.items()),
        "privileges": [(one.name, _why(look, one)) for one in may],
        "stored": stored, "more": more, "locks": held, "processes": rows, "sent": sent,
        "waiting": server.store.command("LLEN", server.store.key(f"sm:{record.id}")),
        "storage": "server" if record.kind == "storedProcedure" else record.id,
    }  # fmt: skip
    return View("sessions_one.html", known, data=_data(look, record, may, stored, held, rows, sent))


PAGES: Final = [
    Page("/sessions", "sessions", "Sessions", "s", sessions, live=("session",)),
    Page(
        "/sessions/{id}", "session", "Session", "", session, nav=False, under="sessions",
        live=("session", "storage", "lock", "process"),
    ),
]  # fmt: skip


# -- what is shown


def _kinds(look: Look, there: Counts) -> Sequence[tuple[str, str, int | None]]:
    own = [(kind, look._(kind), there.kinds[kind]) for kind in KINDS]
    return [("", look._("All"), sum(there.kinds.values())), *own]


def _states(look: Look, there: Counts) -> Sequence[tuple[str, str, int | None]]:
    return [("", look._("All"), None), *((state, look._(state), there.states[state]) for state in STATES)]


def _gone(look: Look) -> str:
    dropped = look.server.sessions.dropped(look.path["id"].upper())
    if dropped is None:
        return look._("There is no such session, or it is over.")
    return look._("This session was dropped by {by}. {reason}", by=dropped.by or "–", reason=dropped.reason).strip()


def _why(look: Look, one: Privilege) -> str:
    """Say how a session comes to a privilege."""
    first, *rest = one.way
    if one.first == "everybody":
        if not rest:
            return look._("Everybody has it.")
        return look._("Everybody has it: {way}.", way=_way(one.way))
    if one.first == "role":
        return look._("The role {role} gives it: {way}.", role=first, way=_way(one.way))
    if not rest:
        return look._("It was given to the session itself.")
    return look._("The privilege {privilege} was given and includes it: {way}.", privilege=first, way=_way(one.way))


def _way(names_: Sequence[str]) -> str:
    return " → ".join(names_)


def _stored(look: Look, record: SessionRecord) -> tuple[list[tuple[Stored, str]], bool]:
    """Return the first entries of its storage, each with its value in short for whoever may see values."""
    store, space = look.server.store, record.storage_space
    found, more = names(store, space)
    rows = entries(store, space, found[:_SOME])
    return [(row, _value(look, space, row)) for row in rows], more or len(found) > _SOME


def _value(look: Look, space: str, row: Stored) -> str:
    if not look.actor.may("admin.data") or row.bytes > _LOOKED_INTO:
        return ""
    try:
        found = value_of(look.server.store, space, row.key)
    except ValueError as error:
        return str(error)
    if found is None:
        return ""
    masked = mask_of(look.server).over(found[0], row.key)
    text = msgspec.json.encode(masked, enc_hook=repr).decode()
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _of(lock: Lock, record: SessionRecord) -> bool:
    """Tell whether a session has to do with a lock: it is in its storage, or its processes have it or wait for it."""
    own = lock.session == (record.id if record.kind != "storedProcedure" else "")
    return own or record.id in (lock.holder.session, *(one.owner.session for one in lock.waiters))


def _messages(look: Look, record: SessionRecord) -> list[Message]:
    """Return the messages that wait, the newest first, for whoever may see values."""
    if not look.actor.may("admin.data"):
        return []
    found = look.server.store.command("LRANGE", look.server.store.key(f"sm:{record.id}"), -_SOME, -1)
    return [msgspec.json.decode(one, type=Message) for one in reversed(found)]


def _data(
    look: Look, record: SessionRecord, may: Sequence[Privilege], stored: Sequence[tuple[Stored, str]],
    held: Sequence[Lock], rows: Sequence[Row], sent: Sequence[Message],
) -> dict[str, Any]:  # fmt: skip
    return {
        **as_dict(record),
        "privileges": [{"privilege": one.name, "way": list(one.way), "first": one.first} for one in may],
        "storage": [row.as_dict() for row, _ in stored],
        "locks": [lock.as_dict() for lock in held],
        "processes": [row._asdict() for row in rows],
        "messages": [{"at_ms": one.at_ms, "by": one.by, "text": one.text} for one in sent],
        "can_see_values": look.actor.may("admin.data"),
    }
