"""The libraries of functions that we keep in Redis; see `scripts`.

They are part of what Redis saves, so those of releases that are gone would stay for ever. Whoever opens an epoch
removes all but its own. If another release still runs beside it, that one's next call loads its library again.
"""

from __future__ import annotations

from onserver.redis.answers import Denied, ScriptRefused
from onserver.redis.scripts import LIBRARY, functions, script
from onserver.redis.store import Store


def ours(store: Store) -> frozenset[bytes]:
    """The names of the libraries of this release."""
    return frozenset(script(name, testing=store.testing).sha for name in functions())


def drop_old(store: Store) -> list[bytes]:
    """Remove the libraries of other releases, and return their names."""
    try:
        listed = store.command("FUNCTION", "LIST", "LIBRARYNAME", f"{LIBRARY}*")
    except (Denied, ScriptRefused):
        return []  # who may not list functions has not loaded any either
    there = [bytes(library[library.index(b"library_name") + 1]) for library in listed]
    old = sorted(set(there) - ours(store))
    for name in old:
        try:
            store.command("FUNCTION", "DELETE", name)
        except ScriptRefused:
            continue  # another worker that starts was quicker
    return old
