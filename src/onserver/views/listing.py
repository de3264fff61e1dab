"""Processes in pages: what runs, what waits, what has ended, each page after the one before it, however many there are.

What runs comes by its numbers, what waits as its queues have it, what has ended by when it did. Where a page ends is
its cursor: a place and what came last from there, so that the next page begins behind it, whatever has begun or ended
meanwhile. A page looks at so many processes at most: where few of very many fit, it may have none, and a cursor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from onserver.process.record import State
from onserver.redis.store import Store
from onserver.views.arguments import arguments_of
from onserver.views.finding import held, matching, numbers_in
from onserver.views.processes import ENDED, Row, Seen

#: At how many processes one page looks.
MOST_LOOKED: Final = 5000
#: How many are read at a time.
_STEP: Final = 250
_HELD: Final = frozenset({State.RUNNING, State.WAITING, State.PAUSED})
_HISTORY: Final[Mapping[State, str]] = {
    State.DONE: "ended",
    State.FAILED: "failed",
    State.ABORTED: "failed",
    State.LOST: "failed",
    State.DEAD: "dead",
}
#: Those that have not ended, and those that have.
LIVING: Final = frozenset(State) - frozenset(State(state) for state in ENDED)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which processes a list has.

    Attributes:
        states: they are in one of these.
        pattern: their names and numbers: see `onserver.views.finding.matching`.
        session: the beginning of the id of the session that asked for them.
        user: a part of who asked for them.
        procedure: the full name of their procedure.
        queue: in which they wait, or from which they came.
        kind: `procedure`, `task`, `hook` or `side`.
        worker: a part of the name of who runs them, or ran them.
        argument: a text that is found among their arguments; those that are shown nowhere are not looked through.
        since_ms, until_ms: between which those that have ended did so, milliseconds since 1970.
        oldest: those that have ended first come first.
        begun: only what a worker has: what runs, waits in its run, or is paused in it.
    """

    states: frozenset[State] = LIVING
    pattern: str = ""
    session: str = ""
    user: str = ""
    procedure: str = ""
    queue: str = ""
    kind: str = ""
    worker: str = ""
    argument: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    oldest: bool = False
    begun: bool = False


@dataclass(frozen=True)
class Listing:
    """One page.

    Attributes:
        rows: of it.
        cursor: of the next one; empty where there is none.
        looked: at how many processes it has looked.
    """

    rows: Sequence[Row]
    cursor: str
    looked: int


class _Place(NamedTuple):
    """Where a list stands: in `h` (held), `w` (waiting) or `e` (ended), and behind what there.

    Of `h`: behind number `a`. Of `w`: page `a`, behind its first `b`. Of `e`: behind number `b`, which ended at `a`.
    """

    where: str
    a: int
    b: int

    def __str__(self) -> str:
        return f"{self.where}{self.a}.{self.b}"


_BEGIN: Final = _Place("h", 0, 0)


def read_cursor(text: str) -> _Place | None:
    """Read a cursor; the beginning for an empty text, None for one that is no cursor."""
    if not text:
        return _BEGIN
    numbers = text[1:].split(".")
    if text[0] not in "hwe" or len(numbers) != 2 or not all(one.isascii() and one.isdecimal() for one in numbers):
        return None
    return _Place(text[0], min(int(numbers[0]), 2**53), min(int(numbers[1]), 2**53)) if len(text) < 40 else None


def listing(seen: Seen, wanted: Wanted, limit: int, cursor: str = "") -> Listing:
    """Read one page of processes.

    Args:
        seen: the look at the server.
        wanted: which.
        limit: how many rows it has at most.
        cursor: of the page before; empty for the first page.

    Raises:
        ValueError: the cursor is none.
    """
    place = read_cursor(cursor)
    if place is None:
        raise ValueError(cursor)
    numbers = numbers_in(wanted.pattern)
    places = iter([(number, _Place("e", 0, 0)) for number in numbers]) if numbers else _places(seen, wanted, place)
    rows, looked, last = list[Row](), 0, place
    fits = _fitting(seen, wanted)
    while batch := list(itertools.islice(places, min(_STEP, max(limit - len(rows), 50)))):
        found = {row.number: row for row in seen.rows([number for number, _ in batch])}
        kept = fits([found[number] for number, _ in batch if number in found])
        for number, where in batch:
            looked, last = looked + 1, where
            if number in kept:
                rows.append(found[number])
                if len(rows) == limit:
                    more = not numbers and (number != batch[-1][0] or next(places, None) is not None)
                    return Listing(rows, str(last) if more else "", looked)
        if looked >= MOST_LOOKED:
            return Listing(rows, str(last) if next(places, None) else "", looked)
    return Listing(rows, "", looked)


def _fitting(seen: Seen, wanted: Wanted) -> Callable[[Sequence[Row]], set[int]]:
    of_name = matching(wanted.pattern)

    def fits(row: Row) -> bool:
        return (
            row.state in wanted.states
            and of_name(row)
            and row.session.startswith(wanted.session)
            and wanted.user.casefold() in row.caller.casefold()
            and wanted.procedure in ("", row.procedure)
            and wanted.queue in ("", row.queue)
            and wanted.kind in ("", row.kind)
            and wanted.worker.casefold() in row.worker.casefold()
        )

    def kept(rows: Sequence[Row]) -> set[int]:
        numbers = [row.number for row in rows if fits(row)]
        if not wanted.argument:
            return set(numbers)
        told = arguments_of(seen.store, numbers)
        return {number for number in numbers if wanted.argument.casefold() in told[number].searched.casefold()}

    return kept


def _places(seen: Seen, wanted: Wanted, place: _Place) -> Iterator[tuple[int, _Place]]:
    """Yield numbers from a place on, each with the place behind it."""
    store, states = seen.store, wanted.states
    past: set[int] = set()
    if place.where == "h" and states & _HELD:
        past.update(running := sorted(held(store)))
        for number in running:
            if number > place.a:
                yield number, _Place("h", number, 0)
    if wanted.begun:
        return
    if place.where in "hw" and states & LIVING:
        start = place if place.where == "w" else _Place("w", 0, 0)
        for number, where in _waiting(store, states, start):
            if number not in past:
                past.add(number)
                yield number, where
    kinds = {_HISTORY[state] for state in states if state in _HISTORY}
    if kinds:
        yield from _ended(store, sorted(kinds), wanted, place if place.where == "e" else None)


def _waiting(store: Store, states: frozenset[State], place: _Place) -> Iterator[tuple[int, _Place]]:
    sets = [key for state, key in ((State.DELAYED, "due"), (State.PAUSED, "resting")) if state in states]
    lines = bool(states & {State.QUEUED, State.PAUSED})  # what is paused in its queue stays in its line
    skip = place.b
    for page in itertools.count(place.a):
        commands = [("ZRANGE", store.key(key), page * _STEP, (page + 1) * _STEP - 1) for key in sets]
        found = [list(map(int, numbers)) for numbers in store.pipeline(commands)] if commands else []
        more, *queued = store.run("queued", page, _STEP) if lines else (0,)
        numbers = list(dict.fromkeys(itertools.chain(queued, *found)))
        for index, number in enumerate(numbers[skip:], skip + 1):
            yield int(number), _Place("w", page, index)
        if not more and not any(len(one) == _STEP for one in found):
            return
        skip = 0


def _ended(store: Store, kinds: Sequence[str], wanted: Wanted, place: _Place | None) -> Iterator[tuple[int, _Place]]:
    """Yield what has ended, in the order of its ends; of those of one millisecond the highest numbers first."""
    first: int | str = wanted.since_ms or 0
    last: int | str = "+inf" if wanted.until_ms is None else wanted.until_ms
    begin, end = (first, last) if wanted.oldest else (last, first)
    way, turn = ((), 1) if wanted.oldest else (("REV",), -1)
    if place is not None:
        begin = place.a
    while True:
        found: dict[int, int] = {}
        edges: list[int] = []
        commands = [
            ("ZRANGE", store.key(kind), begin, end, "BYSCORE", *way, "LIMIT", 0, _STEP, "WITHSCORES") for kind in kinds
        ]
        for answer in store.pipeline(commands):
            pairs = [(int(number), int(float(ms))) for number, ms in zip(answer[::2], answer[1::2], strict=True)]
            found.update(pairs)
            if len(pairs) == _STEP:
                edges.append(pairs[-1][1])
        if edges:  # of a kind that has more, what is beyond the last one is not known: all is, up to that millisecond
            edge = min(edges) if wanted.oldest else max(edges)
            found = {number: ms for number, ms in found.items() if (edge - ms) * turn > 0}
            found |= dict.fromkeys(_of_moment(store, kinds, edge), edge)
            begin = edge + turn
        for number, ms in sorted(found.items(), key=lambda one: (one[1] * turn, -one[0])):
            if place is None or ms != place.a or number < place.b:
                yield number, _Place("e", ms, number)
        if not edges:
            return


def _of_moment(store: Store, kinds: Sequence[str], ms: int) -> Iterator[int]:
    for numbers in store.pipeline([("ZRANGE", store.key(kind), ms, ms, "BYSCORE") for kind in kinds]):
        yield from map(int, numbers)


def counts(store: Store) -> dict[str, int]:
    """Count processes by what a list of them is filtered by, where the server knows how many there are.

    Returns:
        `begun` (all that a worker has), `queued`, `delayed`, `done`, `dead`.
    """
    names = sorted(name.decode() for name in store.command("SMEMBERS", store.key("queues")))
    delayed, done, dead = store.pipeline([("ZCARD", store.key(key)) for key in ("due", "ended", "dead")])
    queued = sum(int(store.run("depth", name)) for name in names)
    return {"begun": len(held(store)), "queued": queued, "delayed": delayed, "done": done, "dead": dead}
