"""The overview: one sentence that says how the server is, what somebody should look at, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from onserver.admin.page import Look, Page, View
from onserver.admin.rendering import looking, size, span
from onserver.process.rejecting import connections_rejected_on
from onserver.views import series
from onserver.views.standing import Concern, Standing, look

#: Lines of a table of values.
_MOST_LINES: Final = 48
_WIDTH, _HEIGHT = 240.0, 48.0


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One line over time, and the same as a table.

    Attributes:
        name: of the series.
        title: in the language of whoever looks.
        points: of the line, as SVG has them: one text for each stretch without a gap.
        last: the newest value, for people.
        highest: the greatest value, for people.
        lines: of the table: the end of each time, in milliseconds, and its value, for people.
        data: the values as JSON, for scripts: `end`, when the last of these times ends, `step`, both in milliseconds,
            and `values`, null where there is none.
    """

    name: str
    title: str
    points: Sequence[str]
    last: str
    highest: str
    lines: Sequence[tuple[int, str]]
    data: str


def overview(asked: Look) -> View:
    """Show how the server is."""
    over = asked.word("span", series.SPANS, "15m")
    seen, numbers = look(asked.server), series.read(asked.server, _span(over))
    with looking(asked):
        charts = [
            _chart("throughput", asked._("Processes a second"), numbers, lambda value: f"{value:.3g}"),
            _chart("failures", asked._("Failures a second"), numbers, lambda value: f"{value:.3g}"),
            _chart("wait_p95", asked._("Wait, 95 of 100 (s)"), numbers, lambda value: f"{value:.3g}"),
            _chart("busy", asked._("Busy executors"), numbers, lambda value: f"{value:.3g}"),
            _chart("queued", asked._("In queues"), numbers, lambda value: f"{value:.0f}"),
            _chart("memory", asked._("Memory of Redis"), numbers, size),
        ]
        known = {
            "seen": seen, "sentence": _sentence(asked, seen), "charts": charts, "spans": series.SPANS, "span": over,
            "concerns": [(concern, *_told(asked, concern)) for concern in seen.concerns],
            "checks": _checks(asked, seen), "rejected": connections_rejected_on(asked.server),
        }  # fmt: skip
    return View("overview.html", known, data=seen.as_dict() | {"series": numbers.as_dict()})


PAGES: Final = [
    Page(
        "/",
        "overview",
        "Overview",
        "o",
        overview,
        live=("process", "member", "lock", "session", "hook", "backup", "event"),
    )
]


# -- sentences


def _sentence(asked: Look, seen: Standing) -> str:
    """Say what is true now, in one line."""
    words = [_state(asked, seen)]
    if seen.workers:
        words.append(asked.plural("One worker", "{n} workers", seen.workers) + ",")
        busy = asked.plural("one process runs", "{n} processes run", seen.running)
        words.append(busy + ",")
        words.append(
            asked.plural("one has failed within the hour.", "{n} have failed within the hour.", seen.failed)
            if seen.failed
            else asked._("nothing has failed within the hour.")
        )
    if seen.backups.good_ms:
        ago = span((asked.now_ms - seen.backups.good_ms) / 1000)
        words.append(asked._("Last backup {time} ({span} ago).", time=_clock(asked, seen.backups.good_ms), span=ago))
    if seen.backups.next_ms > asked.now_ms:
        words.append(asked._("Next backup {time}.", time=_clock(asked, seen.backups.next_ms)))
    return " ".join(words)


def _state(asked: Look, seen: Standing) -> str:
    if not seen.ever:
        return asked._("No worker has ever connected.")
    if seen.epoch.state == "running":
        if seen.healthy:
            return asked._("Healthy.")
        count = len(seen.concerns)
        return asked.plural("It runs; one thing to look at.", "It runs; {n} things to look at.", count)
    states: Mapping[str, str] = {
        "starting": asked._("The server starts: its start-up hooks run."),
        "stopping": asked._("The server stops: what runs is drained."),
        "failed": asked._("The last start of the server has failed."),
    }
    return states.get(seen.epoch.state, asked._("The server is stopped."))


def _told(asked: Look, concern: Concern) -> tuple[str, str]:
    """Return the sentence of a concern, and the address of where to look, if there is such a page."""
    facts = concern.facts
    tell: Mapping[str, Callable[[], tuple[str, str]]] = {
        "stopped": lambda: (_stopped(asked, facts), asked.link("/members")),
        "unserved": lambda: (
            asked.plural(
                "One process waits in queue {queue}, and no worker listens on it.",
                "{n} processes wait in queue {queue}, and no worker listens on it.", facts["count"],
                queue=facts["queue"],
            ), asked.link("/members"),
        ),
        "silent": lambda: (
            asked._("Worker {node} (member {member}) has been silent for {span}.", node=facts["node"],
                    member=facts["member"], span=span(facts["seconds"])), asked.link("/members"),
        ),
        "lock": lambda: (
            asked._("The lock of {name} has been held for {span}, by {owner}.", name=facts["name"] or "/",
                    span=span(facts["seconds"]), owner=facts["owner"]), asked.link("/locks"),
        ),
        "hook": lambda: (
            asked._("The hook {hook} has failed (process {process}).", hook=facts["hook"], process=facts["process"]),
            asked.link("/hooks"),
        ),
        "backup_failed": lambda: (
            asked._("The last backup has failed with {code}: {reason}", code=facts["code"], reason=facts["reason"]),
            asked.link("/backups"),
        ),
        "backup_late": lambda: (
            asked._("The backup of {time} is late.", time=_clock(asked, facts["due_ms"])), asked.link("/backups"),
        ),
        "backup_suspended": lambda: (
            asked._("{n} backups in a row have failed: none is started by schedule any more.", n=facts["attempts"]),
            asked.link("/backups"),
        ),
        "codes": lambda: (
            asked._("The workers have {n} versions of the code.", n=facts["count"]), asked.link("/members"),
        ),
        "paused": lambda: (
            _paused(asked, facts),
            asked.link("/processes", procedure=facts["name"]) if facts["what"] == "procedure"
            else asked.link("/members"),
        ),
        "maintenance": lambda: (
            asked._("In maintenance by {by}: new work is refused. {message}", by=facts["by"], message=facts["message"]),
            asked.link("/"),
        ),
        "dead": lambda: (
            asked.plural("One process is dead, and waits to be replayed or dropped.",
                         "{n} processes are dead, and wait to be replayed or dropped.", facts["count"]),
            asked.link("/processes", state="dead"),
        ),
        "memory": lambda: (
            asked._("Redis uses {used} of the {limit} that it may.", used=size(facts["used"]),
                    limit=size(facts["limit"])), asked.link("/diagnostics"),
        ),
    }  # fmt: skip
    return tell[concern.kind]()


def _stopped(asked: Look, facts: Mapping[str, Any]) -> str:
    if facts["waiting"]:
        return asked.plural("One process waits, and the server does not run.",
                            "{n} processes wait, and the server does not run.", facts["waiting"])  # fmt: skip
    return asked._("The server does not run. Start a worker: {command}", command="onserver worker")


def _paused(asked: Look, facts: Mapping[str, Any]) -> str:
    if facts["what"] == "all":
        return asked._("Everything is paused by {by}.", by=facts["by"])
    if facts["what"] == "queue":
        return asked._("Queue {name} is paused by {by}.", name=facts["name"], by=facts["by"])
    return asked._("Procedure {name} is paused by {by}.", name=facts["name"], by=facts["by"])


def _checks(asked: Look, seen: Standing) -> Sequence[tuple[str, bool]]:
    """What a first start takes, and whether it is there; nothing once there was a worker."""
    if seen.ever:
        return ()
    return [
        (asked._("Redis answers"), True),
        (asked._("a project is here"), asked.server.project is not None),
        (asked._("a worker is connected"), False),
    ]


def _clock(asked: Look, ms: int) -> str:
    """Return a time of today as its hours and minutes, and another one with its day."""
    then, now = asked.zone.at(ms), asked.zone.at(asked.now_ms)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"


# -- charts


def _span(word: str) -> series.Span:
    return next(one for one in series.SPANS if one == word)


def _chart(name: str, title: str, numbers: series.Series, told: Callable[[float], str]) -> Chart:
    values = numbers.values[name]
    known = [value for value in values if value is not None]
    highest = max(known, default=0.0)
    last = values[-1] if values else None
    return Chart(
        name=name, title=title, points=_lines(values, highest), last="–" if last is None else told(last),
        highest=told(highest) if known else "–",
        lines=[(ms, "–" if value is None else told(value)) for ms, value in _thinned(numbers, values)],
        data=_data(numbers, values),
    )  # fmt: skip


def _data(numbers: series.Series, values: Sequence[float | None]) -> str:
    told = [None if value is None else float(f"{value:.6g}") for value in values]
    end = numbers.times_ms[-1] if numbers.times_ms else 0
    return msgspec.json.encode({"end": end, "step": numbers.step_ms, "values": told}).decode()


def _lines(values: Sequence[float | None], highest: float) -> list[str]:
    """Return the stretches that have values, each as the points of a line."""
    step, scale = _WIDTH / max(1, len(values) - 1), (_HEIGHT - 4) / (highest or 1)
    stretches: list[list[str]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append(f"{index * step:.1f},{_HEIGHT - 2 - value * scale:.1f}")
    return [" ".join(points * (2 if len(points) == 1 else 1)) for points in stretches if points]


def _thinned(numbers: series.Series, values: Sequence[float | None]) -> list[tuple[int, float | None]]:
    """Return so many values that a person reads them, the newest first: of several times the greatest."""
    each = -(-len(values) // _MOST_LINES) or 1
    found: list[tuple[int, float | None]] = []
    for end in range(len(values), 0, -each):
        known = [value for value in values[max(0, end - each) : end] if value is not None]
        found.append((numbers.times_ms[end - 1], max(known, default=None)))
    return found
