"""Locks: what is held, by whom and since when, who waits in which order, and why a holder goes on holding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from onserver.admin.page import MOST_ROWS, Look, Page, View
from onserver.views.locks import MOST, Lock, locks
from onserver.views.standing import LONG_HELD_SECONDS

_ROWS: Final = 50
#: Which of them, beside all: those that somebody waits for, those held for long, those whose holder waits itself.
_WHICH: Final = ("waited", "long", "stuck")
_ORDERS: Final[Mapping[str, Callable[[Lock], Any]]] = {
    "since": lambda lock: lock.since_ms or 2**53,
    "waiting": lambda lock: lock.waiting,
    "entry": lambda lock: (lock.key, lock.session),
}
_SORTS: Final = [f"{sign}{name}" for name in _ORDERS for sign in ("", "-")]


def explore(look: Look) -> View:
    """Show what is held and who waits."""
    words, which, limit = look.text("q"), look.word("only", _WHICH), look.number("limit", _ROWS, 1, MOST_ROWS)
    sort, start = look.word("sort", _SORTS, "since"), look.number("cursor", 0, 0, MOST)
    every = locks(look.server.store)
    found = [lock for lock in every if _means(lock, words)]
    fits = [lock for lock in found if not which or _is(look, lock, which)]
    fits.sort(key=_ORDERS[sort.removeprefix("-")], reverse=sort.startswith("-"))
    rows = fits[start : start + limit]
    numbers = {one: sum(1 for lock in found if _is(look, lock, one)) for one in _WHICH}
    cursor = str(start + limit) if len(fits) > start + limit else ""
    known = {
        "rows": rows, "every": len(every), "waiting": sum(lock.waiting for lock in every), "cursor": cursor,
        "chips": _chips(look, len(found), numbers), "most": MOST, "told": [lock for lock in rows if _tells(lock)],
    }  # fmt: skip
    data = {"rows": [lock.as_dict() for lock in rows], "held": len(every), "numbers": numbers, "cursor": cursor}
    return View("locks.html", known, data=data)


PAGES: Final = [Page("/locks", "locks", "Locks", "k", explore, live=("lock", "process"))]


def _chips(look: Look, found: int, numbers: Mapping[str, int]) -> Sequence[tuple[str, str, int | None]]:
    return [
        ("", look._("All"), found),
        ("waited", look._("waited for"), numbers["waited"]),
        ("long", look._("held for long"), numbers["long"]),
        ("stuck", look._("whose holder waits"), numbers["stuck"]),
    ]


def _is(look: Look, lock: Lock, which: str) -> bool:
    if which == "waited":
        return lock.waiting > 0
    if which == "long":
        return 0 < lock.since_ms < look.now_ms - LONG_HELD_SECONDS * 1000
    return bool(lock.chain)


def _tells(lock: Lock) -> bool:
    """Tell whether there is more to say of a lock than that somebody has it."""
    return lock.waiting > 0 or bool(lock.chain) or not lock.holder.alive


def _means(lock: Lock, words: str) -> bool:
    """Tell whether one of the words, which `;` parts, stands in what a lock is of, or in who has it or waits for it."""
    parts = [part.strip().casefold() for part in words.split(";") if part.strip()]
    people = (lock.holder, *(one.owner for one in lock.waiters))
    texts = [lock.key, lock.session, *(one.text for one in people), *(one.session for one in people)]
    return not parts or any(part in text.casefold() for part in parts for text in texts)
