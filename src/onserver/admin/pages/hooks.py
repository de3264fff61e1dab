"""Hooks and events: a lane for each hook with its runs, and why it did not run; what happened to the server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, get_args

from onserver.admin.page import MOST_ROWS, BadQuery, Look, Page, View, cursor_of
from onserver.admin.rendering import as_json
from onserver.life.event_kinds import KINDS as EVENTS
from onserver.life.event_kinds import USER
from onserver.life.events import KEPT, Event, earlier_events
from onserver.life.hook import KINDS
from onserver.life.hook_records import HookRecord, Outcome, earlier_runs
from onserver.views.hook_lanes import Lane, Why, lanes

_ROWS: Final = 50
#: Events that stand below the lanes.
_FIRST_EVENTS: Final = 20
_CURSOR: Final = re.compile(r"\d{1,15}-\d{1,18}", re.ASCII)
_OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
#: What a run of each outcome looks like: the sign and tone of a state.
_SIGNS: Final[Mapping[str, str]] = {
    "ok": "ok", "veto": "refused", "failed": "failed", "timeout": "timeout", "died": "lost", "cut": "paused",
    "aborted": "aborted",
}  # fmt: skip
#: One of each kind, for who has none.
EXAMPLES: Final[Sequence[tuple[str, str]]] = (
    ("on_server_startup", '@on_server_startup\ndef load() -> None:\n    print("before any worker takes work")'),
    ("on_server_shutdown", '@on_server_shutdown\ndef flush() -> None:\n    print("while processes still run")'),
    (
        "on_backup_startup",
        '@on_backup_startup\ndef guard(backup: Backup) -> int | None:\n'
        '    return backup.veto(201, "month-end close") if "closing" in session().storage else None',
    ),
    (
        "on_backup_shutdown",
        "@on_backup_shutdown\ndef after(result: BackupResult) -> None:\n    print(result.code, result.reason)",
    ),
    ("on_system_event", "@on_system_event\ndef heard(event: SystemEvent) -> None:\n    print(event.code, event.name)"),
    (
        "on_server_open_connection",
        "@on_server_open_connection\ndef admit(connection: Connection) -> int | None:\n"
        '    return connection.veto(22000, "closed for the night") if connection.user == 3 else None',
    ),
    (
        "on_server_close_connection",
        "@on_server_close_connection\ndef left(connection: Connection) -> None:\n    print(connection.user)",
    ),
)  # fmt: skip


def hooks(asked: Look) -> View:
    """Show a lane for each hook, and what happened last."""
    kind, word = asked.word("kind", KINDS), asked.text("q", 200).casefold()
    every = lanes(asked.server.store)
    shown = [
        lane for lane in every
        if kind in ("", lane.declared.kind) and word in f"{lane.declared.name} {lane.declared.doc}".casefold()
    ]  # fmt: skip
    wanted = asked.text("event", 64)
    events = list(islice(_events(asked, wanted), _FIRST_EVENTS))
    known = {
        "lanes": [(lane, _why(asked, lane.why)) for lane in shown], "any": bool(every), "kinds": _counted(every),
        "events": [(event, _payload(asked, event)) for event in events], "examples": EXAMPLES,
        "outcomes": _outcomes(asked),
        "names": _names(),
        "sentence": _sentence(asked, every), "more_events": len(events) == _FIRST_EVENTS, "wanted": wanted,
    }  # fmt: skip
    data = {"lanes": [_lane(asked, lane) for lane in shown], "events": [_event(asked, event) for event in events]}
    return View("hooks.html", known, data=data)


def runs(asked: Look) -> View:
    """Show the runs of hooks, the newest first."""
    limit, cursor = asked.number("limit", _ROWS, 1, MOST_ROWS), _cursor(asked)
    kind, hook, outcome = asked.word("kind", KINDS), asked.text("hook", 200), asked.word("outcome", _OUTCOMES)
    epoch = asked.number("epoch", -1)
    found = (
        (identity, run) for identity, run in earlier_runs(asked.server.store, cursor)
        if kind in ("", run.kind) and hook in ("", run.hook) and outcome in ("", run.outcome)
        and epoch in (-1, run.epoch)
    )  # fmt: skip
    rows = list(islice(found, limit))
    onward = cursor_of(rows, limit, lambda row: row[0])
    known = {
        "rows": rows, "cursor": onward, "outcomes": _outcomes(asked), "kinds": KINDS,
        "filtered": any(asked.query.get(name) for name in ("kind", "hook", "outcome", "epoch", "cursor")),
    }  # fmt: skip
    data = {"runs": [{"id": identity, **_run(asked, run)} for identity, run in rows], "cursor": onward or None}
    return View("hooks_runs.html", known, data=data)


def events(asked: Look) -> View:
    """Show the events that are kept, the newest first."""
    limit, wanted = asked.number("limit", _ROWS, 1, MOST_ROWS), asked.text("event", 64)
    rows = list(islice(_events(asked, wanted, _cursor(asked)), limit))
    onward = cursor_of(rows, limit, lambda event: event.id)
    known = {
        "events": [(event, _payload(asked, event)) for event in rows], "cursor": onward, "names": _names(),
        "wanted": wanted, "kept": KEPT, "meanings": {kind.name: kind for kind in EVENTS},
        "filtered": bool(wanted or asked.query.get("cursor")),
    }  # fmt: skip
    data = {"events": [_event(asked, event) for event in rows], "cursor": onward or None}
    return View("hooks_events.html", known, data=data)


PAGES: Final = [
    Page("/hooks", "hooks", "Hooks and events", "h", hooks, live=("hook", "event", "backup", "member")),
    Page("/hooks/runs", "hook_runs", "Runs of hooks", "", runs, nav=False, under="hooks", live=("hook",)),
    Page("/hooks/events", "events", "Events", "", events, nav=False, under="hooks", live=("event",)),
]


def _cursor(asked: Look) -> str:
    text = asked.text("cursor", 40)
    if text and not _CURSOR.fullmatch(text):
        raise BadQuery("cursor", text, "is no place in the list")
    return text


# -- sentences


def _sentence(asked: Look, every: Sequence[Lane]) -> str:
    if not every:
        return asked._("No worker that is up has a hook, and no run of one is kept.")
    bad = [lane for lane in every if lane.runs and lane.runs[0].outcome in ("failed", "timeout", "died")]
    if bad:
        return asked.plural("The last run of one hook went wrong.", "The last runs of {n} hooks went wrong.", len(bad))
    refused = [lane for lane in every if lane.runs and lane.runs[0].outcome == "veto"]
    if refused:
        return asked.plural("One hook refused the last time.", "{n} hooks refused the last time.", len(refused))
    return asked.plural("One hook; nothing went wrong.", "{n} hooks; nothing went wrong the last time.", len(every))


def _why(asked: Look, why: Why | None) -> str:
    """Say why a hook did not run; empty where it did."""
    if why is None:
        return ""
    facts = why.facts
    tell: Mapping[str, Callable[[], str]] = {
        "no_worker": lambda: asked._("No worker that is up has it: it was taken out of the code, or no worker is up."),
        "never_started": lambda: asked._("The server was never started."),
        "turn": lambda: asked._("The server starts just now: its turn comes."),
        "before_failed": lambda: asked._(
            "It did not run in epoch {epoch}: {hook}, which is before it, did not end well.", **facts),
        "added": lambda: asked._(
            "It did not run in epoch {epoch}: the server had started already when it was added.", **facts),
        "not_stopped": lambda: asked._(
            "It has not run: the server has not stopped since it was added; epoch {epoch} goes on.", **facts),
        "crashed": lambda: asked._("It did not run at the end of epoch {epoch}: that ended with a crash.", **facts),
        "no_backup": lambda: asked._("It has not run: no backup was begun yet."),
        "no_backup_ended": lambda: asked._("It has not run: no backup has ended yet."),
        "refused_before": lambda: _refused(asked, facts),
        "no_event": lambda: asked._("It has not run: nothing has happened that it hears."),
        "no_client": lambda: asked._("It has not run: no remote client has connected yet."),
        "none_left": lambda: asked._("It has not run: no connection that was accepted has ended yet."),
    }  # fmt: skip
    return tell[why.reason]()


def _refused(asked: Look, facts: Mapping[str, Any]) -> str:
    if facts["reason"]:
        return asked._("It was not asked the last time: {hook}, which is before it, refused: {reason}", **facts)
    return asked._("It was not asked the last time: {hook}, which is before it, refused.", hook=facts["hook"])


# -- lanes and runs


def _outcomes(asked: Look) -> dict[str, tuple[str, str]]:
    """Each outcome as a state whose sign it has, and its word."""
    words = {
        "veto": asked._("refused"), "died": asked._("died with its worker"), "cut": asked._("cut short, runs again"),
    }  # fmt: skip
    return {outcome: (_SIGNS[outcome], words.get(outcome) or asked._(_SIGNS[outcome])) for outcome in _OUTCOMES}


def _counted(every: Sequence[Lane]) -> list[tuple[str, int]]:
    return [(kind, sum(lane.declared.kind == kind for lane in every)) for kind in KINDS]


def _lane(asked: Look, lane: Lane) -> dict[str, Any]:
    return lane.as_dict() | {"runs": [_run(asked, run) for run in lane.runs], "told": _why(asked, lane.why)}


def _run(asked: Look, run: HookRecord) -> dict[str, Any]:
    """The facts of a run; what it returned is a value, but for the code of a refusal."""
    facts = run.as_dict()
    if run.outcome != "veto" and not asked.actor.may("admin.data"):
        facts.pop("value")
    return facts


# -- events


def _names() -> list[str]:
    return [kind.name for kind in EVENTS]


def _events(asked: Look, wanted: str, before: str = "") -> Iterator[Event]:
    """Yield events whose name begins so, or that have this code."""
    for event in earlier_events(asked.server.store, before):
        if not wanted or (wanted.isdecimal() and str(event.code) == wanted) or event.name.startswith(wanted):
            yield event


def _payload(asked: Look, event: Event) -> str | None:
    """What an event says, for people; None where whoever looks may not see it: what users say are values."""
    if event.code == USER and not asked.actor.may("admin.data"):
        return None
    return "" if not event.payload else as_json(dict(event.payload)) if event.code == USER else _plain(event)


def _plain(event: Event) -> str:
    return " · ".join(f"{name} {value}" for name, value in event.payload.items() if value not in ("", None))


def _event(asked: Look, event: Event) -> dict[str, Any]:
    facts = event.as_dict()
    if event.code == USER and not asked.actor.may("admin.data"):
        facts.pop("payload")
    return facts
