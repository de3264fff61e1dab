"""A server with something of everything that a backup has, and its keys as they are."""

from __future__ import annotations

from typing import Any

from onserver import Process, mailbox, procedure, signal
from onserver.redis.keys import scan
from onserver.redis.saved import made_from, part_of
from onserver.redis.store import Store
from onserver.session.sessions import Sessions
from onserver.values import encode
from tests.floor import Floor

#: A key that says: its type, what is in it, and when it expires.
Content = tuple[str, Any, int]
#: What is never the same twice, and compared by itself.
_APART = frozenset({"server", "numbers"})
_ENDED = 1_000


@procedure
def plain(number: int) -> int:
    return number


@procedure(queue="other", priority=8)
def urgent(number: int) -> int:
    return number


@procedure(queue="tills")
def at_the_till(number: int) -> int:
    return number


@procedure(rerun=False)
def once_only(number: int) -> int:
    return number


def fill(floor: Floor, count: int) -> dict[str, int]:
    """`count` processes and some more, of all states but running; names of some of them to numbers."""
    executor, _ = floor.executor("default", "other"), floor.executor("tills")
    done = floor.many(plain, [(number,) for number in range(count)])
    for number in done[: min(count // 2, _ENDED)]:  # the others wait
        claimed = executor.claim()
        assert claimed == number
        executor.step(0, number, "end", "done" if number % 3 else "failed", encode(number), "")
    named = {
        "urgent": floor.put(urgent, 1),
        "unique": floor.put(plain, 2, name="the nightly one", unique=True),
        "delayed": floor.put(plain, 3, delay=3600.0),
        "paused": floor.put(plain, 4),
        "expiring": floor.put(plain, 5, expires=600.0),
        "keyed": floor.put(plain, 6, key="order 7"),
    }
    store = floor.store
    store.run("pause", store.nonce(), named["paused"], "ann")
    with floor.server.storage.use() as root:
        root.update({"rates": {"EUR": 1.5, "text": "ü" * 200}, "list": [1, None, b"\x00\xff"], "a": 1, "b": 2})
        root.update({f"entry {number}": number for number in range(count // 10)})
    floor.server.storage.counter("hits").add(7)
    store.run("shut_gate", store.nonce(), "q:nights", "ann", 3_600_000)
    store.run("shut_gate", store.nonce(), "p:weekly", "ann", "")
    store.run("add_schedule", store.nonce(), "nightly", encode({}), "every day at 02:00", "c")
    with floor.server.as_current():
        Process[int].get(done[0]).variables["seen"] = 3
        signal("the door").trigger()
        for number in range(3):
            mailbox("till").call(at_the_till, number)
    open_sessions(floor.server.sessions)
    return named


def open_sessions(sessions: Sessions) -> None:
    """Sessions with something of all that goes with one."""
    guest, ann = sessions.open("web", agent="Firefox " * 20), sessions.open("web", user="Ann", login="ann")
    for session in (guest, ann):
        with session.storage.use() as root:
            root.update({"cart": {"chair": 2}, "note": "ü" * 100})
        sessions.message(session.id, "hello", by="bob")
    sessions.records.write(ann.id, privileges=("read",), is_set=True, quotas={"nbEntitySets": 5})
    sessions.rotate(ann.id)
    sessions.drop(sessions.open("remote", machine="m1").id, by="bob", reason="lost")


def snapshot(store: Store) -> dict[str, Content]:
    """What is saved, and what is derived from it; but for the session of procedures, which is of one life only."""
    own = store.command("HGET", store.key("server"), "session") or b""
    found = _snapshot(store)
    found.pop(f"s:{own.decode()}", None)
    for key in ("sessions", "sk:storedProcedure"):
        if key in found:
            kind, content, expiry = found[key]
            found[key] = (
                kind,
                [pair for pair in zip(content[::2], content[1::2], strict=True) if pair[0] != own],
                expiry,
            )
    return {key: content for key, content in found.items() if content[1] != []}


def _snapshot(store: Store) -> dict[str, Content]:
    keys = [name.removeprefix(store.prefix) for names in scan(store) for name in names]
    wanted = sorted(key for key in set(keys) if (part_of(key) or made_from(key)) and key not in _APART)
    types = store.pipeline([("TYPE", store.key(key)) for key in wanted])
    found = store.pipeline([_reading(kind.decode(), store.key(key)) for key, kind in zip(wanted, types, strict=True)])
    expires = store.pipeline([("PEXPIRETIME", store.key(key)) for key in wanted])
    return {
        key: (kind.decode(), _comparable(key, kind.decode(), content), expiry)
        for key, kind, content, expiry in zip(wanted, types, found, expires, strict=True)
        if kind != b"none"
    }


def _reading(kind: str, key: str) -> tuple[str | int, ...]:
    return {
        "string": ("GET", key),
        "hash": ("HGETALL", key),
        "list": ("LRANGE", key, 0, -1),
        "set": ("SMEMBERS", key),
        "zset": ("ZRANGE", key, 0, -1, "WITHSCORES"),
        "none": ("EXISTS", key),
    }[kind]


def _comparable(key: str, kind: str, content: Any) -> Any:
    if key.startswith(("q:", "r:", "keys:")):  # their scores may be those of what has been claimed by now
        return set(content[::2])
    if kind == "hash":
        return dict(zip(content[::2], content[1::2], strict=True))
    return set(content) if kind == "set" else content
