"""What is kept of a session: its record, as it was when it was read.

A record in Redis is a hash of texts, written field by field by scripts, so that two who change different things of one
session never overwrite each other. Times are milliseconds since 1970 by the clock of Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from onserver.redis.resp import Word

Kind = Literal["web", "remote", "storedProcedure", "standalone"]
KINDS: Final[tuple[Kind, ...]] = ("web", "remote", "storedProcedure", "standalone")

#: Space of the storage of the stored-procedure session; the others have each their own.
SPACE: Final = "st:"
#: With which their spaces begin.
SPACES: Final = "ss:"

#: After so many beats that have not come, a remote client is unreachable.
BEATS: Final = 3
#: A session's use is noted once a minute: more often would be a write for each request.
SEEN_MS: Final = 60_000
_QUOTA: Final = "quota:"
_QUOTA_RAW: Final = _QUOTA.encode()
_DATA: Final = "d:"
_DATA_RAW: Final = _DATA.encode()
_TOKEN_RAW: Final = b"otp:"
#: Fields whose names in Redis are not those of the record: all of them are numbers.
_NUMBERS: Final = {
    "created": "created_ms",
    "seen": "seen_ms",
    "idle": "idle_ms",
    "limit": "limit_ms",
    "until": "until_ms",
    "unreachable": "unreachable_ms",
    "change": "change",
    "now": "read_ms",
    "heard": "heard_ms",
    "beat": "beat_ms",
    "number": "number",
}
_LISTS: Final = ("privileges", "roles")
_TEXTS: Final = (
    "kind", "type", "user", "login", "machine", "system_user", "ip", "host_type", "agent", "web", "state", "persistent",
    "space",
)  # fmt: skip
_FIELDS: Final = {attribute: field for field, attribute in _NUMBERS.items()}


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a session.

    Attributes:
        id: 32 upper-case hexadecimal digits.
        kind: `web remote storedProcedure standalone`.
        type: what `info` says that it is: `web` or `rest` for one of the web, else its kind.
        user: name of its user; empty for a guest.
        login: name of the user of `onserver users` who logged in, in lower case; empty where nobody did.
        machine: name of the machine it is from.
        system_user: name of the operating-system user there.
        ip: address that it is from.
        host_type: `windows`, `mac`, `browser` or the like.
        agent: what the browser says that it is.
        web: name of the web server that opened it; empty for the host's.
        created_ms: when it was opened.
        seen_ms: when it was used last, to the minute.
        idle_ms: how long it lasts unused; 0 without end.
        limit_ms: when it ends, however much it is used; 0 never.
        until_ms: when it ends if it is not used again; 0 never.
        privileges: as they were given to it.
        roles: as they were given to it.
        is_set: whether privileges were ever given to it, even if they have been taken back.
        state: `active`, `sleeping` or `postponed`; `closing` once it ends, while it is told to the hooks.
        unreachable_ms: since when its client has not answered; 0 where it does.
        heard_ms: when its client was heard last; 0 where it has none.
        beat_ms: how often its client says that it is there.
        number: of the remote user, as the hooks of connections are told it; 0 of any other kind.
        persistent: the id that a remote client keeps.
        space: of its storage: the id that it was opened with.
        earlier: ids that it had before, the last one first.
        quotas: limits that were set for its REST requests.
        tokens: how many one-time tokens lead to it that nobody has followed yet.
        data: what a web framework keeps in it, each value in that framework's own form; not in lists of sessions.
        change: number of the newest change of its storage; 0 where there was none.
        read_ms: when this was read.
    """

    id: str
    kind: Kind
    type: str = ""
    user: str = ""
    login: str = ""
    machine: str = ""
    system_user: str = ""
    ip: str = ""
    host_type: str = ""
    agent: str = ""
    web: str = ""
    created_ms: int = 0
    seen_ms: int = 0
    idle_ms: int = 0
    limit_ms: int = 0
    until_ms: int = 0
    privileges: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    is_set: bool = False
    state: str = "active"
    unreachable_ms: int = 0
    persistent: str = ""
    space: str = ""
    earlier: tuple[str, ...] = ()
    quotas: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])
    tokens: int = 0
    data: Mapping[str, bytes] = msgspec.field(default_factory=dict[str, bytes])
    change: int = 0
    read_ms: int = 0
    heard_ms: int = 0
    beat_ms: int = 0
    number: int = 0

    @property
    def granted(self) -> tuple[str, ...]:
        """Return the privileges and roles that were given to it."""
        return self.privileges + self.roles

    @property
    def note_after_ms(self) -> int:
        """Return after how many ms a use of it is noted again: a minute, or half of the time that it lasts unused."""
        return min(SEEN_MS, self.idle_ms // 2) if self.idle_ms else SEEN_MS

    @property
    def is_due(self) -> bool:
        """Return whether it was due, when it was read, to note that it is used."""
        return self.read_ms - self.seen_ms >= self.note_after_ms

    @property
    def storage_space(self) -> str:
        """Return the prefix of the keys of its storage."""
        return SPACE if self.kind == "storedProcedure" else f"{SPACES}{self.space or self.id}:"


_READERS: Final[Mapping[bytes, tuple[str, Callable[[bytes], Any]]]] = {
    **{field.encode(): (attribute, int) for field, attribute in _NUMBERS.items()},
    **{name.encode(): (name, bytes.decode) for name in _TEXTS},
    **{name.encode(): (name, lambda value: tuple(msgspec.json.decode(value, type=list[str]))) for name in _LISTS},
    b"set": ("is_set", lambda value: value == b"1"),
    b"earlier": ("earlier", lambda value: tuple(value.decode().split())),
}


def signed_in(before: SessionRecord, now: SessionRecord) -> bool:
    """Whether somebody has signed in between two readings: as another user, or with more than the session had."""
    was, is_now = ((one.is_set, one.user, one.login) for one in (before, now))
    return is_now != was or not set(now.granted) <= set(before.granted)


#: What `session_keep` answers, in this order: when that was, how long the session lasts, who is signed in.
_KEPT: Final = tuple(_READERS[name.encode()] for name in (
    "now", "seen", "until", "user", "login", "set", "privileges", "roles",
))  # fmt: skip
_NOBODY: Final[Mapping[str, Any]] = {"user": "", "login": "", "is_set": False, "privileges": (), "roles": ()}


def kept_in(record: SessionRecord, changed: Mapping[str, bytes | None], facts: Mapping[str, Any]) -> SessionRecord:
    """Return a record in which what a web framework keeps has changed, and facts that were told with it."""
    data = {**record.data, **changed}
    if None in changed.values():
        data = {key: value for key, value in data.items() if value is not None}
    return msgspec.structs.replace(record, data=data, **facts)


def told_with_it(said: Sequence[bytes | None]) -> dict[str, Any]:
    """Return the attributes of a record that the script `session_keep` has answered."""
    facts = dict(_NOBODY)
    for (attribute, read), value in zip(_KEPT, said, strict=True):
        if value is not None:
            facts[attribute] = read(value)
    return facts


def read_session(identity: str, fields: Sequence[bytes], read_ms: int = 0) -> SessionRecord:
    """Make a record of its fields and values; `read_ms` where they have no `now` among them, as scripts give it."""
    found: dict[str, Any] = {"id": identity, "read_ms": read_ms}
    quotas: dict[str, int] = {}
    data: dict[str, bytes] = {}
    tokens: list[int] = []
    for field, value in zip(fields[::2], fields[1::2], strict=True):
        known = _READERS.get(field)
        if known is not None:
            attribute, read = known
            found[attribute] = read(value)
        elif field.startswith(_QUOTA_RAW):
            quotas[field.removeprefix(_QUOTA_RAW).decode()] = int(value)
        elif field.startswith(_DATA_RAW):
            data[field.removeprefix(_DATA_RAW).decode()] = value
        elif field.startswith(_TOKEN_RAW):
            tokens.append(int(value))
    if found.get("beat_ms") and found.get("state") == "active":
        heard, silent_ms = found["heard_ms"], BEATS * found["beat_ms"]
        found["unreachable_ms"] = heard if found["read_ms"] - heard > silent_ms else 0
    open_tokens = sum(1 for until in tokens if until > found["read_ms"])
    return SessionRecord(**found, quotas=quotas, data=data, tokens=open_tokens)


def written(facts: Mapping[str, Any]) -> list[Word]:
    """Make of attributes of a record the fields and values that a script writes."""
    words: list[Word] = []
    for name, fact in facts.items():
        if name == "quotas":
            for quota, value in fact.items():
                words += [_QUOTA + quota, "" if value is None else str(value)]
        elif name == "data":
            for key, value in fact.items():
                words += [_DATA + key, b"" if value is None else value]
        elif name == "is_set":
            words += ["set", "1" if fact else "0"]
        elif name in _LISTS:
            words += [name, msgspec.json.encode(list(fact)).decode()]
        else:
            words += [_FIELDS.get(name, name), str(fact)]
    return words
