"""Sessions as they are listed: found by kind, state and words, counted, and what each may do and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.record import BEATS, SessionRecord, read_session
from onserver.session.records import is_identity
from onserver.session.roles import Roles
from onserver.session.roles_resources import GUEST, key_of

#: What a session can be, beside its kind.
STATES: Final = ("active", "sleeping", "unreachable", "expiring")
#: A session that ends within this time, if nobody uses it, is told of.
SOON_MS: Final = 300_000
#: So many are read at a time, and looked through for one page at most.
_SOME: Final = 200
_FARTHEST: Final = 2000
#: So many sessions of remote clients are looked at, to count their states.
_MOST_REMOTE: Final = 2000


class Found(NamedTuple):
    """A page of sessions.

    Attributes:
        rows: of it.
        cursor: where the next page begins; empty where there is none.
        looked: how many were looked through.
    """

    rows: Sequence[SessionRecord]
    cursor: str
    looked: int


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many sessions there are.

    Attributes:
        kinds: of each kind.
        states: in each state; None where there are too many to be looked at.
    """

    kinds: Mapping[str, int]
    states: Mapping[str, int | None]


class Privilege(NamedTuple):
    """A privilege that a session has.

    Attributes:
        name: of it.
        way: names that lead to it: what the session was given, and what that includes, the privilege last.
        first: what the first of them is: a `role` or `privilege` that was given, or what `everybody` has.
    """

    name: str
    way: Sequence[str]
    first: str


def state_of(record: SessionRecord) -> str:
    """Return the state of a session as people are told it: one of `STATES`, or `closing` or `postponed`."""
    if record.state != "closing" and record.unreachable_ms:
        return "unreachable"
    soon = 0 < record.until_ms <= record.read_ms + SOON_MS
    if record.state == "active" and soon and record.kind != "remote":  # that of a client lasts from beat to beat
        return "expiring"
    return record.state


def listed(server: Server, *, kind: str = "", state: str = "", words: str = "", limit: int, cursor: str = "") -> Found:
    """Return a page of sessions, those opened last first; of those that expire, the next to end first.

    Args:
        server: whose sessions they are.
        kind: only those of this kind.
        state: only those in this one of `STATES`.
        words: only those in whose id, user, machine, address or system user one of these stands, which `;` parts.
        limit: how many at most.
        cursor: of the page before.

    Raises:
        ValueError: there is no such cursor.
    """
    whole = server.sessions.records.read(words.upper()) if is_identity(words.upper()) else None
    if whole is not None:
        return Found([whole], "", 1)
    parts = [part.strip().casefold() for part in words.split(";") if part.strip()]
    found: list[SessionRecord] = []
    looked = 0
    source = _ending(server.store, cursor) if state == "expiring" else _opened(server, kind, state, cursor)
    for record, after in source:
        looked += 1
        fits = (not kind or record.kind == kind) and (not state or state_of(record) == state)
        if fits and _means(record, parts):
            found.append(record)
        if len(found) == limit or looked == _FARTHEST:
            return Found(found, after, looked)
    return Found(found, "", looked)


def cursor_of(record: SessionRecord) -> str:
    """Return where a page begins that goes on behind this session; see `listed`."""
    return f"{record.created_ms}.{record.id}"


def counts(server: Server) -> Counts:
    """Count the sessions there are; those of remote clients are looked at for that, where there are not too many."""
    store, kinds = server.store, dict(server.sessions.counts())
    now = store.now_ms()
    soon = int(store.command("ZCOUNT", store.key("sessions"), f"({now}", now + SOON_MS))
    if kinds["remote"] > _MOST_REMOTE:
        return Counts(kinds=kinds, states={state: soon if state == "expiring" else None for state in STATES})
    remote = [one.decode() for one in store.command("ZRANGE", store.key("sk:remote"), 0, -1)]
    fields: list[Sequence[Word]] = [
        ("HMGET", store.key(f"s:{one}"), "state", "heard", "beat", "until") for one in remote
    ]
    seen = [_remote(now, *facts) for facts in (store.pipeline(fields) if fields else [])]
    states = [state for state, _ in seen]
    expiring = max(0, soon - sum(1 for _, ends in seen if now < ends <= now + SOON_MS))
    active = sum(kinds.values()) - expiring - sum(1 for state in states if state != "active")
    return Counts(
        kinds=kinds,
        states={"active": max(0, active), "sleeping": states.count("sleeping"),
                "unreachable": states.count("unreachable"), "expiring": expiring},
    )  # fmt: skip


def privileges(known: Roles, record: SessionRecord) -> list[Privilege]:
    """Return the privileges that a session has, and how it comes to each."""
    names = known.listed([*record.granted, GUEST])
    return [_privilege(known, record, name) for name in names]


def as_dict(record: SessionRecord) -> dict[str, Any]:
    """Return what is known of a session, ready for JSON."""
    return {
        "id": record.id, "kind": record.kind, "type": record.type or record.kind, "user": record.user,
        "login": record.login, "machine": record.machine, "system_user": record.system_user, "ip": record.ip,
        "host_type": record.host_type, "agent": record.agent, "web": record.web, "created_ms": record.created_ms,
        "seen_ms": record.seen_ms, "until_ms": record.until_ms, "idle_minutes": record.idle_ms / 60_000,
        "state": state_of(record), "granted": list(record.granted), "quotas": dict(record.quotas),
        "tokens": record.tokens,
    }  # fmt: skip


# -- reading


def _opened(server: Server, kind: str, state: str, cursor: str) -> Iterator[tuple[SessionRecord, str]]:
    """Yield sessions and the cursor behind each, those opened last first."""
    last = _last(cursor)
    kind = kind or ("remote" if state in ("sleeping", "unreachable") else "")
    while True:
        page = server.sessions.listed(kind, "", _SOME, last)
        for record in page:
            yield record, cursor_of(record)
        if len(page) < _SOME:
            return
        last = page[-1]


def _last(cursor: str) -> SessionRecord | None:
    """Read a cursor.

    Raises:
        ValueError: it is none.
    """
    if not cursor:
        return None
    created, dot, identity = cursor.partition(".")
    if not (dot and created.isascii() and created.isdecimal() and len(created) < 16 and is_identity(identity)):
        raise ValueError(cursor)
    return SessionRecord(id=identity, kind="web", created_ms=int(created))


def _ending(store: Store, cursor: str) -> Iterator[tuple[SessionRecord, str]]:
    """Yield sessions that end soon and the cursor behind each, the next to end first."""
    if not (cursor or "0").isdecimal() or not cursor.isascii() or len(cursor) > 9:
        raise ValueError(cursor)
    at, now = int(cursor or 0), store.now_ms()
    while True:
        key, most = store.key("sessions"), now + SOON_MS
        found = store.command("ZRANGE", key, f"({now}", most, "BYSCORE", "LIMIT", at, _SOME)
        some = [one.decode() for one in found]
        read = store.pipeline([("HGETALL", store.key(f"s:{one}")) for one in some]) if some else []
        for one, fields in zip(some, read, strict=True):
            at += 1
            if fields:
                yield read_session(one, fields, now), str(at)
        if len(some) < _SOME:
            return


def _means(record: SessionRecord, parts: Sequence[str]) -> bool:
    texts = [record.id, record.user, record.login, record.machine, record.system_user, record.ip]
    return not parts or any(part in text.casefold() for part in parts for text in texts)


def _remote(
    now: int, state: bytes | None, heard: bytes | None, beat: bytes | None, ends: bytes | None
) -> tuple[str, int]:
    """Return state and end of the session of a client."""
    known = state.decode() if state else "active"
    silent = known == "active" and beat and heard and now - int(heard) > BEATS * int(beat)
    return "unreachable" if silent else known, int(ends or 0)


def _privilege(known: Roles, record: SessionRecord, name: str) -> Privilege:
    way = known.way(record.granted, name)
    if key_of(way[0]) == GUEST and GUEST not in map(key_of, record.granted):
        return Privilege(name, way, "everybody")
    return Privilege(name, way, "role" if known.role(way[0]) is not None else "privilege")
