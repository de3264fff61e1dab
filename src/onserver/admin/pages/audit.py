"""The audit: who has done what to the server, from where, and what has come of it; refusals and logins too."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from onserver.admin.page import MOST_ROWS, BadQuery, Look, Page, View, cursor_of
from onserver.steer.actions import ACTIONS
from onserver.steer.audit import KEPT, LOGIN, LOGOUT, RESULTS, Line, lines
from onserver.steer.made import command

_ROWS: Final = 50
_CURSOR: Final = re.compile(r"\d{1,15}-\d{1,18}", re.ASCII)
_PLACES: Final = ("page", "api", "cli", "python")
_FILTERS: Final = ("user", "action", "target", "result", "where", "from", "to")
_HEADS: Final = ("at", "user", "where", "origin", "action", "target", "before", "after", "result", "why")
#: Where a table program would take a text for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
#: What a target is to each noun: the page of one of them.
_PAGES: Final[Mapping[str, str]] = {
    "process": "/processes/{}", "dead": "/processes/{}", "session": "/sessions/{}", "backup": "/backups/{}",
}  # fmt: skip
_COMMAND: Final = command("onserver audit", user="--user", action="--action", target="--target", result="--result")


def audit(asked: Look) -> View:
    """Show what was done, the last first."""
    limit, cursor = asked.number("limit", _ROWS, 1, MOST_ROWS), asked.text("cursor", 40)
    if cursor and not _CURSOR.fullmatch(cursor):
        raise BadQuery("cursor", cursor, "is no place in the audit")
    rows = list(itertools.islice(_wanted(asked, cursor), limit))
    onward = cursor_of(rows, limit, lambda line: line.id)
    known = {
        "rows": [(line, _title(line), _link(asked, line)) for line in rows],
        "cursor": onward, "filtered": any(asked.query.get(name) for name in (*_FILTERS, "cursor")),
        "choices": {"result": RESULTS, "where": _PLACES}, "kept": KEPT, "names": _names(),
        "from_at": _as_field(asked, "from"), "to_at": _as_field(asked, "to"),
        "twin": _COMMAND({name: asked.query.get(name, "") for name in _FILTERS}),
        "files": [(kind, asked.url("/audit/download", format=kind, **_filters(asked))) for kind in _WRITTEN],
    }  # fmt: skip
    data = {"lines": [line.as_dict() for line in rows], "cursor": onward or None}
    return View("audit.html", known, data=data)


def download(asked: Look) -> View:
    """Answer all lines that fit the filters as a file: as many as are kept, and no more."""
    kind = asked.word("format", _WRITTEN, "csv")
    found = list(itertools.islice(_wanted(asked), KEPT))
    write, mime = _WRITTEN[kind]
    headers = {
        "Content-Type": mime,
        "Content-Disposition": f'attachment; filename="audit-{asked.now_ms // 1000}.{kind}"',
    }
    return View(data=[line.as_dict() for line in found], headers=headers, body=write(found))


PAGES: Final = [
    Page("/audit", "audit", "Audit", "a", audit, live=("audit",)),
    Page("/audit/download", "audit_download", "Audit", "", download, nav=False, under="audit"),
]


# -- which


def _wanted(asked: Look, cursor: str = "") -> Iterator[Line]:
    since, until = asked.moment("from"), asked.moment("to")
    return lines(
        asked.server.store, before=cursor, since_ms=max(0, since or 0),
        until_ms=None if until is None else until + 999,  # to the end of that second
        user=asked.text("user"), action=asked.text("action", 100), target=asked.text("target"),
        result=asked.word("result", RESULTS), where=asked.word("where", _PLACES),
    )  # fmt: skip


def _filters(asked: Look) -> dict[str, str]:
    return {name: asked.query.get(name, "") for name in _FILTERS}


def _as_field(asked: Look, name: str) -> str:
    """Return a time of the query as a field for times has it."""
    found = asked.moment(name)
    return "" if found is None else f"{asked.zone.at(found):%Y-%m-%dT%H:%M:%S}"


def _names() -> list[str]:
    """What can be asked for: each noun, and each of its actions."""
    return sorted({LOGIN, LOGOUT, *ACTIONS, *(name.partition(".")[0] for name in ACTIONS)})


# -- what is shown of a line


def _title(line: Line) -> str:
    """What an action is called, in English; empty of one that the page has not."""
    known = ACTIONS.get(line.action)
    return known.title if known is not None else {LOGIN: "Log in", LOGOUT: "Log out"}.get(line.action, "")


def _link(asked: Look, line: Line) -> str:
    """The page of what it was done to; empty where there is none."""
    path = _PAGES.get(line.action.partition(".")[0], "")
    if not path or not line.target or " " in line.target or "/" in line.target:
        return ""
    if path.startswith("/processes") and not (line.target.isascii() and line.target.isdecimal()):
        return ""
    return asked.link(path.format(line.target))


# -- as a file


def _csv(found: list[Line]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_HEADS)
    for line in found:
        facts = line.as_dict()
        writer.writerow([_harmless(str(facts[name])) for name in _HEADS])
    return text.getvalue().encode("utf-8", "replace")


def _harmless(text: str) -> str:
    """Return a text as one that a table program does not calculate."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _json(found: list[Line]) -> bytes:
    return msgspec.json.format(msgspec.json.encode([line.as_dict() for line in found]), indent=1)


_WRITTEN: Final[Mapping[str, tuple[Any, str]]] = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "json": (_json, "application/json"),
}
