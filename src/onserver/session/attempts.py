"""How often passwords were tried: by name and by address, for every door that looks at one.

A person who types has an attempt counted before its password is looked at, so that a hundred at the same time are a
hundred (`begin`). Programs log in many at a time with one name, and with each request where they use the scheme Basic:
of those the wrong ones are counted, once they were (`wait`, `wrong`). What was right is not held against an address:
an office whose programs log in all day shuts nobody out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from onserver.redis.store import Store
from onserver.session.users import key_of_name

#: Wrong passwords within `SECONDS`: for one name, and from one address.
MOST_OF_NAME: Final = 10
MOST_OF_ADDRESS: Final = 30
SECONDS: Final = 300


class Attempts:
    """The attempts at the doors of one server. Of an address that nobody knows (empty) none are counted.

    Args:
        store: of the server.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, name: str, address: str) -> int:
        """Count an attempt with a password, before it is looked at.

        Args:
            name: as it was given; how it is spelled makes no difference.
            address: where it comes from.

        Returns:
            Seconds to wait, where there were too many; 0 where it may be looked at.
        """
        wait = 0
        for key, most in self._keys(name, address):
            # in this order no count is left without an end, wherever another one ends meanwhile
            count, _, left = self._store.pipeline([("INCR", key), ("EXPIRE", key, SECONDS, "NX"), ("TTL", key)])
            if int(count) > most:
                wait = max(wait, int(left), 1)
        return wait

    def wait(self, name: str, address: str) -> int:
        """Answer for how many seconds no password of this name or from this address is looked at, 0 for none."""
        wait = 0
        for key, most in self._keys(name, address):
            # a count whose program was killed before it had an end gets one here, or nobody would ever be let in again
            _, count, left = self._store.pipeline([("EXPIRE", key, SECONDS, "NX"), ("GET", key), ("TTL", key)])
            if int(count or 0) >= most:
                wait = max(wait, int(left), 1)
        return wait

    def wrong(self, name: str, address: str) -> None:
        """Count a password that was wrong, where none was counted before."""
        self.begin(name, address)

    def right(self, name: str, address: str = "") -> None:
        """Forget the attempts with a name, whose password was right, and the last one from an address.

        Args:
            name: as it was given.
            address: where an attempt was counted before the password was looked at; else empty.
        """
        (of_name, _), *others = self._keys(name, address)
        self._store.command("DEL", of_name)
        for key, _ in others:
            left, _ = self._store.pipeline([("DECR", key), ("EXPIRE", key, SECONDS, "NX")])
            if int(left) < 0:  # its count had ended meanwhile
                self._store.command("DEL", key)

    def _keys(self, name: str, address: str) -> Iterator[tuple[str, int]]:
        yield self._key(f"n:{key_of_name(name)}"), MOST_OF_NAME
        if address:
            yield self._key(f"a:{address}"), MOST_OF_ADDRESS

    def _key(self, word: str) -> str:
        return self._store.key(f"tries:{hashlib.sha256(word.encode('utf-8', 'surrogateescape')).hexdigest()}")
