"""What can be done to a storage: the server's, or that of a session."""

from __future__ import annotations

from typing import Final

from onserver.errors import BadField, NotDone, VersionConflict
from onserver.server import Server
from onserver.session.storage import Storage
from onserver.steer.action import Action, Field, Outcome
from onserver.steer.importing import put_entries, read_file
from onserver.steer.made import Given, command, line, number, value_of, yes
from onserver.views.session_found import find_session

_PRIVILEGE: Final = "admin.storage"
#: How long a lock is waited for: somebody looks at the page meanwhile.
_PATIENCE: Final = 5.0
_KEY: Final = Field(name="key", required=True, maximum=500, label="Entry")
_SESSION: Final = Field(name="session", maximum=200, label="Session, or nothing for the server's")
_ROOT: Final = "the root"


def _set(server: Server, given: Given) -> Outcome:
    found, key = _storage(server, given), given["key"]
    before = found.version(key)
    if "version" in given and number(given, "version") != before:
        raise VersionConflict(key, number(given, "version"), before)
    with found.use(timeout=_PATIENCE) as root:
        if "version" in given:
            root.expect(key, before)
        root[key] = value_of(given["value"])
    return Outcome(said="Entry {key} is set.", values={"key": key}, target=_named(given, key),
                   before=f"version {before}" if before else "", after=f"version {found.version(key)}",
                   data={"version": found.version(key)})  # fmt: skip


def _delete(server: Server, given: Given) -> Outcome:
    found, key = _storage(server, given), given["key"]
    before = found.version(key)
    with found.use(timeout=_PATIENCE) as root:
        if key not in root:
            raise NotDone("storage.delete", f"there is no entry `{key}`")
        del root[key]
    return Outcome(said="Entry {key} is removed.", values={"key": key}, target=_named(given, key),
                   before=f"version {before}", instead=_instead(given))  # fmt: skip


def _increment(server: Server, given: Given) -> Outcome:
    key = given["key"]
    value = _storage(server, given).counter(key).add(number(given, "amount"))
    return Outcome(said="Counter {key} is {value} now.", values={"key": key, "value": value},
                   target=_named(given, key), after=str(value), data={"value": value})  # fmt: skip


def _unlock(server: Server, given: Given) -> Outcome:
    found, what = _storage(server, given), _locked(given)
    owner = found.unlock(given.get("key"))
    if owner is None:
        raise NotDone("storage.unlock", f"nobody has the lock of {what}")
    return Outcome(said="The lock of {key} is taken from {owner}: what it changes is refused.",
                   values={"key": what, "owner": owner}, target=_named(given, what), before=owner,
                   instead={} if given.get("key") in found else _instead(given))  # fmt: skip


def _import(server: Server, given: Given) -> Outcome:
    try:
        entries = read_file(given["data"])
    except ValueError as error:
        raise BadField("storage.import", "data", str(error)) from error
    done = put_entries(_storage(server, given), entries, replace=yes(given, "replace"), timeout=_PATIENCE)
    return Outcome(said="{count} entries are put, {removed} are removed.",
                   values={"count": len(done.written), "removed": len(done.removed)}, target=_whose(given),
                   after=f"{len(done.written)} entries put, {len(done.removed)} removed",
                   data={"written": done.written, "removed": done.removed})  # fmt: skip


def _storage(server: Server, given: Given) -> Storage:
    if "session" not in given:
        return server.storage
    return server.sessions.storage_of(find_session(server, given["session"]))


def _locked(given: Given) -> str:
    """Name the lock: that of an entry, or of the root where no entry is named."""
    return given.get("key", _ROOT)


def _whose(given: Given) -> str:
    """Name the storage."""
    return given.get("session", "server")


def _instead(given: Given) -> dict[str, str]:
    """Name the page of the storage in place of that of an entry; which entry says its query."""
    page = f"/storage/{_whose(given)}"
    return {f"{page}/entry": page}


def _import_line(given: Given) -> str:
    session = ["--session", given["session"]] if given.get("session") else []
    return line(
        "onserver", "storage", "import", "FILE", *session, *(["--replace", "--yes"] if yes(given, "replace") else ())
    )


def _named(given: Given, key: str) -> str:
    return f"{given['session']}/{key}" if "session" in given else key


ACTS: Final = (
    Action(
        name="storage.set",
        privilege=_PRIVILEGE,
        run=_set,
        title="Set an entry",
        fields=(
            _KEY,
            Field(name="value", kind="text_area", required=True, label="Value, as JSON or as text"),
            Field(name="version", kind="whole", minimum=0, label="Only if it still has this version"),
            _SESSION,
        ),
        cli=command("onserver storage set", "key", "value", version="--if-version", session="--session"),
    ),
    Action(
        name="storage.delete",
        privilege=_PRIVILEGE,
        run=_delete,
        title="Remove an entry",
        confirm="ask",
        fields=(_KEY, _SESSION),
        cli=command("onserver storage rm", "key", session="--session"),
    ),
    Action(
        name="storage.increment",
        privilege=_PRIVILEGE,
        run=_increment,
        title="Add to a counter",
        fields=(
            _KEY,
            Field(name="amount", kind="whole", required=True, maximum=10**15 - 1, label="How much"),
            _SESSION,
        ),
        cli=command("onserver storage incr", "key", "amount", session="--session"),
    ),
    Action(
        name="storage.unlock",
        privilege=_PRIVILEGE,
        run=_unlock,
        title="Take a lock away",
        confirm="typed",
        fields=(Field(name="key", maximum=500, label="Entry, or nothing for the root"), _SESSION),
        target=_locked,
        cli=command("onserver storage unlock", "key", session="--session"),
    ),
    Action(
        name="storage.import",
        privilege=_PRIVILEGE,
        run=_import,
        title="Put entries of an export",
        confirm="ask",
        fields=(
            _SESSION,
            Field(name="data", kind="json", required=True, label="An export, as JSON"),
            Field(name="replace", kind="bool", label="Remove entries that it does not have"),
        ),
        target=_whose,
        cli=_import_line,
    ),
)
"""Each of them."""
