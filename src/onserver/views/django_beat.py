"""Entries of django-celery-beat, where this program has that application of Django's loaded: they are in its database.

They are started by a beat of its own (`celery beat -S django`), and changed in Django's admin; here they are looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from onserver.process.timing import BadTiming, Timing

#: Entries that are read at most.
MOST_ENTRIES: Final = 200
_MODELS, _DATABASE = "django_celery_beat.models", "django.db"
_SECONDS: Final = {"days": 86_400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0, "microseconds": 1e-6}


@dataclass(frozen=True, kw_only=True)
class DjangoEntry:
    """One entry. Times are milliseconds since 1970.

    Attributes:
        name: of it.
        task: that it starts.
        rule: its times, as django-celery-beat says them.
        timing: the same, where they are times of ours; None for the sun, and for one moment.
        enabled: whether it is started.
        coming: its next times, as far as they can be told.
        last_ms: when it was started last; 0 for never.
        runs: how often it was started.
    """

    name: str
    task: str
    rule: str
    timing: Timing | None
    enabled: bool
    coming: Sequence[int]
    last_ms: int
    runs: int

    def as_dict(self) -> dict[str, Any]:
        """The facts, ready for JSON."""
        facts = {name: value for name, value in vars(self).items() if name != "timing"}
        return {**facts, "times": self.timing.text if self.timing else None, "source": "django-celery-beat"}


@dataclass(frozen=True, kw_only=True)
class DjangoEntries:
    """All entries that fit.

    Attributes:
        rows: by name, `MOST_ENTRIES` at most.
        problem: why the database did not answer; empty where it did.
    """

    rows: Sequence[DjangoEntry] = ()
    problem: str = ""


def django_entries(now_ms: int, word: str = "") -> DjangoEntries | None:
    """Read the entries; None in a program that has no django-celery-beat.

    Args:
        now_ms: after which their next times are.
        word: that they have in their names; empty for all.
    """
    models, database = sys.modules.get(_MODELS), sys.modules.get(_DATABASE)
    if models is None or database is None:
        return None
    database.close_old_connections()
    try:
        found = models.PeriodicTask.objects.select_related("interval", "crontab", "solar", "clocked")
        wanted = found.filter(name__icontains=word) if word else found
        rows = [_entry(row, now_ms) for row in wanted.order_by("name")[:MOST_ENTRIES]]
    except database.Error as error:
        return DjangoEntries(problem=str(error) or type(error).__name__)
    return DjangoEntries(rows=rows)


def _entry(row: Any, now_ms: int) -> DjangoEntry:
    said = row.interval or row.crontab or row.solar or row.clocked
    timing = _timing(row)
    last = _ms(row.last_run_at)
    return DjangoEntry(
        name=row.name, task=row.task, rule=str(said or ""), timing=timing, enabled=bool(row.enabled), last_ms=last,
        runs=int(row.total_run_count), coming=_coming(row, timing, last, now_ms) if row.enabled else (),
    )  # fmt: skip


def _timing(row: Any) -> Timing | None:
    try:
        if row.interval is not None:
            return Timing.read(f"every {row.interval.every * _SECONDS[row.interval.period]:.10g}")
        cron = row.crontab
        if cron is None or "*" not in (cron.day_of_month, cron.day_of_week):  # of these Celery wants both, cron either
            return None
        fields = (cron.minute, cron.hour, cron.day_of_month, cron.month_of_year, cron.day_of_week)
        return Timing.read(" ".join("".join(str(field).split()) for field in fields), str(cron.timezone))
    except BadTiming:  # what Celery alone can tell: it is shown in its words
        return None


def _coming(row: Any, timing: Timing | None, last_ms: int, now_ms: int, count: int = 3) -> list[int]:
    """Its next times: an interval counts from its last start, and from nothing where there was none."""
    if row.clocked is not None:
        at = _ms(row.clocked.clocked_time)
        return [at] if at > now_ms else []
    if timing is None or (row.interval is not None and not last_ms):
        return []
    start, end = _ms(row.start_time), _ms(row.expires)
    times: list[int] = []
    after = max(now_ms, start - 1)
    if row.interval is not None:
        step = max(1, round(row.interval.every * _SECONDS[row.interval.period] * 1000))
        first = last_ms + step * max(1, (after - last_ms) // step + 1)
        times = [first + step * index for index in range(count)]
    else:
        while len(times) < count and (time := timing.after(after)) is not None:
            times.append(time)
            after = time
    return [time for time in times if not end or time < end]


def _ms(at: datetime | None) -> int:
    return 0 if at is None else round(at.timestamp() * 1000)
