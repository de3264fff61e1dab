"""What changes in a storage, as it is committed: told by Redis, and looked up where the connection was lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from onserver.redis.answers import LinkError, Silent
from onserver.redis.link import Link
from onserver.redis.store import Store
from onserver.views.stored import names, value_of


class Changed(NamedTuple):
    """One entry that was written or removed.

    Attributes:
        key: its name.
        version: that it has now; 0 where it is gone.
        value: that it has now.
    """

    key: str
    version: int
    value: Any


def follow(store: Store, space: str, keys: Sequence[str], seconds: float = 1.0) -> Iterator[list[Changed]]:
    """Yield what changes, without end: a list every `seconds` at least, which is empty when nothing did.

    What changed several times within a moment may be told once, with its newest value.

    Args:
        store: the Redis of the server.
        space: prefix of the storage's keys.
        keys: only these entries; all where there are none.
        seconds: how long one look waits.
    """
    known = _versions(store, space, keys)
    link = store.link()
    try:
        while True:
            told: list[str] = []
            try:
                if not link.connected:
                    _listen(store, link, space)
                    yield _since(store, space, keys, known)  # what changed while nobody listened
                told = _told(link, seconds)
            except LinkError:
                link.close()
                store.command("PING")  # waits until Redis is reached again, or says that it is not
            wanted = [key for key in dict.fromkeys(told) if not keys or key in keys]
            yield _now(store, space, wanted, known)
    finally:
        link.close()


def _listen(store: Store, link: Link, space: str) -> None:
    link.connect()
    link.send("SUBSCRIBE", store.key(f"{space}changes"))
    link.receive(store.command_seconds)


def _told(link: Link, seconds: float) -> list[str]:
    """Return the names of entries that Redis tells of, each message `CHANGE VERSION KEY`."""
    found: list[str] = []
    with suppress(Silent):
        found.append(link.receive(seconds)[2].decode().split(" ", 2)[2])
        while True:
            found.append(link.receive(0)[2].decode().split(" ", 2)[2])
    return found


def _since(store: Store, space: str, keys: Sequence[str], known: dict[str, int]) -> list[Changed]:
    now = _versions(store, space, keys)
    differing = [key for key in {**known, **now} if known.get(key, 0) != now.get(key, 0)]
    return _now(store, space, differing, known)


def _now(store: Store, space: str, keys: Sequence[str], known: dict[str, int]) -> list[Changed]:
    found: list[Changed] = []
    for key in keys:
        value, version = value_of(store, space, key) or (None, 0)
        if known.get(key, 0) != version:
            known[key] = version
            found.append(Changed(key, version, value))
    return found


def _versions(store: Store, space: str, keys: Sequence[str]) -> dict[str, int]:
    wanted = list(keys) or names(store, space)[0]
    found = store.pipeline([("HGET", store.key(f"{space}e:{key}"), "n") for key in wanted]) if wanted else []
    return {key: int(version) for key, version in zip(wanted, found, strict=True) if version}
