"""The root of a storage while it is in use: entries can be added, replaced and removed, not edited inside.

An entry that holds a dict or a list has a lock of its own, which the root's lock does not include (as in the original);
what the root hands out of it is read-only. What is put is encoded at once, so that what cannot be stored is refused on
the line that puts it, and later changes of that object do not slip in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NamedTuple

from onserver.errors import NotInUse, NotShareable, TooLarge
from onserver.session.draft import Pen
from onserver.session.entry import Entry
from onserver.values import decode, encode, freeze

_LONGEST_NAME = 255


class Write(NamedTuple):
    """One entry that a block changes."""

    key: str
    #: Encoded, or None to remove the entry.
    data: bytes | None
    #: The value in decimal, if it is an int that a counter can hold.
    number: str
    #: The version that the entry must still have, or None for any.
    expected: int | None


def check_name(key: object) -> str:
    """Refuse what cannot be the name of an entry: 1 to 255 characters, case matters.

    Raises:
        NotShareable: ONS-3106.
    """
    if not isinstance(key, str):
        raise NotShareable(repr(key), type(key).__name__, "is no name of an entry", "Use text.")
    if not 0 < len(key) <= _LONGEST_NAME:
        raise NotShareable(repr(key[:20]), "str", "is no name of an entry", "Use 1 to 255 characters.")
    return key


def encode_entry(key: str, value: object, limit: int) -> bytes:
    """Encode the value of an entry.

    Raises:
        NotShareable: ONS-3106, something in it cannot be stored.
        TooLarge: ONS-3107, it takes more than `limit` bytes.
    """
    data = encode(value, key, NotShareable)
    if len(data) > limit:
        raise TooLarge(key, len(data), limit)
    return data


class Root(MutableMapping[str, Any]):
    """The top level of a storage, from `with storage.use() as root`."""

    __slots__ = ("_expected", "_limit", "_names", "_pen", "_read", "_writes")

    def __init__(self, names: frozenset[str], read: Callable[[str], Entry], pen: Pen, limit: int) -> None:
        self._names = names
        self._read = read
        self._pen = pen
        self._limit = limit
        self._writes: dict[str, Write] = {}
        self._expected: dict[str, int] = {}

    def __getitem__(self, key: str) -> Any:
        write = self._writes.get(key)
        if write is not None:
            if write.data is None:
                raise KeyError(key)
            return freeze(decode(write.data), key)
        entry = self._read(key)
        self._expected.setdefault(key, entry.version)
        if entry.version == 0:
            raise KeyError(key)
        return entry.value

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        write = self._writes.get(key)
        if write is not None:
            return write.data is not None
        entry = self._read(key)
        if entry.version == 0:  # that there is none is what a block builds on; what is in it, is not looked at here
            self._expected.setdefault(key, 0)
        return entry.version > 0

    def __setitem__(self, key: str, value: object) -> None:
        self._writable()
        data = encode_entry(check_name(key), value, self._limit)
        number = str(value) if type(value) is int and -(2**63) <= value < 2**63 else ""
        self._writes[key] = Write(key, data, number, None)

    def __delitem__(self, key: str) -> None:
        self._writable()
        if key not in self:
            raise KeyError(key)
        self._writes[key] = Write(key, None, "", None)

    def __iter__(self) -> Iterator[str]:
        gone = {key for key, write in self._writes.items() if write.data is None}
        return iter(sorted((self._names | self._writes.keys()) - gone))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<root of a storage, {len(self)} entries>"

    def expect(self, key: str, version: int) -> None:
        """Write this entry only if it still has this version (0: is not there); else `VersionConflict`, ONS-3108."""
        self._expected[key] = version

    def note(self, key: str, version: int) -> None:
        """An inner block of the same owner has committed this entry."""
        if key in self._expected:
            self._expected[key] = version

    def writes(self) -> list[Write]:
        """What the block has changed."""
        return [write._replace(expected=self._expected.get(key)) for key, write in self._writes.items()]

    def snapshot(self) -> dict[str, Write]:
        """What `restore` takes."""
        return dict(self._writes)

    def restore(self, snapshot: dict[str, Write]) -> None:
        """Forget what an inner block of the same root has changed."""
        self._writes = snapshot

    def _writable(self) -> None:
        if self._pen.down:
            raise NotInUse
