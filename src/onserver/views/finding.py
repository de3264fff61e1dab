"""Which processes are meant: by number, by name, by a pattern; and the first of them, in pages, never all.

What runs is found by its holders, what waits by its queues, what has ended by the history. Each of these is read from
its beginning, so many at a time, until there are enough: a server with a million waiting processes is asked for the
first few of each queue.
"""

import difflib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from onserver.errors import ProcedureNotFound, ProcessNotFound
from onserver.redis.store import Store
from onserver.views.processes import ENDED, Row, Seen

#: How many are read at a time from each queue, and from the history.
PAGE: Final = 200
#: How far into each queue a pattern is looked for.
FARTHEST: Final = 50_000

#: Of how many holders it is asked at once whether they hold anything.
_GROUP: Final = 64
_HELD: Final = frozenset({"running", "waiting", "paused"})
_HISTORY: Final = {"done": "ended", "failed": "failed", "aborted": "failed", "lost": "failed", "dead": "dead"}
#: Where processes of a state are kept that nobody holds, beside the queues.
_PLACES: Final = {"delayed": "due", "paused": "resting"}


def find(
    seen: Seen,
    pattern: str,
    limit: int,
    *,
    ended: bool,
    states: frozenset[str] = frozenset(),
    session: str = "",
    page: int = PAGE,
) -> list[Row]:
    """Answer the first processes that fit, one more than `limit` if there are more: what runs, what waits, what ended.

    Args:
        seen: the look.
        pattern: see `matching`; numbers alone are read whether they have ended or not.
        limit: how many.
        ended: those that have ended as well.
        states: only those in one of these; none for any.
        session: only those that this session has asked for; the beginning of its id is enough.
        page: how many are read at a time.
    """
    of_name = matching(pattern)
    asked = numbers_in(pattern)
    at_once = max(page, limit + 1)  # where all fit, no more are read than there are to be
    pages = [asked] if asked else _pages(seen.store, states, ended=ended or bool(states & ENDED), page=at_once)

    def fits(row: Row) -> bool:
        return of_name(row) and (not states or row.state in states) and row.session.startswith(session)

    rows = (row for numbers in pages for row in seen.rows(numbers, at_once) if fits(row))
    return sorted(itertools.islice(rows, limit + 1), key=lambda row: row.number)


def every(seen: Seen, procedure: str, page: int = 1000) -> Iterator[Row]:
    """Yield all processes of a procedure that have not ended, however many there are.

    Raises:
        ProcedureNotFound: ONS-1104, there is no such procedure.
    """
    name = full_name(seen.store, procedure)
    for numbers in _pages(seen.store, frozenset(), ended=False, page=page, farthest=None):
        yield from (row for row in seen.rows(numbers) if row.procedure == name and row.state not in ENDED)


def full_name(store: Store, procedure: str) -> str:
    """Answer the full name of a procedure that has one of this name, or of this short name.

    Raises:
        ProcedureNotFound: ONS-1104, there is none, or several; the error has the nearest names.
    """
    known: list[str] = [name.decode() for name in store.command("HKEYS", store.key("procedures"))]
    found = [name for name in known if name == procedure] or [
        name for name in known if name.rpartition(".")[2] == procedure
    ]
    if len(found) == 1:
        return found[0]
    raise ProcedureNotFound(procedure, found or difflib.get_close_matches(procedure, known), len(known))


def named(seen: Seen, word: str) -> int:
    """Answer the number of the process that a word means: its number, or the name of one that lives.

    Raises:
        ProcessNotFound: ONS-2001, there is none; the error has the nearest names of those that live.
    """
    bare = word.removeprefix("#")
    if bare.isdecimal():
        return int(bare)
    found: bytes | None = seen.store.command("GET", seen.store.key(f"name:{word}"))
    if found is not None:
        return int(found)
    same: list[int] = []
    names: set[str] = set()
    for numbers in _pages(seen.store, frozenset(), ended=False, page=1000):
        rows = [row for row in seen.rows(numbers) if row.state not in ENDED]
        same += [row.number for row in rows if word in _names(row)]
        names.update(row.name for row in rows)
        if len(same) > 1:
            break
    if len(same) == 1:
        return same[0]
    raise ProcessNotFound(word, [f"#{number}" for number in same[:3]] or difflib.get_close_matches(word, names))


def _names(row: Row) -> tuple[str, ...]:
    return row.name, row.procedure, row.procedure.rpartition(".")[2]


def numbers_in(pattern: str) -> list[int]:
    """Return the numbers that a pattern asks for; none when it asks for anything else too."""
    parts = [part.strip().removeprefix("#") for part in pattern.split(";") if part.strip()]
    return sorted(set(map(int, parts))) if all(part.isdecimal() for part in parts) else []


def matching(pattern: str) -> Callable[[Row], bool]:
    """Return the test for a pattern: parts joined by `;`, of which one must fit.

    A part is a number, a text with `*` and `?` for the whole name, or a text that is found anywhere in it.
    """
    parts = [part.strip() for part in pattern.split(";") if part.strip()]

    def fits(row: Row) -> bool:
        return not parts or any(_fits(part, row) for part in parts)

    return fits


def _fits(part: str, row: Row) -> bool:
    if part.removeprefix("#").isdigit():
        return row.number == int(part.removeprefix("#"))
    wild = part if set(part) & set("*?[") else f"*{part}*"
    return fnmatchcase(row.name, wild) or fnmatchcase(row.procedure, wild)


def held(store: Store) -> list[int]:
    """Return the numbers of what runs, and of what its holders have claimed."""
    begin = store.key("held:").encode()
    keys = [begin + holder for holder in store.command("SMEMBERS", store.key("live"))]
    groups = [keys[start : start + _GROUP] for start in range(0, len(keys), _GROUP)]
    if len(groups) > 1:  # of a thousand members, most hold nothing
        some = store.pipeline([("EXISTS", *group) for group in groups])
        groups = [group for group, exist in zip(groups, some, strict=True) if exist]
    lists = store.pipeline([("LRANGE", key, 0, -1) for group in groups for key in group])
    return [int(number) for numbers in lists for number in numbers]


def _pages(
    store: Store, states: frozenset[str], *, ended: bool, page: int, farthest: int | None = FARTHEST
) -> Iterator[Sequence[int]]:
    """Yield numbers to look at: what runs, then what waits, then what has ended last, page after page."""
    seen: set[int] = set()

    def fresh(numbers: Iterable[int]) -> list[int]:
        new = dict.fromkeys(number for number in numbers if number not in seen)
        seen.update(new)
        return list(new)

    first = held(store) if not states or states & _HELD else []
    waiting = [store.key(place) for state, place in _PLACES.items() if not states or state in states]
    lines = not states or "queued" in states
    kinds = {_HISTORY[state] for state in states & ENDED} if states else set(_HISTORY.values())
    history = [store.key(kind) for kind in sorted(kinds)] if ended else []
    for start in itertools.count(0, page):
        commands = [("ZRANGE", key, start, start + page - 1) for key in waiting]
        commands += [("ZREVRANGE", key, start, start + page - 1) for key in history]
        found = [list(map(int, numbers)) for numbers in store.pipeline(commands)] if commands else []
        more, *queued = store.run("queued", start // page, page) if lines else (0,)
        wait = sorted(itertools.chain(queued, *found[: len(waiting)]))
        yield fresh(itertools.chain(sorted(first), wait, *found[len(waiting) :]))
        done = not more and not any(len(numbers) == page for numbers in found)
        if done or (farthest is not None and start + page >= farthest):
            return
        first = []
