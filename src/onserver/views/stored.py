"""The storage of a server and those of its sessions, as they are shown: entries, their values, and all as a file."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import msgspec

from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.record import SPACE, SessionRecord
from onserver.values import Reference, decode, encode
from onserver.views.owners import NOBODY, Owner, owners

#: The word for the storage that no session has for itself: that of all procedures.
SERVERS: Final = "server"
#: So many names are sorted and searched at most.
MOST_NAMES: Final = 10_000
#: A value of more bytes is not looked into, to tell what it is.
_LOOKED_INTO: Final = 65_536
#: So many entries are read at a time for a file.
_SOME: Final = 50
#: What a file of an export says that it is, and in which form.
KIND, FORM = "onserver-storage", 1


class Place(NamedTuple):
    """A storage: whose, and where.

    Attributes:
        word: `server`, or the id of a session.
        space: prefix of its keys in Redis.
        session: whose it is; None for the server's.
    """

    word: str
    space: str
    session: SessionRecord | None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One entry, without its value.

    Attributes:
        key: its name.
        kind: `value` or `counter`.
        type: of a value: `object`, `list`, `text`, `number`, `boolean`, `null`, or its name in Python; `unreadable`;
            empty where it is too large to be looked into for that.
        bytes: that it takes.
        version: how often it was written.
        writer: who wrote it last.
        at_ms: when that was, milliseconds since 1970.
        holder: who has its lock.
        since_ms: since when; 0 where nobody has it.
        waiting: how many wait for the lock.
    """

    key: str
    kind: str
    type: str
    bytes: int
    version: int
    writer: Owner
    at_ms: int
    holder: Owner
    since_ms: int
    waiting: int

    def as_dict(self) -> dict[str, Any]:
        """Answer it ready for JSON."""
        return asdict(self)


def place(server: Server, word: str) -> Place | None:
    """Answer the storage that a word means; None where there is no such session.

    Args:
        server: whose storage it is.
        word: `server`, or the whole id of a session.
    """
    if word == SERVERS:
        return Place(SERVERS, SPACE, None)
    record = server.sessions.records.read(word)
    if record is None:
        return None
    return Place(word, record.storage_space, record)


def names(store: Store, space: str, part: str = "") -> tuple[list[str], bool]:
    """Return the names of entries, sorted, and whether there are more than were looked at.

    Args:
        store: the Redis of the server.
        space: prefix of the storage's keys.
        part: only names in which this stands.
    """
    found: set[str] = set()
    cursor: Any = 0
    wild = f"*{_quoted(part)}*" if part else "*"
    while True:
        cursor, some = store.command("SSCAN", store.key(f"{space}index"), cursor, "MATCH", wild, "COUNT", 1000)
        found.update(name.decode() for name in some)
        if int(cursor) == 0 or len(found) >= MOST_NAMES:
            return sorted(found), int(cursor) != 0


def counts(store: Store, spaces: Sequence[str]) -> list[int]:
    """Return how many entries each of these storages has."""
    return store.pipeline([("SCARD", store.key(f"{space}index")) for space in spaces]) if spaces else []


def entries(store: Store, space: str, keys: Sequence[str]) -> list[Stored]:
    """Read what is known of entries; one that is gone meanwhile is left out."""
    commands: list[Sequence[Word]] = []
    for key in keys:
        name = store.key(f"{space}e:{key}")
        commands += [
            ("HMGET", name, "k", "n", "by", "at"),
            ("HSTRLEN", name, "v"),
            ("HMGET", store.key(f"{space}l:{key}"), "o", "at"),
            ("ZCARD", store.key(f"{space}w:{key}")),
        ]
    answers = store.pipeline(commands) if commands else []
    read = [(key, *answers[4 * at : 4 * at + 4]) for at, key in enumerate(keys)]
    read = [one for one in read if one[1][1] is not None]
    types = _types(
        store, space, [key for key, facts, length, *_ in read if length <= _LOOKED_INTO and facts[0] != b"c"]
    )
    known = owners(store, [_text(who) for _, facts, _, lock, _ in read for who in (facts[2], lock[0])])
    return [
        Stored(
            key=key, kind="counter" if kind == b"c" else "value", type="" if kind == b"c" else types.get(key, ""),
            bytes=length, version=int(version), writer=known.get(_text(by), NOBODY), at_ms=int(at or 0),
            holder=known.get(_text(owner), NOBODY), since_ms=int(since or 0), waiting=waiting,
        )
        for key, (kind, version, by, at), length, (owner, since), waiting in read
    ]  # fmt: skip


def value_of(store: Store, space: str, key: str) -> tuple[Any, int] | None:
    """Return the value of an entry, plain dicts and lists, and its version; None where there is none.

    Args:
        store: the Redis of the server.
        space: prefix of the storage's keys.
        key: the entry.

    Raises:
        ValueError: it cannot be read: a newer version has written it, or something else did.
    """
    data, version, kind = store.command("HMGET", store.key(f"{space}e:{key}"), "v", "n", "k")
    return None if data is None else (_decoded(data, kind), int(version))


def type_of(value: Any) -> str:
    """Name what a value is, as JSON names it; what JSON has not, as Python names it."""
    return next((name for kind, name in _TYPES if isinstance(value, kind)), type(value).__name__)


def as_json(value: Any) -> str | None:
    """Write a value as JSON that says the same; None where JSON has no word for something in it."""
    try:
        text = msgspec.json.encode(value)
        same = _same(msgspec.json.decode(text), value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None
    return msgspec.json.format(text, indent=2).decode() if same else None


# -- as a file


def exported(store: Store, found: Place, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield entries as a file has them, some at a time.

    Args:
        store: the Redis of the server.
        found: the storage.
        keys: which.

    Raises:
        ValueError: a value cannot be read.
    """
    for start in range(0, len(keys), _SOME):
        some = keys[start : start + _SOME]
        read = store.pipeline([("HMGET", store.key(f"{found.space}e:{key}"), "v", "n", "k") for key in some])
        for key, (data, version, kind) in zip(some, read, strict=True):
            if data is not None:
                value = _decoded(data, kind)
                yield {"key": key, "kind": "counter" if kind == b"c" else "value", "version": int(version),
                       **_packed(value)}  # fmt: skip


def file_of(server: Server, found: Place, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the whole file: what it is, of which storage, and its entries."""
    return {"file": KIND, "v": FORM, "server": server.name, "session": found.session.id if found.session else None,
            "entries": list(rows)}  # fmt: skip


def unpacked(row: Mapping[str, Any]) -> Any:
    """Return the value of an entry of a file.

    Raises:
        ValueError: it cannot be read.
    """
    if "packed" not in row:
        return row["value"]
    try:
        return decode(base64.b64decode(str(row["packed"]), validate=True))
    except (ValueError, msgspec.DecodeError) as error:
        raise ValueError(f"`packed` of {row.get('key')!r} cannot be read: {error}") from error


def _packed(value: Any) -> dict[str, Any]:
    """Return a value as a file has it: as it is, or packed where JSON would change it."""
    if as_json(value) is not None:
        return {"value": value}
    return {"packed": base64.b64encode(encode(value)).decode()}


# -- small things

_TYPES: Final[Sequence[tuple[type | tuple[type, ...], str]]] = (
    (bool, "boolean"), ((int, float), "number"), (str, "text"), (dict, "object"), (list, "list"), (type(None), "null"),
    (bytes, "bytes"), (Decimal, "Decimal"), (datetime, "datetime"), (date, "date"), (time, "time"),
    (timedelta, "timedelta"), (UUID, "UUID"), (Reference, "reference"),
)  # fmt: skip


def _types(store: Store, space: str, keys: Sequence[str]) -> dict[str, str]:
    if not keys:
        return {}
    found = store.pipeline([("HGET", store.key(f"{space}e:{key}"), "v") for key in keys])
    return {key: _type(data) for key, data in zip(keys, found, strict=True) if data is not None}


def _type(data: bytes) -> str:
    try:
        return type_of(_decoded(data, b"v"))
    except ValueError:
        return "unreadable"


def _decoded(data: bytes, kind: bytes | None) -> Any:
    """Return a value.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return int(data) if kind == b"c" else decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def _same(read: Any, value: Any) -> bool:
    """Tell whether two values are the same, in type as well."""
    if type(read) is not type(value):
        return False
    if isinstance(value, dict):
        mine, other = cast("dict[str, Any]", value), cast("dict[str, Any]", read)
        return mine.keys() == other.keys() and all(_same(other[key], item) for key, item in mine.items())
    if isinstance(value, list):
        items, others = cast("list[object]", value), cast("list[object]", read)
        return len(items) == len(others) and all(map(_same, others, items))
    return bool(read == value)


def _quoted(part: str) -> str:
    return "".join(f"\\{one}" if one in "*?[]\\^" else one for one in part)


def _text(value: bytes | None) -> str:
    return value.decode(errors="replace") if value else ""
