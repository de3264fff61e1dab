"""`onserver storage`: read and change the server's storage, or that of a session, from the command line."""

import sys
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from onserver.cli import exits, words
from onserver.cli.abort import confirm
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import columns, duration, readable
from onserver.errors import SessionNotFound, VersionConflict
from onserver.errors.texts import count
from onserver.session.storage import Storage
from onserver.steer.importing import put_entries, read_file
from onserver.values import thaw
from onserver.views.locks import Lock
from onserver.views.locks import locks as locks_of
from onserver.views.session_found import find_session
from onserver.views.storage_changes import Changed, follow
from onserver.views.stored import Place, exported, file_of, names, place

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
    store = invocation.server().store
    now = store.now_ms()
    rows = [_lock(lock, now) for lock in locks_of(store, space=_place(invocation, identity).space)]
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


@storage.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), default="-")
@click.option("--prefix", default="", help="Only entries whose name begins so.")
@_of_session
@common_options
@pass_invocation
def export(invocation: Invocation, file: Path, prefix: str, identity: str | None) -> int:
    """Write the entries to FILE, or without it to the standard output, as JSON; `import` reads it.

    What JSON has no word for (Decimal, dates, bytes) stands in it packed, and comes back as it was. Secrets are in it.

    Exit status: 0 done, 4 there is no such session.
    """
    server = invocation.server()
    found = _place(invocation, identity)
    keys, more = names(server.store, found.space)
    if more:
        keys = sorted(_storage(invocation, identity))
    rows = list(exported(server.store, found, [key for key in keys if key.startswith(prefix)]))
    text = msgspec.json.format(msgspec.json.encode(file_of(server, found, rows)), indent=2)
    if str(file) == "-":
        click.echo(text.decode())
        return exits.DONE
    file.write_bytes(text + b"\n")
    invocation.screen.result({"file": str(file), "entries": len(rows)}, f"{_entries(len(rows))} in {file}")
    return exits.DONE


@storage.command("import")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--replace", is_flag=True, help="Remove the entries that are not in it.")
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True, help="How long to wait for the lock.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@_of_session
@common_options
@pass_invocation
def put_all(
    invocation: Invocation, file: Path, replace: bool, timeout: float, yes: bool, dry_run: bool, identity: str | None
) -> int:
    """Put the entries of FILE, which `export` has written, into the storage: all values in one step.

    Exit status: 0 done, 2 the file cannot be read, 4 there is no such session, 5 the lock did not come in time.
    """
    found = _storage(invocation, identity)
    try:
        entries = read_file(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise click.UsageError(f"{file} {error}") from error
    coming = [*entries.values, *entries.counters]
    going = sorted(set(found) - set(coming)) if replace else []
    if dry_run:
        shown = "\n".join([*(f"put {key}" for key in coming), *(f"remove {key}" for key in going)])
        invocation.screen.result({"written": coming, "removed": going}, shown or "nothing would be done")
        return exits.DONE
    if going and not yes:
        confirm(f"Remove {_entries(len(going))} that {file} does not have?")
    done = put_entries(found, entries, replace=replace, timeout=timeout)
    text = f"{_entries(len(done.written))} put, {len(done.removed)} removed"
    invocation.screen.result({"written": done.written, "removed": done.removed}, text)
    return exits.DONE


@storage.command()
@click.argument("keys", nargs=-1, metavar="[KEY]…")
@_of_session
@common_options
@pass_invocation
def watch(invocation: Invocation, keys: tuple[str, ...], identity: str | None) -> int:
    """Print what is changed in the storage, as it is committed, until you end it; only of these entries.

    With --json, each change is an object. What changes several times in a moment may be told once.

    Exit status: 4 there is no such session, 6 cannot reach Redis.
    """
    found = _place(invocation, identity)
    for changes in follow(invocation.server().store, found.space, keys):
        for change in changes:
            if invocation.screen.json:
                click.echo(msgspec.json.encode({"v": 1, **change._asdict()}, enc_hook=str).decode())
            else:
                click.echo(_change(change))
    return exits.DONE


def _storage(invocation: Invocation, identity: str | None) -> Storage:
    """Answer the storage that is meant.

    Raises:
        SessionNotFound: ONS-4108.
    """
    server = invocation.server()
    return server.storage if identity is None else server.sessions.storage_of(find_session(server, identity))


def _place(invocation: Invocation, identity: str | None) -> Place:
    """Answer where the storage that is meant is; raises as `_storage` does."""
    server = invocation.server()
    found = place(server, "server" if identity is None else find_session(server, identity).id)
    if found is None:  # it has ended since it was found
        raise SessionNotFound(identity or "")
    return found


def _entries(number: int) -> str:
    return count(number, "entry", "entries")


def _absent(invocation: Invocation, key: str, identity: str | None) -> int:
    of = "" if identity is None else f" --session {identity}"
    invocation.screen.complaint(f"There is no entry `{key}` in the storage.", f"`onserver storage ls{of}` lists all.")
    return exits.NOT_FOUND


def _short(value: Any) -> str:
    text = readable(thaw(value))
    return text if len(text) <= 60 else text[:59] + "…"


def _lock(lock: Lock, now: int) -> dict[str, Any]:
    held = max(0, now - lock.since_ms) / 1000 if lock.since_ms else 0.0
    gone = "" if lock.holder.alive or not lock.holder.id else " (gone)"
    return {
        "key": lock.key or "(root)",
        "holder": lock.holder.text + gone,
        "held": duration(held),
        "waiting": lock.waiting,
    }


def _change(change: Changed) -> str:
    if not change.version:
        return f"{change.key} is removed"
    return f"{change.key} version={change.version} {_short(change.value)}"
