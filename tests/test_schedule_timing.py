"""When schedules come: through both changes of the clocks, and what is due, late or missed at a given moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onserver import procedure
from onserver.errors import BadDeclaration
from onserver.process.rules import Missed
from onserver.process.schedule import MANY, Entry
from onserver.process.timing import BadTiming, Timing

BERLIN = "Europe/Berlin"
#: The day on which the clocks are put back at 03:00, and the one on which they are put forward at 02:00.
AUTUMN, SPRING = datetime(2026, 10, 25, tzinfo=ZoneInfo(BERLIN)), datetime(2027, 3, 28, tzinfo=ZoneInfo(BERLIN))
MINUTE = 60_000


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def times(timing: Timing, begin: int, end: int) -> list[int]:
    """All times from `begin` on and before `end`."""
    found: list[int] = []
    after = begin - 1
    while (time := timing.after(after)) is not None and time < end:
        found.append(time)
        after = time
    return found


@cache
def of_day(text: str, day: datetime) -> list[int]:
    return times(Timing.read(text, BERLIN), ms(day), ms(day) + 32 * 3600 * 1000)


def hours(text: str, day: datetime) -> list[str]:
    """The times of a cron text on one day in Berlin, as local time and distance from UTC."""
    timing = Timing.read(text, BERLIN)
    found = times(timing, ms(day), ms(day + timedelta(days=1)))  # local days, of 25 and 23 hours
    return [f"{timing.moment(time):%H:%M%z}"[:8] for time in found]


# Columns: the cron text; its times on the day of 25 hours; its times on the day of 23 hours.
CHANGES: list[tuple[str, list[str], list[str]]] = [
    # at certain hours: once, at the first of two equal times; left out times right after the change
    ("30 1 * * *", ["01:30+02"], ["01:30+01"]),
    ("0 2 * * *", ["02:00+02"], ["03:00+02"]),
    ("30 2 * * *", ["02:30+02"], ["03:00+02"]),
    ("59 2 * * *", ["02:59+02"], ["03:00+02"]),
    ("0 3 * * *", ["03:00+01"], ["03:00+02"]),
    ("0 2,4 * * *", ["02:00+02", "04:00+01"], ["03:00+02", "04:00+02"]),
    ("0 1-4 * * *", ["01:00+02", "02:00+02", "03:00+01", "04:00+01"], ["01:00+01", "03:00+02", "04:00+02"]),
    ("0 2 * * SUN", ["02:00+02"], ["03:00+02"]),
    ("0 2 * * MON", [], []),
    # oftener: as real time passes, so the hour that comes twice counts twice, and the one that is left out not at all
    (
        "0 */2 * * *",
        ["00:00+02", "02:00+02", "02:00+01"] + [f"{hour:02}:00+01" for hour in range(4, 24, 2)],
        ["00:00+01"] + [f"{hour:02}:00+02" for hour in range(4, 24, 2)],
    ),
    ("*/20 2 * * *", ["02:00+02", "02:20+02", "02:40+02", "02:00+01", "02:20+01", "02:40+01"], []),
]


@pytest.mark.parametrize(("text", "autumn", "spring"), CHANGES)
def test_times_on_the_days_on_which_the_clocks_are_changed(text: str, autumn: list[str], spring: list[str]) -> None:
    assert hours(text, AUTUMN) == autumn
    assert hours(text, SPRING) == spring


def test_what_runs_each_hour_or_oftener_runs_as_real_time_passes() -> None:
    for text, a_day in (("0 * * * *", 24), ("*/15 * * * *", 96), ("* * * * *", 1440)):
        assert len(hours(text, AUTUMN)) == a_day * 25 // 24
        assert len(hours(text, SPRING)) == a_day * 23 // 24


TEXTS = [text for text, _, _ in CHANGES] + ["* * * * *", "*/7 * * * *", "13 2 25,28 * *", "*/30 * * * * *"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TEXTS), st.sampled_from([AUTUMN, SPRING]), st.integers(0, 30 * 3600 * 1000 - 1))
def test_what_comes_next_does_not_depend_on_where_one_begins(text: str, day: datetime, offset: int) -> None:
    """A leader that starts at any moment of such a day, in the middle of the hour that comes twice, misses nothing."""
    timing = Timing.read(text, BERLIN)
    begin = ms(day)
    every = of_day(text, day)
    now = begin + offset
    expected = next((time for time in every if time > now), None)
    if expected is not None:
        assert timing.after(now) == expected
    before = [time for time in every if begin < time <= now]
    assert timing.last(begin, now) == (before[-1] if before else None)


def test_an_interval_is_counted_from_1970() -> None:
    timing = Timing.read("every 5m")
    assert timing.after(0) == 5 * MINUTE
    assert timing.after(5 * MINUTE - 1) == 5 * MINUTE
    assert timing.after(5 * MINUTE) == 10 * MINUTE
    assert timing.last(1, 61 * MINUTE) == 60 * MINUTE
    for text, seconds in (
        ("every 90", 90),
        ("every 90s", 90),
        ("every 1.5 m", 90),
        ("every 2h", 7200),
        ("every 1d", 86_400),
    ):
        assert Timing.read(text).after(0) == seconds * 1000


def test_the_last_of_very_many_is_found_at_once() -> None:
    timing = Timing.read("* * * * * *")
    now = ms(datetime(2026, 6, 1, tzinfo=UTC))
    assert timing.last(0, now + 999) == now


@pytest.mark.parametrize(
    ("text", "zone", "problem"),
    [
        ("0 2 * *", "UTC", "wrong number of fields"),
        ("0 25 * * *", "UTC", "bad hour"),
        ("0 2 30 2 *", "UTC", "bad day-of-month"),
        ("0 2 * * *", "Europe/Atlantis", "`Europe/Atlantis` is no time zone"),
        ("0 2 * * *", "", "`` is no time zone"),
        ("every 0.5s", "UTC", "too often"),
        ("every 0", "UTC", "too often"),
        ("* * */20 * 1L", "UTC", "never comes"),
    ],
)
def test_what_can_have_no_times_is_refused_where_it_is_written(text: str, zone: str, problem: str) -> None:
    with pytest.raises(BadTiming, match=problem):
        Timing.read(text, zone)
    with pytest.raises(BadDeclaration, match=f"has a schedule that cannot be kept: .*{problem}"):

        @procedure(schedule=text, timezone=zone)
        def nightly() -> None: ...


# Columns: policy; minutes ago of the last time that was started; minutes ago of the times that are started now, by a
# schedule of each minute where 10 minutes are late and not missed.
DUE: list[tuple[Missed, int, list[int]]] = [
    ("skip", 0, []),
    ("skip", 1, [0]),
    ("skip", 4, [3, 2, 1, 0]),  # a leader died, and its heir is late: each of them
    ("skip", 10, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
    ("skip", 60, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
    ("once", 4, [3, 2, 1, 0]),
    ("once", 10, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
    ("once", 60, [0]),
    ("once", 60 * 24 * 300, [0]),
    ("all", 4, [3, 2, 1, 0]),
    ("all", 60, list(range(59, -1, -1))),
    ("all", 1000, list(range(999, 999 - MANY, -1))),  # the rest in the next turns
    ("all", -30, []),  # the clock was put back: nothing until it has caught up
    ("once", -30, []),
]


@pytest.mark.parametrize(("missed", "last", "due"), DUE)
def test_what_is_due_after_some_absence(missed: Missed, last: int, due: list[int]) -> None:
    now = ms(datetime(2026, 6, 1, 12, tzinfo=UTC))
    entry = Entry(name="e", procedure="p", timing=Timing.read("* * * * *"), missed=missed)
    assert [(now - time) // MINUTE for time in entry.due(now - last * MINUTE, now, 10 * MINUTE)] == due


@pytest.mark.parametrize(("missed", "due"), [("skip", []), ("once", [120]), ("all", [1560, 120])])
def test_a_time_that_nobody_was_there_for(missed: Missed, due: list[int]) -> None:
    """Daily at 10, it is 12, and since the day before yesterday nobody was there."""
    now = ms(datetime(2026, 6, 3, 12, tzinfo=UTC))
    entry = Entry(name="e", procedure="p", timing=Timing.read("0 10 * * *"), missed=missed)
    last = ms(datetime(2026, 6, 1, 10, tzinfo=UTC))
    assert [(now - time) // MINUTE for time in entry.due(last, now, MINUTE)] == due


def test_an_entry_is_what_it_was_when_it_is_read() -> None:
    timing = Timing.read("0 2 1 * *", BERLIN, frozenset({1, 2}))
    entry = Entry(
        name="n", procedure="p", timing=timing, missed="all", args=[1, "a"], kwargs={"k": [2]}, source="settings"
    )
    assert Entry.read("n", entry.written()) == entry
