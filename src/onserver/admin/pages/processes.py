"""Processes: the list with its filters, one process with all that is kept of it, and the form that starts one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from onserver.admin.page import MOST_ROWS, BadQuery, Look, NotThere, Page, View
from onserver.admin.whys import why
from onserver.process.letters import LETTERS
from onserver.process.log import as_dict as line_as_dict
from onserver.process.record import State
from onserver.views.finding import every, full_name
from onserver.views.listing import LIVING, MOST_LOOKED, Listing, Wanted, counts, listing
from onserver.views.parameters import parameters
from onserver.views.process_shown import Moment, Shown, procedures, shown
from onserver.views.processes import ENDED, Row, Seen

_DATA: Final = "admin.data"
#: What the filter of states may say, besides nothing for those that have not ended.
_BEGUN, _ENDED = "begun", "ended"
_STATES: Final = (
    _BEGUN,
    *(state.value for state in State if not state.ended),
    _ENDED,
    *(s.value for s in State if s.ended),
)
_KINDS: Final = ("procedure", "task", "hook", "side")
#: Filters beside the state; any of them makes a list that is empty one in which nothing fits.
_FILTERS: Final = ("q", "user", "session", "procedure", "queue", "kind", "worker", "argument", "since", "until")
#: Those that ended last, where nothing runs.
_LAST: Final = 10
_LINES: Final = 200
#: How many processes of one procedure are counted, to be aborted together.
_COUNTED: Final = 2000


def _listed(look: Look) -> View:
    """Show the list."""
    seen, wanted = Seen(look.server.store), _wanted(look)
    limit = look.number("limit", 50, 1, MOST_ROWS)
    try:
        page = listing(seen, wanted, limit, look.text("cursor", 40))
    except ValueError as error:
        raise BadQuery("cursor", str(error), "is no place in this list") from error
    filtered = any(look.query.get(name) for name in _FILTERS)
    bare = not page.rows and not filtered and not look.query.get("state")
    last = listing(seen, Wanted(states=_of_ended()), _LAST).rows if bare else ()
    known = {
        "page_of": page, "rows": _told(look, page.rows), "last": _told(look, last), "filtered": filtered,
        "states": _chips(look, counts(look.server.store)), "kinds": _KINDS, "most_looked": MOST_LOOKED,
        "ended": look.query.get("state", "") in {_ENDED, *ENDED}, "all_of": _all_of(look, seen, wanted),
        "gate": next((one for one in seen.gates() if (one.kind, one.name) == ("procedure", wanted.procedure)), None),
    }  # fmt: skip
    return View("processes.html", known, data=_as_data(page))


def _wanted(look: Look) -> Wanted:
    state = look.word("state", _STATES)
    several = {"": LIVING, _BEGUN: LIVING, _ENDED: _of_ended()}
    states = several[state] if state in several else frozenset({State(state)})
    argument = look.text("argument")
    if argument and not look.actor.may(_DATA):
        raise BadQuery("argument", argument, f"takes the privilege {_DATA}")
    return Wanted(
        states=states, pattern=look.text("q"), session=look.text("session", 100).upper(), user=look.text("user"),
        procedure=look.text("procedure"), queue=look.text("queue"), kind=look.word("kind", _KINDS),
        worker=look.text("worker"), argument=argument, since_ms=look.moment("since"), until_ms=look.moment("until"),
        oldest=look.word("sort", ("ended", "-ended")) == "ended", begun=state == _BEGUN,
    )  # fmt: skip


def _of_ended() -> frozenset[State]:
    return frozenset(State) - LIVING


def _chips(look: Look, counted: Mapping[str, int]) -> list[tuple[str, str, int | None]]:
    names = [("", look._("living")), *((state, look._(state)) for state in _STATES)]
    return [(value, text, counted.get(value)) for value, text in names]


def _told(look: Look, rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Return rows, each with why it waits, in the language of whoever looks."""
    return [(row, why(look, row.why)) for row in rows]


def _all_of(look: Look, seen: Seen, wanted: Wanted) -> tuple[str, int] | None:
    """Name the procedure whose processes can all be aborted together, and count them; None where that is not asked."""
    if not wanted.procedure or not look.query.get("all") or not look.actor.may("admin.process"):
        return None
    name = full_name(seen.store, wanted.procedure)
    return name, sum(1 for _ in islice(every(seen, name), _COUNTED))


def _as_data(page: Listing) -> dict[str, Any]:
    rows = [row._asdict() for row in page.rows]
    return {"rows": rows, "cursor": page.cursor, "looked": page.looked}


# -- one of them


def _one(look: Look) -> View:
    """Show one process."""
    number = look.numbered("number")
    seen, lines = Seen(look.server.store), look.number("lines", _LINES, 1, 10_000)
    found = shown(seen, number, lines)
    data = look.actor.may(_DATA)
    known = {
        "one": found, "row": found.row, "why": why(look, found.row.why), "data": data, "lines": lines,
        "can": _can(found), "moments": _moments(look, found), "more_lines": min(10_000, lines * 5),
    }  # fmt: skip
    return View("process.html", known, data=_detail(found, data=data))


def _can(found: Shown) -> frozenset[str]:
    """Tell what can be done to it as it is now."""
    state, ended = found.record.state, found.record.state.ended
    can = {"abort", "force"} if not ended else set[str]()
    if not ended and not found.record.level:
        can.add("resume" if found.record.pausing else "pause")
    if state in (State.RUNNING, State.WAITING):
        can.add("stack")
    if state in LETTERS:
        can |= {"replay", "drop"}
    return frozenset(can)


def _moments(look: Look, found: Shown) -> list[tuple[int, str]]:
    """Return what has happened, in sentences."""
    told: Mapping[str, Callable[[Moment], str]] = {
        "asked": lambda m: look._("Asked for by {who}", who=m.text) if m.text else look._("Asked for"),
        "begun": lambda m: look._("Begun on {worker}", worker=m.text) if m.text else look._("Begun"),
        "raised": lambda m: look._("Attempt {number} has failed: {error}", number=m.number, error=m.text),
        "replayed": lambda m: look._("Run again, asked for by {who}", who=m.text),
        "signed": lambda m: look._("Signed again by {who}", who=m.text),
        "ended": lambda _: look._("Ended: {state}", state=look._(found.record.state.value)),
    }
    return [(moment.at_ms, told[moment.kind](moment)) for moment in found.moments]


def _detail(found: Shown, *, data: bool) -> dict[str, Any]:
    """Return it for programs; values only where they may be seen."""
    values = {
        "arguments": found.arguments.in_a_call(), "result": found.result, "variables": dict(found.variables),
    } if data else {}  # fmt: skip
    return {
        **found.row._asdict(), **values, "signature": found.procedure.signature,
        "error": {name: str(found.error[name]) for name in ("type", "message", "traceback") if name in found.error},
        "log": [line_as_dict(line) for line in found.log.lines] if found.log else [],
        "moments": [dataclasses.asdict(moment) for moment in found.moments],
        "children": [one._asdict() for one in found.family.children], "more_children": found.family.more,
    }  # fmt: skip


# -- a new one


def _start(look: Look) -> View:
    """Show the form that starts one: first which procedure, then its arguments."""
    store = look.server.store
    known, name = procedures(store), look.text("procedure")
    chosen = None
    if name:
        full = full_name(store, name)
        chosen = next((one for one in known if one.name == full), None)
        if chosen is None:
            raise NotThere
    fields = parameters(chosen) if chosen else []
    data = {"procedures": [dataclasses.asdict(one) for one in known]}
    return View("start.html", {"procedures": known, "chosen": chosen, "fields": fields}, data=data)


PAGES: Final = [
    Page("/processes", "processes", "Processes", "p", _listed, live=("process",)),
    Page("/processes/start", "start", "Start a process", "", _start, nav=False, under="processes"),
    Page("/processes/{number}", "process", "Process", "", _one, nav=False, under="processes", live=("process",)),
]
