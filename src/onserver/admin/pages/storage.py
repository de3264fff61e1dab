"""Storage: which there are, what is in each, one entry with its value, and what to do where two change it at once."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final, cast

import msgspec

from onserver.admin.page import MOST_ROWS, BadQuery, Look, NotThere, Page, View
from onserver.session.record import SPACE, SessionRecord
from onserver.views.locks import Lock, lock_of
from onserver.views.masked import DOTS, Mask, mask_of
from onserver.views.sessions import cursor_of, listed
from onserver.views.stored import (
    SERVERS,
    Place,
    Stored,
    as_json,
    counts,
    entries,
    exported,
    file_of,
    names,
    place,
    type_of,
    value_of,
)

_ROWS: Final = 50
#: Nodes of a tree, and characters of a text, that are shown of one value.
MOST_NODES: Final = 500
MOST_CHARACTERS: Final = 100_000
#: A longer value is not put into a form to be edited.
_MOST_EDITED: Final = 200_000
#: Bytes of a storage that go into a file here; more is for the command.
MOST_BYTES: Final = 2**25
#: Of so many leaves an address remembers what they were.
_MOST_REMEMBERED: Final = 200
_DEEPEST: Final = 8
_PIECE: Final = 3
#: Sessions are looked through for those that have stored something, so many times a page's rows.
_LOOKS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Node:
    """One line of a value as a tree.

    Attributes:
        path: from the entry, which tells it from all others of the value: `["EUR"]`.
        depth: in how many others it is.
        name: its key, or its place in a list.
        type: what it is.
        text: its value; how many there are in a dict or list.
        leaf: whether there is nothing in it.
        hidden: whether its value is not shown.
        mark: `new` or `changed` since the address has remembered it, or empty.
    """

    path: str
    depth: int
    name: str
    type: str
    text: str
    leaf: bool
    hidden: bool
    mark: str = ""


def storages(look: Look) -> View:
    """Show the server's storage, and those of sessions that have something in theirs."""
    server = look.server
    words, limit, cursor = look.text("q"), look.number("limit", _ROWS, 1, MOST_ROWS), look.text("cursor")
    found, more = names(server.store, SPACE, words)
    rows = entries(server.store, SPACE, found[:limit])
    try:
        others, further = _of_sessions(look, limit, cursor)
    except ValueError as error:
        raise BadQuery("cursor", cursor, "is none of this list") from error
    (total,) = counts(server.store, [SPACE])
    known = {"rows": rows, "total": total, "found": len(found), "more": more, "words": words, "others": others,
             "cursor": further, "place": Place(SERVERS, SPACE, None)}  # fmt: skip
    data = {
        "server": {"entries": total, "rows": [row.as_dict() for row in rows]},
        "sessions": [{"id": record.id, "kind": record.kind, "user": record.user, "entries": n} for record, n in others],
        "cursor": further,
    }
    return View("storage.html", known, data=data)


def storage_of(look: Look) -> View:
    """Show the entries of one storage."""
    here, store = _place(look), look.server.store
    words, limit, after = look.text("q"), look.number("limit", _ROWS, 1, MOST_ROWS), look.query.get("cursor", "")
    found, more = names(store, here.space, words)
    behind = [name for name in found if name > after] if after else found
    shown = behind[:limit]
    rows = entries(store, here.space, shown)
    (total,) = counts(store, [here.space])
    cursor = shown[-1] if len(behind) > limit else ""
    known = {"place": here, "rows": rows, "total": total, "found": len(found), "more": more, "words": words,
             "cursor": cursor, "root": lock_of(store, here.space, ""), "of": _of(here)}  # fmt: skip
    data = {"session": here.session.id if here.session else None, "entries": total, "cursor": cursor,
            "rows": [row.as_dict() for row in rows]}  # fmt: skip
    return View("storage_of.html", known, data=data)


def entry(look: Look) -> View:
    """Show one entry: what is known of it, and its value for whoever may see values."""
    here, key = _place(look), look.query.get("key", "")
    as_tree = look.word("as", ("tree", "text"), "tree") == "tree"
    since, was = look.number("since"), _remembered(look)
    row = next(iter(entries(look.server.store, here.space, [key])), None) if key else None
    lock = lock_of(look.server.store, here.space, key) if key else None
    if row is None and lock is None:
        raise NotThere(look._("There is no entry {key} in this storage.", key=key or "–"))
    seen = _seen(look, here, key, row, was)
    known = {
        "place": here, "key": key, "row": row, "lock": lock, "as_tree": as_tree, "since": since,
        "again": _again(seen, row), "of": _of(here), **seen,
    }  # fmt: skip
    return View("storage_entry.html", known, data=_data(here, row, lock, seen))


def export(look: Look) -> View:
    """Give the entries of a storage as a file; those with something that is masked are left out, and named in it."""
    here, store, mask = _place(look), look.server.store, mask_of(look.server)
    keys, more = names(store, here.space)
    rows, masked, size = list[Mapping[str, Any]](), list[str](), 0
    for start in range(0, len(keys), MOST_ROWS):
        some = entries(store, here.space, keys[start : start + MOST_ROWS])
        size += sum(row.bytes for row in some)
        if more or size > MOST_BYTES:
            text = look._("This storage is too large for a file from here. The command writes it: {command}",
                          command=_command(here))  # fmt: skip
            return View("told.html", {"status": 413, "text": text, "known": True, "code": 0}, status=413)
        whole = [row.key for row in some if row.type != "unreadable"]
        masked += [row.key for row in some if row.type == "unreadable"]
        for one in exported(store, here, whole):
            value = value_of(store, here.space, one["key"]) if "packed" in one else (one["value"], 0)
            if value is None or mask.touches(value[0], one["key"]):
                masked.append(one["key"])
            else:
                rows.append(one)
    file = {**file_of(look.server, here, rows), "masked": masked}
    body = msgspec.json.format(msgspec.json.encode(file), indent=2)
    headers = {"Content-Type": "application/json",
               "Content-Disposition": f'attachment; filename="storage-{here.word[:8]}.json"'}  # fmt: skip
    return View(body=body, headers=headers)


def conflict(look: Look, given: Mapping[str, str]) -> View | None:
    """Show what somebody wanted to write beside what was written meanwhile; None where there is nothing to show.

    Args:
        look: of whoever wanted to write.
        given: the fields of `storage.set`.
    """
    here, key = place(look.server, given.get("session") or SERVERS), given.get("key", "")
    if here is None or not key:
        return None
    row = next(iter(entries(look.server.store, here.space, [key])), None)
    try:
        found = value_of(look.server.store, here.space, key) if look.actor.may("admin.data") else None
    except ValueError:
        return None
    now = _as_text(mask_of(look.server).over(found[0], key))[0] if found else ""
    known = {"place": here, "key": key, "row": row, "now": now, "mine": given.get("value", ""),
             "opened": given.get("version", ""), "version": row.version if row else 0, "of": _of(here)}  # fmt: skip
    return View("storage_conflict.html", known, status=409)


PAGES: Final = [
    Page("/storage", "storage", "Storage", "t", storages, live=("storage", "session", "lock")),
    Page("/storage/{session}", "storage_of", "Storage", "", storage_of, nav=False, under="storage",
         live=("storage", "lock")),
    Page("/storage/{session}/entry", "entry", "Entry", "", entry, nav=False, under="storage", live=("storage", "lock")),
    Page("/storage/{session}/export", "storage_export", "Export", "", export, privilege="admin.data", nav=False,
         under="storage"),
]  # fmt: skip


# -- which


def _place(look: Look) -> Place:
    """Answer the storage that the path means.

    Raises:
        NotThere: there is no such session.
    """
    found = place(look.server, look.path["session"])
    if found is None:
        raise NotThere(look._("There is no such session, or it is over."))
    return found


def _of_sessions(look: Look, limit: int, cursor: str) -> tuple[list[tuple[SessionRecord, int]], str]:
    """Return sessions that have stored something, those opened last first, and where to go on."""
    found: list[tuple[SessionRecord, int]] = []
    for _ in range(_LOOKS):
        page = listed(look.server, limit=MOST_ROWS, cursor=cursor)
        own = [record for record in page.rows if record.kind != "storedProcedure"]
        numbers = counts(look.server.store, [record.storage_space for record in own])
        for record, number in zip(own, numbers, strict=True):
            if number:
                found.append((record, number))
            if len(found) == limit:
                return found, cursor_of(record)
        cursor = page.cursor
        if not cursor:
            break
    return found, cursor


def _of(here: Place) -> dict[str, str]:
    """Return the field that names a storage in actions; empty for the server's."""
    return {"session": here.session.id if here.session else ""}


def _command(here: Place) -> str:
    return "onserver storage export FILE" + ("" if here.session is None else f" --session {here.session.id}")


# -- one value


def _seen(look: Look, here: Place, key: str, row: Stored | None, was: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """Return what is shown of a value: nothing of it to whoever may not see values."""
    nothing: dict[str, Any] = {
        "value": None, "shown": False, "nodes": (), "cut": False, "text": "", "edit": None, "hidden": False, "gone": 0,
        "differs": False, "pieces": None, "unreadable": "",
    }  # fmt: skip
    if row is None or not look.actor.may("admin.data"):
        return nothing
    try:
        found = value_of(look.server.store, here.space, key)
    except ValueError as error:
        return nothing | {"unreadable": str(error)}
    if found is None:
        return nothing
    value, mask = found[0], mask_of(look.server)
    masked, hidden = mask.over(value, key), mask.touches(value, key)
    nodes = list(_nodes(value, key, mask))
    pieces = _pieces(nodes)
    marked, gone = _marked(nodes, pieces, was) if was is not None else (nodes, 0)
    text, cut_text = _as_text(masked)
    written = None if hidden or row.bytes > _MOST_EDITED else as_json(value)
    return nothing | {
        "value": masked, "shown": True, "nodes": marked[:MOST_NODES], "cut": len(nodes) > MOST_NODES or cut_text,
        "text": text, "edit": written, "hidden": hidden, "gone": gone, "pieces": pieces,
        "differs": gone > 0 or any(node.mark for node in marked),
    }  # fmt: skip


def _as_text(value: Any) -> tuple[str, bool]:
    text = as_json(value) or msgspec.json.format(msgspec.json.encode(value, enc_hook=repr), indent=2).decode()
    return text[:MOST_CHARACTERS], len(text) > MOST_CHARACTERS


def _nodes(value: Any, key: str, mask: Mask) -> Iterator[Node]:
    """Yield the lines of a value, one more than are shown where there are more."""
    left = MOST_NODES + 1
    stack: list[tuple[str, int, str, Any, bool]] = [("", 0, key, value, mask.hides(key))]
    while stack and left:
        left -= 1
        path, depth, name, one, hidden = stack.pop()
        children = [] if hidden else _children(one)
        yield Node(
            path=path, depth=min(depth, _DEEPEST), name=name, type=type_of(one), hidden=hidden, leaf=not children,
            text=DOTS if hidden else _told(one),
        )  # fmt: skip
        for step, child in reversed(children):
            inner = isinstance(step, str) and mask.hides(step)
            stack.append((f"{path}[{msgspec.json.encode(step).decode()}]", depth + 1, str(step), child, inner))


def _children(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).items())
    return list(enumerate(cast("list[object]", value))) if isinstance(value, list) else []


def _told(value: Any) -> str:
    if isinstance(value, dict | list):
        return str(len(cast("list[object]", value)))
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=repr).decode()
    return text if len(text) <= MOST_CHARACTERS // 100 else f"{text[: MOST_CHARACTERS // 100]}…"


# -- what has changed since the page was opened


def _pieces(nodes: Sequence[Node]) -> dict[bytes, bytes] | None:
    """Return a few bytes for each leaf and for its value, by which a change is seen; None where there are too many.

    What is hidden is left out: nothing that comes of it stands in an address.
    """
    leaves = [node for node in nodes if node.leaf and not node.hidden]
    if len(leaves) > _MOST_REMEMBERED or len(nodes) > MOST_NODES:
        return None
    return {_piece(node.path): _piece(f"{node.type} {node.text}") for node in leaves}


def _piece(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_PIECE).digest()


def _remembered(look: Look) -> dict[bytes, bytes] | None:
    """Read what the address remembers of the value as it was.

    Raises:
        BadQuery: it cannot be read.
    """
    text = look.text("was", 2000)
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text.encode()) if text != "-" else b""
    except (binascii.Error, ValueError) as error:
        raise BadQuery("was", text, "cannot be read") from error
    if len(raw) % (2 * _PIECE):
        raise BadQuery("was", text, "cannot be read")
    parts = [raw[at : at + _PIECE] for at in range(0, len(raw), _PIECE)]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _again(seen: Mapping[str, Any], row: Stored | None) -> dict[str, Any] | None:
    """Return the query of an address that remembers the value as it is now."""
    pieces: dict[bytes, bytes] | None = seen["pieces"]
    if row is None or not seen["shown"]:
        return None
    if pieces is None:
        return {"since": row.version, "was": None}
    raw = b"".join(part for pair in pieces.items() for part in pair)
    return {"since": row.version, "was": base64.urlsafe_b64encode(raw).decode() or "-"}


def _marked(
    nodes: Sequence[Node], pieces: Mapping[bytes, bytes] | None, was: Mapping[bytes, bytes]
) -> tuple[Sequence[Node], int]:
    """Return the lines with what is new or has changed marked, and how many leaves are gone."""
    if pieces is None:
        return nodes, 0
    marked = [_with_mark(node, was) if node.leaf and not node.hidden else node for node in nodes]
    return marked, len(was.keys() - pieces.keys())


def _with_mark(node: Node, was: Mapping[bytes, bytes]) -> Node:
    before = was.get(_piece(node.path))
    if before == _piece(f"{node.type} {node.text}"):
        return node
    return replace(node, mark="new" if before is None else "changed")


def _data(here: Place, row: Stored | None, lock: Lock | None, seen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "session": here.session.id if here.session else None,
        **(row.as_dict() if row else {}),
        "lock": lock.as_dict() if lock else None,
        **({"value": seen["value"], "masked": seen["hidden"]} if seen["shown"] else {}),
    }
