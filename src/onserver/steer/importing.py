"""Entries of a file put into a storage: what `onserver storage export`, and the admin page, have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from onserver.session.root import check_name
from onserver.session.storage import Storage
from onserver.views.stored import FORM, KIND, unpacked


class Imported(NamedTuple):
    """What came of an import.

    Attributes:
        written: names of entries that were set.
        removed: names of those that were not in the file.
    """

    written: Sequence[str]
    removed: Sequence[str]


class _Row(msgspec.Struct, frozen=True):
    key: str
    kind: Literal["value", "counter"] = "value"
    value: Any = msgspec.UNSET
    packed: str = ""


class _File(msgspec.Struct, frozen=True):
    file: str
    v: int
    entries: list[_Row]


class Entries(NamedTuple):
    """What a file has to put.

    Attributes:
        values: by their names.
        counters: likewise.
    """

    values: Mapping[str, Any]
    counters: Mapping[str, int]


_COUNTED: Final = 2**63


def read_file(text: str | bytes) -> Entries:
    """Read a file of entries.

    Args:
        text: as it was exported: JSON.

    Raises:
        ValueError: it is none, or something in it cannot be an entry.
    """
    try:
        found = msgspec.json.decode(text, type=_File)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"is no export of a storage: {error}") from error
    if found.file != KIND:
        raise ValueError(f"is no export of a storage: it says that it is `{found.file[:40]}`")
    if found.v > FORM:
        raise ValueError(f"is of form {found.v}, which a newer version has written; this one reads {FORM}")
    values: dict[str, Any] = {}
    counters: dict[str, int] = {}
    for row in found.entries:
        if row.key in values or row.key in counters:
            raise ValueError(f"has the entry {row.key!r} twice")
        value = _value(row)
        if row.kind == "value":
            values[row.key] = value
        elif type(value) is int and -_COUNTED <= value < _COUNTED:
            counters[row.key] = value
        else:
            raise ValueError(f"has a counter {row.key!r} that is no whole number")
    return Entries(values, counters)


def put_entries(storage: Storage, entries: Entries, *, replace: bool = False, timeout: float | None) -> Imported:
    """Put entries into a storage: all values in one step, then counters that were not there.

    Args:
        storage: into which.
        entries: what is put; an entry of that name is written over.
        replace: remove what is not among them.
        timeout: seconds to wait for the lock.

    Raises:
        LockTimeout: ONS-3101.
        NotShareable: ONS-3106, something cannot be stored.
        TooLarge: ONS-3107, an entry is larger than `storage.max_entry_bytes`.
        SessionExpired: ONS-4102, the storage is that of a session that is over.
    """
    new: dict[str, int] = {}
    for name in (*entries.values, *entries.counters):
        check_name(name)
    with storage.use(timeout=timeout) as root:
        removed = sorted(set(root) - entries.values.keys() - entries.counters.keys()) if replace else []
        for name in removed:
            del root[name]
        for name, value in entries.values.items():
            root[name] = value
        for name, number in entries.counters.items():
            kind = storage.cache.entry(name).kind
            if kind == "c":
                root[name] = number
                continue
            new[name] = number
            if kind:
                del root[name]
    for name, number in new.items():
        storage.counter(name).add(number)
    return Imported([*entries.values, *entries.counters], removed)


def _value(row: _Row) -> Any:
    if row.value is msgspec.UNSET and not row.packed:
        raise ValueError(f"has no value for {row.key!r}")
    return unpacked({"key": row.key, "packed": row.packed} if row.packed else {"key": row.key, "value": row.value})
