"""`onserver storage`: read and change the server's storage, or that of a session, from the command line."""

from typing import Any, Final

import click

from onserver.cli import exits, words
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import columns, duration, readable
from onserver.errors import VersionConflict
from onserver.redis.store import Store
from onserver.session.facts import who
from onserver.session.record import SPACE
from onserver.session.storage import Storage
from onserver.values import thaw
from onserver.views.session_found import find_session

_HELP: Final = (
    "ID is an id of a session or the beginning of one, or the user's name where only one session is of that user."
)

_of_session = click.option("--session", "identity", metavar="ID", help="That of a session, not the server's.")


@click.group(epilog=_HELP)
@common_options
def storage() -> None:
    """Read and change the server's storage, or with `--session ID` that of a session.

    Exit status: 0 done, 4 there is no such session or entry; of each verb see there.
    """


@storage.command()
@click.argument("prefix", default="")
@_of_session
@common_options
@pass_invocation
def ls(invocation: Invocation, prefix: str, identity: str | None) -> int:
    """List the entries, with kind and version."""
    found = _storage(invocation, identity)
    rows = [
        {"key": key, "version": found.version(key), "value": _short(found[key])}
        for key in found
        if key.startswith(prefix)
    ]
    shown = columns(("key", "version", "value"), rows, right=("version",)) if rows else "the storage is empty"
    invocation.screen.result([{"key": row["key"], "version": row["version"]} for row in rows], shown)
    return exits.DONE


@storage.command()
@click.argument("key")
@_of_session
@common_options
@pass_invocation
def get(invocation: Invocation, key: str, identity: str | None) -> int:
    """Print the value of an entry.

    Exit status: 0 done, 4 there is no such entry.
    """
    found = _storage(invocation, identity)
    if key not in found:
        return _absent(invocation, key, identity)
    invocation.screen.result(thaw(found[key]))
    return exits.DONE


@storage.command("set")
@click.argument("key")
@click.argument("value")
@click.option("--if-version", type=click.IntRange(min=0), metavar="N", help="Only if the entry still has this version.")
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True, help="How long to wait for the lock.")
@_of_session
@common_options
@pass_invocation
def put(
    invocation: Invocation, key: str, value: str, if_version: int | None, timeout: float, identity: str | None
) -> int:
    """Set an entry to VALUE, read as JSON where it is JSON, else as text.

    Exit status: 0 done, 2 it cannot be stored, 5 the lock did not come in time, 8 the version has changed.
    """
    found = _storage(invocation, identity)
    if if_version is not None and found.version(key) != if_version:
        raise VersionConflict(key, if_version, found.version(key))
    with found.use(timeout=timeout) as root:
        if if_version is not None:
            root.expect(key, if_version)
        root[key] = words.value(value)
    invocation.screen.result({"key": key, "version": found.version(key)}, "")
    return exits.DONE


@storage.command()
@click.argument("key")
@click.argument("amount", type=int, default=1)
@_of_session
@common_options
@pass_invocation
def incr(invocation: Invocation, key: str, amount: int, identity: str | None) -> int:
    """Add AMOUNT to a counter and print its new value."""
    found = _storage(invocation, identity)
    invocation.screen.result(found.counter(key).add(amount))
    return exits.DONE


@storage.command()
@click.argument("key")
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True, help="How long to wait for the lock.")
@_of_session
@common_options
@pass_invocation
def rm(invocation: Invocation, key: str, timeout: float, identity: str | None) -> int:
    """Remove an entry.

    Exit status: 0 done, 4 there is no such entry, 5 the lock did not come in time.
    """
    found = _storage(invocation, identity)
    with found.use(timeout=timeout) as root:
        there = key in root
        if there:
            del root[key]
    if not there:
        return _absent(invocation, key, identity)
    invocation.screen.result({"key": key}, "")
    return exits.DONE


@storage.command()
@_of_session
@common_options
@pass_invocation
def locks(invocation: Invocation, identity: str | None) -> int:
    """List the locks that somebody has, for how long, and how many wait."""
    store, space = invocation.server().store, _space(invocation, identity)
    rows = [_lock(store, space, key) for key in _lock_keys(store, space)]
    shown = columns(("key", "holder", "held", "waiting"), rows, right=("waiting",)) if rows else "no lock is held"
    invocation.screen.result(rows, shown)
    return exits.DONE


@storage.command()
@click.argument("key", required=False)
@_of_session
@common_options
@pass_invocation
def unlock(invocation: Invocation, key: str | None, identity: str | None) -> int:
    """Take a lock from its holder, alive or not; its changes will be refused. Without KEY: that of the root.

    Exit status: 0 done, 4 nobody had it.
    """
    owner = _storage(invocation, identity).unlock(key)
    if owner is None:
        invocation.screen.complaint(f"Nobody has the lock of {f'`{key}`' if key else 'the root'}.")
        return exits.NOT_FOUND
    invocation.screen.result({"key": key, "owner": owner}, "")
    return exits.DONE


def _storage(invocation: Invocation, identity: str | None) -> Storage:
    """Answer the storage that is meant.

    Raises:
        SessionNotFound: ONS-4108.
    """
    server = invocation.server()
    return server.storage if identity is None else server.sessions.storage_of(find_session(server, identity))


def _space(invocation: Invocation, identity: str | None) -> str:
    """Answer the prefix of the keys of the storage that is meant; raises as `_storage` does."""
    return SPACE if identity is None else find_session(invocation.server(), identity).storage_space


def _absent(invocation: Invocation, key: str, identity: str | None) -> int:
    of = "" if identity is None else f" --session {identity}"
    invocation.screen.complaint(f"There is no entry `{key}` in the storage.", f"`onserver storage ls{of}` lists all.")
    return exits.NOT_FOUND


def _short(value: Any) -> str:
    text = readable(thaw(value))
    return text if len(text) <= 60 else text[:59] + "…"


def _lock_keys(store: Store, space: str) -> list[str]:
    prefix = store.key(f"{space}l:")
    found: list[str] = []
    cursor: Any = "0"
    while True:
        cursor, keys = store.command("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", 1000)
        found += [key.decode().removeprefix(prefix) for key in keys]
        if int(cursor) == 0:
            return sorted(set(found))


def _lock(store: Store, space: str, key: str) -> dict[str, Any]:
    owner, since = store.command("HMGET", store.key(f"{space}l:{key}"), "o", "at")
    held = (store.now_ms() - int(since)) / 1000 if since else 0.0
    waiting = store.command("ZCARD", store.key(f"{space}w:{key}"))
    holder = who(store, owner.decode()) if owner else "nobody"
    return {"key": key or "(root)", "holder": holder, "held": duration(held), "waiting": waiting}
