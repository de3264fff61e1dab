"""Whether anything has changed since the last backup (`backup.only_if_changed`, specification 7.3).

What counts is what a backup of the keys has: a change of the storage, a process that was put by anybody but the
server's own life (its hooks, its backups), one that ended since. Files and databases do not count, as in the original.
"""

from __future__ import annotations

from typing import Final

from onserver.redis.store import Store
from onserver.values import decode, encode

#: So many processes are looked at; where more have come or ended, something has changed.
_MOST: Final = 1000
_ENDS: Final = ("ended", "failed", "dead")


def mark(store: Store) -> bytes:
    """How things stand now, for a later look."""
    change, process = store.pipeline(
        [("HGET", store.key("server"), "change"), ("HGET", store.key("numbers"), "process")]
    )
    return encode([int(change or 0), int(process or 0), store.now_ms()])


def since(store: Store, kept: bytes | None) -> bool:
    """Whether anything has changed since a mark; without one, everything has."""
    if not kept:
        return True
    change, process, at_ms = decode(kept)
    now_change, now_process, _ = decode(mark(store))
    if now_change != change or now_process - process > _MOST:
        return True
    numbers = {str(number) for number in range(process + 1, now_process + 1)}
    for key in _ENDS:
        ended = store.command("ZRANGEBYSCORE", store.key(key), at_ms, "+inf", "LIMIT", 0, _MOST)
        numbers.update(number.decode() for number in ended)
    return any(_is_users(facts) for facts in _facts(store, sorted(numbers)))


def _facts(store: Store, numbers: list[str]) -> list[list[bytes | None]]:
    return store.pipeline([("HMGET", store.key(f"p:{number}"), "t", "x") for number in numbers]) if numbers else []


def _is_users(facts: list[bytes | None]) -> bool:
    """Whether it is no part of the server's own life; one whose record has gone may have been anybody's."""
    procedure, root = facts
    return procedure is None or root is None
