"""Celery's schedules as ours: the same times, by their own definition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab, schedule

from onserver.celery_app.beat_entries import timing_of
from onserver.process.timing import BadTiming

CRONTABS: list[dict[str, Any]] = [
    {},
    {"minute": 30},
    {"minute": "*/15"},
    {"minute": "7,19-22", "hour": "*/6"},
    {"minute": 0, "hour": 4},
    {"minute": 0, "hour": 4, "day_of_week": "mon-fri"},
    {"minute": 0, "hour": 4, "day_of_week": "sunday"},
    {"minute": 0, "hour": 4, "day_of_week": 0},
    {"minute": 0, "hour": 4, "day_of_week": "fri-mon"},
    {"minute": 0, "hour": 4, "day_of_month": 13},
    {"minute": 0, "hour": 4, "day_of_month": 13, "day_of_week": "fri"},
    {"minute": 0, "hour": 4, "day_of_month": "*/10", "day_of_week": "*/2"},
    {"minute": 0, "hour": 4, "day_of_month": "1-7", "month_of_year": "*/3"},
    {"minute": [0, 30], "hour": {1, 2}, "day_of_month": "31", "month_of_year": "1,3"},
]


@pytest.mark.parametrize("fields", CRONTABS, ids=str)
def test_a_crontab_has_the_times_that_celery_gives_it(fields: dict[str, Any]) -> None:
    theirs: Any = crontab(**fields, app=Celery("t", set_as_current=False))
    ours = timing_of(theirs)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    expected: list[datetime] = []
    days = 400 if len(theirs.hour) < 24 else 2
    for day in range(days):
        today = begin + timedelta(days=day)
        if (
            today.month in theirs.month_of_year
            and today.day in theirs.day_of_month
            and today.isoweekday() % 7 in theirs.day_of_week
        ):
            expected += [
                today + timedelta(hours=h, minutes=m) for h in sorted(theirs.hour) for m in sorted(theirs.minute)
            ]
    found, after = list[datetime](), round(begin.timestamp() * 1000) - 1
    while (time := ours.after(after)) is not None and (at := ours.moment(time)) < begin + timedelta(days=days):
        found.append(at)
        after = time
    assert found == expected


def test_a_crontab_is_read_in_the_zone_of_its_application() -> None:
    app: Any = Celery("t", set_as_current=False)
    app.conf.timezone = "Europe/Berlin"
    ours = timing_of(crontab(minute=30, hour=2, app=app))
    first = ours.after(round(datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp() * 1000))
    assert first is not None
    assert ours.moment(first).isoformat() == "2026-10-25T02:30:00+02:00"
    second = ours.after(first)
    assert second is not None
    assert ours.moment(second).isoformat() == "2026-10-26T02:30:00+01:00"


def test_an_interval() -> None:
    assert timing_of(schedule(timedelta(seconds=90))).text == "every 90"
    assert timing_of(schedule(2.5)).after(0) == 2500


def test_what_celery_alone_can_tell_is_left_to_it() -> None:
    class AtTheTide(schedule):  # type: ignore[misc]
        """Like `solar`, or one that is read from a database."""

    with pytest.raises(BadTiming, match="left to a beat with its own scheduler"):
        timing_of(AtTheTide(60))
