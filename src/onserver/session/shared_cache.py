"""What has been read of the storages of sessions: one connection for all of them in a program, however many there are.

It is the cache of `cache`, for the space `ss:`, in which each session's entries have names of their own; a session sees
its part of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from onserver.interrupt import shielded
from onserver.redis.store import Store
from onserver.session.cache import Cache
from onserver.session.entry import Entry

_ENTRY, _INDEX = "e:", "index"


class SharedCache(Cache):
    """The entries of all spaces that begin alike, by their names behind that.

    Args:
        store: where.
        prefix: with which the spaces begin, as "ss:".
        beat_seconds: how old a value may be.
    """

    def __init__(self, store: Store, prefix: str, beat_seconds: float) -> None:
        super().__init__(store, prefix, beat_seconds)
        self._entry_prefix = store.key(prefix)

    def _forget(self) -> None:
        super()._forget()
        self._names_in: dict[str, frozenset[str]] = {}

    def names_in(self, space: str) -> frozenset[str]:
        """The names of all entries of one space, as "ID:"."""
        self.look()
        found = self._names_in.get(space)
        if found is None:
            with shielded(), self._io:
                reply = self._read("SMEMBERS", f"{self._entry_prefix}{space}{_INDEX}")
                found = frozenset(name.decode() for name in reply)
                if self._link is not None:
                    self._names_in[space] = found
        return found

    def wrote_in(self, space: str, versions: Mapping[str, int], change: int) -> None:
        """This program has committed `change` in one space; see `wrote`."""
        self.wrote({f"{space}{_ENTRY}{key}": version for key, version in versions.items()}, change)
        if any(version < 2 for version in versions.values()):  # new, or gone
            self._names_in.pop(space, None)

    def _name_of(self, key: str) -> str:
        return key.partition(f":{_ENTRY}")[2]

    def _invalidate(self, keys: list[bytes] | None) -> None:
        if keys is None:
            self._names_in.clear()
            super()._invalidate(keys)
            return
        for raw in keys:
            key = raw.decode().removeprefix(self._entry_prefix)
            if self._entries.pop(key, None) is None:
                self._names_in.pop(key.removesuffix(_INDEX), None)

    def _lose(self) -> None:
        super()._lose()
        self._names_in.clear()


class PartOfCache:
    """One space of a `SharedCache`: what the storage of one session reads from.

    Args:
        shared: of the program.
        space: its name behind the prefix that all have, as "ID:".
    """

    def __init__(self, shared: SharedCache, space: str) -> None:
        self._shared = shared
        self._space = space
        self._entries = f"{space}{_ENTRY}"

    def entry(self, key: str) -> Entry:
        """See `Cache.entry`."""
        return self._shared.entry(self._entries + key)

    def cached(self, key: str) -> Entry | None:
        """See `Cache.cached`."""
        return self._shared.cached(self._entries + key)

    def names(self) -> frozenset[str]:
        """See `Cache.names`."""
        return self._shared.names_in(self._space)

    def require(self, change: int) -> None:
        """See `Cache.require`."""
        self._shared.require(change)

    def wrote(self, versions: Mapping[str, int], change: int) -> None:
        """See `Cache.wrote`."""
        self._shared.wrote_in(self._space, versions, change)

    def close(self) -> None:
        """Nothing: others read from it."""
