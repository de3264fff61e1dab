"""The schedule: what is started at its times, by which rule, when next, and what became of it; with what was missed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from onserver.admin.page import MOST_ROWS, Look, NotThere, Page, View, cursor_of
from onserver.admin.rendering import looking, span
from onserver.process.execute import Names
from onserver.process.plan import Planned, Step
from onserver.process.timing import Timing
from onserver.steer.actions import ACTIONS
from onserver.views.arguments import REDACTED
from onserver.views.django_beat import MOST_ENTRIES, django_entries
from onserver.views.masked import Mask, mask_of
from onserver.views.processes import Row, Seen
from onserver.views.schedules import MOST_COUNTED, SOURCES, STATES, Gap, Schedule, Schedules, history

_ROWS: Final = 50
#: The flag of a procedure whose arguments are shown nowhere.
_REDACTED: Final = "D"
#: Times that the page of one schedule tells.
_COMING: Final = 10
_NUMBER: Final = re.compile(r"\d{1,2}")
_EVERY_MINUTES: Final = re.compile(r"\*/(\d{1,2})")
_INTERVAL: Final = re.compile(r"every\s+(\d+(?:\.\d+)?)\s*(s|m|h|d|)", re.IGNORECASE)
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
#: How to add one: in the code, in the settings, on the command line.
_CODE: Final = '@procedure(schedule="0 2 * * *", timezone="Europe/Paris")\ndef nightly() -> None: ...'
_SETTINGS: Final = '[schedule.nightly]\nprocedure = "reports.nightly"\ncron = "0 2 * * *"\ntimezone = "Europe/Paris"'
_COMMAND: Final = 'onserver schedule add "0 2 * * *" reports.nightly --timezone Europe/Paris'


def schedule(asked: Look) -> View:
    """Show all schedules."""
    limit = asked.number("limit", _ROWS, 1, MOST_ROWS)
    source, state = asked.word("source", SOURCES), asked.word("state", STATES)
    there = Schedules(asked.server.store)
    rows = there.page(
        word=asked.text("q", 200), source=source, state=state, after=asked.text("cursor", 200), limit=limit
    )
    cursor = cursor_of(rows, limit, lambda row: row.planned.entry.name)
    beats = django_entries(asked.now_ms, asked.text("q", 200))
    with looking(asked):
        known = {
            "rows": [(row, _rule(asked, row.planned.entry.timing), _why(asked, row)) for row in rows],
            "count": len(there), "cursor": cursor, "sources": _sources(asked), "states": _states(asked),
            "sentence": _sentence(asked, rows, len(there)), "ways": _ways(asked),
            "beats": beats, "most_beats": MOST_ENTRIES,
            "rules": [_rule(asked, one.timing) if one.timing else one.rule for one in beats.rows] if beats else [],
        }  # fmt: skip
    data = {"schedules": [row.as_dict(_mask(asked, row.planned)) for row in rows], "cursor": cursor or None}
    if beats is not None:
        data |= {"django": [one.as_dict() for one in beats.rows], "django_problem": beats.problem or None}
    return View("schedule.html", known, data=data)


def one(asked: Look) -> View:
    """Show one schedule."""
    name = asked.path.get("name", "")
    there = Schedules(asked.server.store)
    found = there.of(name, _COMING)
    if found is None:
        raise NotThere(
            asked._("There is no schedule {name}: it was removed, or no code has it any more.", name=name[:200])
        )
    planned, mask = found.planned, _mask(asked, found.planned)
    told = history(asked.server.store, planned, there.now_ms)
    numbers = [step.number for step in told if isinstance(step, Step) and step.number]
    ran = {row.number: row for row in Seen(asked.server.store).rows(numbers)}
    with looking(asked):
        known = {
            "found": found, "entry": planned.entry, "rule": _rule(asked, planned.entry.timing),
            "why": _why(asked, found), "history": [_line(asked, step, ran) for step in told],
            "missed": _missed(asked)[planned.entry.missed], "source": _sources(asked)[planned.entry.source],
            "arguments": _arguments(mask, planned) if mask else REDACTED if asked.actor.may("admin.data") else None,
            "change": ACTIONS["schedule.change"], "now_is": _values(asked, planned),
        }  # fmt: skip
    data = {**found.as_dict(mask), "history": [_told(step) for step in told]}
    return View("schedule_one.html", known, data=data)


PAGES: Final = [
    Page("/schedule", "schedule", "Schedule", "c", schedule, live=("schedule", "member")),
    Page("/schedule/{name:path}", "schedule_one", "Schedule", "", one, nav=False, under="schedule",
         live=("schedule", "process", "member")),
]  # fmt: skip


# -- sentences


def _sentence(asked: Look, rows: Sequence[Schedule], count: int) -> str:
    if not count:
        return asked._("Nothing is scheduled.")
    coming = [(row.coming[0], row.planned.entry.name) for row in rows if row.coming and not row.held]
    text = asked.plural("One schedule.", "{n} schedules.", count)
    if coming:
        at, name = min(coming)
        left = span(max(0, at - asked.now_ms) / 1000)
        text += " " + asked._("Next comes {name}, in {span}.", name=name, span=left)
    return text


def _why(asked: Look, row: Schedule) -> str:
    """Say why a schedule starts nothing; empty where it does."""
    by = row.planned.paused
    tell: Mapping[str, Callable[[], str]] = {
        "": lambda: "",
        "paused": lambda: asked._(
            "It is paused by {by}: times that come meanwhile pass, and are not started later.", by=by),
        "no_worker": lambda: asked._("No worker that is up has it, so nobody starts it."),
        "stopped": lambda: asked._("The server does not run, so nobody starts it."),
        "maintenance": lambda: asked._("Maintenance holds it back: what is due then is started when it is over."),
    }  # fmt: skip
    return tell[row.held]()


def _ways(asked: Look) -> list[tuple[str, str]]:
    return [(asked._("In the code"), _CODE), ("config/onserver.toml", _SETTINGS), (asked._("Command"), _COMMAND)]


def _sources(asked: Look) -> dict[str, str]:
    return {
        "code": asked._("in the code"), "settings": asked._("in the settings"),
        "celery": asked._("Celery’s beat_schedule"), "added": asked._("added by hand"),
    }  # fmt: skip


def _states(asked: Look) -> dict[str, str]:
    return {"goes_on": asked._("goes on"), "paused": asked._("paused"), "no_worker": asked._("nobody starts it")}


def _missed(asked: Look) -> dict[str, str]:
    return {
        "once": asked._("one process for all that were missed"),
        "all": asked._("one process for each, the oldest first"),
        "skip": asked._("they are left out"),
    }  # fmt: skip


# -- the rule in words


def _rule(asked: Look, timing: Timing) -> str:
    """Say the times of a schedule in words; those that are no everyday ones as their cron text says them."""
    interval = _INTERVAL.fullmatch(timing.text)
    if interval:
        return asked._("every {span}", span=span(float(interval[1]) * _UNITS[interval[2].lower()]))
    found = _plainly(asked, timing)
    if found:
        return asked._("{rule}, {zone}", rule=found, zone=timing.timezone)
    return timing.words if asked.language.code == "en" else f"cron `{timing.text}`, {timing.timezone}"


def _plainly(asked: Look, timing: Timing) -> str:
    fields = timing.text.split()
    if len(fields) != 5 or fields[3] != "*":
        return ""
    minute, hour, day, _month, weekday = fields
    if timing.weekdays:
        weekday = ",".join(map(str, sorted(timing.weekdays)))
    daily = day == "*" and (weekday == "*" or _days(asked, weekday))
    if hour == "*" and daily and weekday == "*":
        every = _EVERY_MINUTES.fullmatch(minute)
        if minute == "*":
            return asked._("every minute")
        if every and 60 % int(every[1]) == 0:
            return asked.plural("every minute", "every {n} minutes", int(every[1]))
        return asked._("every hour at minute {minute}", minute=minute) if _NUMBER.fullmatch(minute) else ""
    if not (_NUMBER.fullmatch(minute) and _NUMBER.fullmatch(hour)):
        return ""
    time = f"{int(hour):02}:{int(minute):02}"
    if daily:
        days = "" if weekday == "*" else _days(asked, weekday)
        return asked._("{days} at {time}", days=days, time=time) if days else asked._("every day at {time}", time=time)
    if weekday == "*" and _NUMBER.fullmatch(day):
        return asked._("on day {day} of each month at {time}", day=day, time=time)
    return ""


def _days(asked: Look, weekday: str) -> str:
    """Name days of the week; empty for what is more than a list of them."""
    numbers: list[int] = []
    for part in weekday.upper().split(","):
        first, dash, last = part.partition("-")
        ends = [_WEEKDAYS.get(first, -1), _WEEKDAYS.get(last, -1) if dash else _WEEKDAYS.get(first, -1)]
        if min(ends) < 0 or ends[0] > ends[1]:
            return ""
        numbers += range(ends[0], ends[1] + 1)
    names = (
        asked._("Monday"), asked._("Tuesday"), asked._("Wednesday"), asked._("Thursday"), asked._("Friday"),
        asked._("Saturday"), asked._("Sunday"),
    )  # fmt: skip
    if numbers == [1, 2, 3, 4, 5]:
        return asked._("Monday to Friday")
    return ", ".join(names[number - 1] for number in sorted({number or 7 for number in numbers}))


_WEEKDAYS: Final = {
    **{str(number): number for number in range(7)}, "7": 7,
    **{name: number for number, name in enumerate(("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"), 1)},
}  # fmt: skip


# -- what became of it


def _line(asked: Look, step: Step | Gap, ran: Mapping[int, Row]) -> dict[str, Any]:
    """What a line of the history has."""
    if isinstance(step, Gap):
        count = f"{step.count:,}+" if step.count == MOST_COUNTED else f"{step.count:,}"
        text = (
            asked._("{count} of its times passed in the pause.", count=count)
            if step.paused
            else asked._("{count} of its times passed, and started nothing: nobody was there, or others held it up.",
                         count=count)
        )  # fmt: skip
        state = "paused" if step.paused else "missing"
        return {"at": step.until_ms, "text": text, "state": state, "row": None, "number": 0}
    texts: Mapping[str, Callable[[], str]] = {
        "paused": lambda: asked._("Paused by {by}.", by=step.by),
        "resumed": lambda: asked._("It goes on."),
        "began": lambda: asked._("It begins with the times that it has now."),
        "started": lambda: _started(asked, step),
    }
    row = ran.get(step.number)
    return {
        "at": step.at_ms,
        "text": texts[step.what](),
        "state": row.state if row else "",
        "row": row,
        "number": step.number,
    }


def _started(asked: Look, step: Step) -> str:
    if not step.time_ms:
        return asked._("Started by hand.")
    late = (step.at_ms - step.time_ms) / 1000
    at = asked.zone.exact(step.time_ms)
    if late < 1:
        return asked._("Started for {time}.", time=at)
    return asked._("Started for {time}, {span} late.", time=at, span=span(late))


def _told(step: Step | Gap) -> dict[str, Any]:
    return {"what": "missed", **vars(step)} if isinstance(step, Gap) else vars(step)


# -- its arguments


def _mask(asked: Look, planned: Planned) -> Mask | None:
    """What hides secrets among arguments; None where none at all may be seen, as of a procedure with `redact=True`."""
    if not asked.actor.may("admin.data"):
        return None
    order = asked.server.part(Names).described(planned.entry.procedure)
    return None if order is not None and _REDACTED in order.flags else mask_of(asked.server)


def _arguments(mask: Mask, planned: Planned) -> str:
    entry = planned.entry
    told = [repr(one) for one in mask.over(list(entry.args))]
    return ", ".join([*told, *(f"{name}={value!r}" for name, value in mask.over(dict(entry.kwargs)).items())])


def _values(asked: Look, planned: Planned) -> dict[str, str]:
    """What the form that changes a schedule has in its fields; arguments that may not be seen are left as they are."""
    entry, mask = planned.entry, _mask(asked, planned)
    found = {"times": entry.timing.text, "timezone": entry.timing.timezone, "missed": entry.missed}
    if mask is not None:
        for name, value in (("args", list(entry.args)), ("kwargs", dict(entry.kwargs))):
            if value and not mask.touches(value):
                found[name] = _json(value)
    return found


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, msgspec.ValidationError):  # what JSON has not: left empty, and so as it is
        return ""
