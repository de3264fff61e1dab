"""The feed of events: whoever sees something says it here, and the last 1,000 are kept, whether a hook listens or not.

The feed is one stream in Redis. What a script finds out (a member joins, dies, a process fails) it writes in the same
step; what a program sees it says with `tell_events`. The order of the stream is the order of what was told, across
restarts and fail-overs; the time of an event is when it happened, by the clock of Redis.

Several programs may see the same thing. Whether one of them brings news is decided in the script, by what `News.counts`
says of it; see `tell_events.lua`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Final

from onserver.errors import BadEvent
from onserver.life.event_kinds import checked, kind_of
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.context import current_run
from onserver.values import decode, encode

#: How many events are kept: the last ones.
KEPT: Final = 1000
#: Largest payload of an event that a user tells, in bytes.
LARGEST: Final = 16_384
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of the feed.

    Attributes:
        id: its place in the feed; those told later are greater, part by part.
        code: 1 or 2 as in the original, from 101 up ours, 1000 what users name.
        name: what it is; see `docs/reference/events.md`.
        payload: what it says.
        at_ms: when it happened, milliseconds since 1970 by the clock of Redis.
        worker: who saw it, for people; empty for the server itself.
        member: number of the member that it happened to, or that saw it; 0 for none.
    """

    id: str
    code: int
    name: str
    payload: Mapping[str, Any]
    at_ms: int
    worker: str
    member: int

    @classmethod
    def read(cls, identity: bytes, fields: Sequence[bytes]) -> Event:
        """Read an entry of the stream."""
        facts = dict(zip(fields[::2], fields[1::2], strict=True))
        name = facts[b"n"].decode()
        said: dict[str, Any] = decode(facts[b"p"]) or {}
        kind = kind_of(name)
        order = (*(kind.fields if kind is not None else ()), *said)  # a script's table has none
        return cls(
            id=identity.decode(),
            code=int(facts[b"c"]),
            name=name,
            payload={field: said[field] for field in order if field in said},
            at_ms=int(facts[b"at"]),
            worker=facts[b"w"].decode(),
            member=int(facts[b"m"]),
        )

    @property
    def at(self) -> datetime:
        """When it happened, in the zone of this machine."""
        return datetime.fromtimestamp(self.at_ms / 1000).astimezone()

    def as_dict(self) -> dict[str, Any]:
        """Answer the same, ready for JSON."""
        return {"id": self.id, "code": self.code, "name": self.name, "payload": dict(self.payload),
                "at_ms": self.at_ms, "worker": self.worker, "member": self.member or None}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class News:
    """What a program has seen and is going to tell.

    Attributes:
        name: of the event.
        payload: what it says.
        seen: when it happened, by the monotonic clock.
        counts: when it is told, as in `tell_events.lua`; "" always.
    """

    name: str
    payload: Mapping[str, object]
    seen: float
    counts: str = ""


def tell_events(store: Store, news: Sequence[News], *, member: int = 0, who: str = "", nonce: str = "") -> list[str]:
    """Write events into the feed, in one script.

    Args:
        store: the Redis of the server.
        news: what was seen, the oldest first.
        member: number of the member that says so; 0 for none.
        who: its name for people; that of the member's record when empty.
        nonce: of an earlier try, of which it is not known whether it was done.

    Returns:
        The id of each, "" for one that did not count.

    Raises:
        BadEvent: ONS-1108, a payload is not as the catalogue has it.
        MemberFenced: that member was declared dead.
    """
    words: list[str | int | bytes] = []
    now = monotonic()
    for one in news:
        code, ago = checked(one.name, one.payload), max(0, int((now - one.seen) * 1000))
        words += (code, one.name, encode(dict(one.payload), "payload"), ago, one.counts)
    told = store.run("tell_events", nonce or store.nonce(), member, who, *words)
    return [identity.decode() for identity in told]


def tell_event(store: Store, name: str, payload: Mapping[str, object], *, member: int = 0, who: str = "") -> str:
    """Write one event into the feed that happens now. Returns its id; see `tell_events`."""
    return tell_events(store, [News(name=name, payload=payload, seen=monotonic())], member=member, who=who)[0]


def system_event(name: str, /, **payload: object) -> None:
    """Tell an event of your own: it gets into the feed, and `on_system_event` hooks hear it once in the cluster.

    Args:
        name: a letter, then up to 63 letters, digits, dots, dashes and underscores; not one of onserver's own names.
        payload: what it says: values as in a call's arguments, 16 KiB at most.

    Raises:
        BadEvent: ONS-1108, the name is taken or none, or the payload is too large.
        NotSendable: ONS-1106, a value cannot be sent.
        NotConnected: ONS-1005, this program has no server.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.

    Example:
        >>> system_event("shop.opened", shelves=12)

    4D: has no counterpart; there only the system tells events (On System Event).
    """
    server, run = Server.current(), current_run()
    if run is not None:
        tell_own(server.store, name, payload, member=int(run.holder.partition(".")[0]))
    else:
        tell_own(server.store, name, payload, who=socket.gethostname())


def tell_own(store: Store, name: str, payload: Mapping[str, object], *, member: int = 0, who: str = "") -> str:
    """Tell an event that a user names; see `system_event`. Returns its id."""
    if not _NAME.fullmatch(name):
        raise BadEvent(name, "a name is a letter, then up to 63 letters, digits, dots, dashes and underscores")
    if kind_of(name) is not None:
        raise BadEvent(name, "that name is onserver's own")
    size = len(encode(dict(payload), "payload"))
    if size > LARGEST:
        raise BadEvent(name, f"its payload has {size:,} bytes, and {LARGEST:,} is the most")
    return tell_event(store, name, payload, member=member, who=who)


# ---- reading the feed


def read_events(store: Store, count: int = KEPT, since_ms: int | None = None) -> list[Event]:
    """Answer the last events that are kept, the oldest first.

    Args:
        store: the Redis of the server.
        count: how many at most.
        since_ms: only those that happened then or later, milliseconds since 1970.
    """
    entries = store.command("XREVRANGE", store.key("events"), "+", "-", "COUNT", max(1, count))
    events = [Event.read(identity, fields) for identity, fields in reversed(entries)]
    return [event for event in events if since_ms is None or event.at_ms >= since_ms][-count:]


def earlier_events(store: Store, before: str = "", chunk: int = 200) -> Iterator[Event]:
    """Yield the events that are kept, the newest one first.

    Args:
        store: the Redis of the server.
        before: id of an event; only those before it.
        chunk: how many are read in one trip.
    """
    end = f"({before}" if before else "+"
    while entries := store.command("XREVRANGE", store.key("events"), end, "-", "COUNT", chunk):
        yield from (Event.read(identity, fields) for identity, fields in entries)
        end = f"({entries[-1][0].decode()}"


def follow_events(store: Store, after: str, seconds: float = 1.0) -> Iterator[list[Event]]:
    """Answer the events that come, without end: a list every `seconds` at least, which is empty when none came.

    Args:
        store: the Redis of the server.
        after: id of an event; "0" for all that are kept.
        seconds: how long one look waits.
    """
    key = store.key("events")
    while True:
        words = ("XREAD", "COUNT", 100, "BLOCK", int(seconds * 1000), "STREAMS", key, after)
        answer = store.command(*words, deadline=seconds + store.command_seconds)
        events = [Event.read(identity, fields) for _, entries in answer or () for identity, fields in entries]
        if events:
            after = events[-1].id
        yield events
