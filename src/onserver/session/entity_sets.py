"""The sets of entities that a session has made by REST: which entities, in which order, and until when.

They are kept in the session's storage, so every web server sees them, and they end with the session: one entry tells of
all sets, one of each has its keys. A set is made, used and let go in one block of the storage's root, so that no two
requests make the last set that the session's quota lets it have (specification 2.11). A set that is not used for its
time is over, whether its entries were taken away by then or not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from onserver.session.storage import Storage

#: The entry that tells of all sets, and how those with their keys begin.
INDEX: Final = "rest:sets"
_KEYS: Final = "rest:set:"
#: How many entities a set may have.
MOST_ENTITIES: Final = 100_000
#: A use is noted when so much of its time has gone by since the last.
_NOTED: Final = 0.05


class TooManySets(Exception):
    """The session has as many sets as it may have."""


@dataclass(frozen=True, kw_only=True)
class EntitySet:
    """One set.

    Attributes:
        id: 32 upper-case hexadecimal digits.
        dataclass: name of the class of its entities.
        size: how many entities it has.
        ordered: whether it was sorted.
        timeout: seconds that it lives unused.
        used_ms: when it was used last.
    """

    id: str
    dataclass: str
    size: int
    ordered: bool
    timeout: int
    used_ms: int

    @property
    def until_ms(self) -> int:
        """When it ends if it is not used again."""
        return self.used_ms + self.timeout * 1000


class EntitySets:
    """The sets of one session.

    Args:
        storage: of the session.
        now_ms: answers the present by the clock of Redis.
        wait: seconds to wait while others change the storage.
    """

    def __init__(self, storage: Storage, now_ms: Callable[[], int], wait: float | None = None) -> None:
        self._storage = storage
        self._now_ms = now_ms
        self._wait = wait

    def listed(self) -> list[EntitySet]:
        """Answer the sets that there are, the oldest first."""
        return list(self._alive(self._storage.get(INDEX)).values())

    def make(self, dataclass: str, keys: Sequence[str], *, ordered: bool, timeout: int, most: int | None) -> EntitySet:
        """Make a set.

        Args:
            dataclass: name of the class of its entities.
            keys: of its entities, in their order.
            ordered: whether they were sorted.
            timeout: seconds that it lives unused.
            most: how many sets there may be, this one included; None without a limit.

        Raises:
            TooManySets: there are as many already.
            LockTimeout: ONS-3101, others change the storage all the time.
        """
        with self._storage.use(timeout=self._wait) as root:
            alive = self._cleared(root)
            if most is not None and len(alive) >= most:
                raise TooManySets
            made = EntitySet(
                id=secrets.token_hex(16).upper(), dataclass=dataclass, size=len(keys), ordered=ordered, timeout=timeout,
                used_ms=self._now_ms(),
            )  # fmt: skip
            root[_KEYS + made.id] = list(keys)
            root[INDEX] = _written({**alive, made.id: made})
        return made

    def keys(self, dataclass: str, identity: str) -> Sequence[str] | None:
        """Answer the keys of a set, which is used by that; None where there is no such set of this class."""
        found = self._alive(self._storage.get(INDEX)).get(identity)
        if found is None or found.dataclass != dataclass:
            return None
        keys: Sequence[str] | None = self._storage.get(_KEYS + identity)
        if keys is not None and self._now_ms() - found.used_ms > found.timeout * 1000 * _NOTED:
            self._note(identity)
        return keys

    def release(self, dataclass: str, identity: str) -> bool:
        """Let a set go; False where there is no such set of this class."""
        with self._storage.use(timeout=self._wait) as root:
            alive = self._cleared(root)
            found = alive.get(identity)
            if found is None or found.dataclass != dataclass:
                return False
            del alive[identity], root[_KEYS + identity]
            root[INDEX] = _written(alive)
        return True

    def _note(self, identity: str) -> None:
        with self._storage.use(timeout=self._wait) as root:
            alive = self._cleared(root)
            if identity in alive:
                alive[identity] = replace(alive[identity], used_ms=self._now_ms())
                root[INDEX] = _written(alive)

    def _cleared(self, root: Any) -> dict[str, EntitySet]:
        """Take away the keys of sets that are over; answer the others."""
        index: Mapping[str, Any] = root.get(INDEX, {})
        alive = self._alive(index)
        for identity in index:
            if identity not in alive and _KEYS + identity in root:
                del root[_KEYS + identity]
        return alive

    def _alive(self, index: Mapping[str, Any] | None) -> dict[str, EntitySet]:
        now = self._now_ms()
        sets = {identity: _read(identity, facts) for identity, facts in (index or {}).items()}
        return {identity: one for identity, one in sets.items() if one.until_ms > now}


def _read(identity: str, facts: Mapping[str, Any]) -> EntitySet:
    return EntitySet(id=identity, **facts)


def _facts(one: EntitySet) -> dict[str, Any]:
    facts = asdict(one)
    del facts["id"]
    return facts


def _written(sets: Mapping[str, EntitySet]) -> dict[str, Any]:
    return {identity: _facts(one) for identity, one in sets.items()}
