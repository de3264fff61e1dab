"""Entries of Celery's `beat_schedule`: kept by the leader of the workers, by `celery beat -S onserver`, or by both.

An entry is a schedule like any other (`onserver schedule ls` shows it), but for two things: only a program that has the
application loaded can start its task, and its times are what Celery's classes say. A `crontab` is a cron text whose
days of the month and of the week must both fit; an interval is counted from 1970 here, so that whoever starts it agrees
about its times. Other classes of schedules (`solar`, or one's own) are left to a beat with its own scheduler.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from celery import beat, schedules
from celery.utils.log import get_logger

from onserver.errors import BadDeclaration, MaintenanceMode, ReachError
from onserver.process.schedule import Entry
from onserver.process.tick import at_time
from onserver.process.timing import BadTiming, Timing

logger = get_logger(__name__)

_WEEK: Final = frozenset(range(7))
_SUNDAY: Final = 7


def entries_of(app: Any) -> tuple[Entry, ...]:
    """The entries of an application that the leader can keep; none where it has a broker of its own."""
    if app.desk.elsewhere:
        return ()
    reading = beat.Scheduler(app, lazy=True)
    reading.update_from_dict(app.conf.beat_schedule or {})
    return tuple(entries_among(app, reading.schedule or {}))


def entries_among(app: Any, found: Mapping[str, Any]) -> Iterator[Entry]:
    """These entries of Celery's as schedules; one whose times are known to Celery only is named in the log."""
    sender = beat.Scheduler(app, lazy=True)
    for name, theirs in found.items():
        try:
            timing = timing_of(theirs.schedule)
        except BadTiming as error:
            logger.warning("beat_schedule %r: %s", name, error)
            continue
        yield Entry(
            name=name,
            procedure=theirs.task,
            timing=timing,
            source="celery",
            send=partial(_send, sender, theirs),
        )


def timing_of(schedule: Any) -> Timing:
    """The times of one of Celery's schedules.

    Raises:
        BadTiming: it is of a class whose times are known to Celery only.
    """
    if type(schedule) is schedules.crontab:
        return _of_crontab(schedule)
    if type(schedule) is schedules.schedule:
        return Timing.read(f"every {schedule.run_every.total_seconds():.10g}")
    raise BadTiming(f"{schedule!r} is left to a beat with its own scheduler.", "Intervals and `crontab` are kept here.")


def _of_crontab(schedule: Any) -> Timing:
    days = schedule.day_of_week
    fields = (
        _field(schedule._orig_minute, schedule.minute, 60),
        _field(schedule._orig_hour, schedule.hour, 24),
        _field(schedule._orig_day_of_month, schedule.day_of_month, 31),
        _field(schedule._orig_month_of_year, schedule.month_of_year, 12),
        "*",  # given with days of the month, cron would take a day that fits either, and Celery takes both
    )
    weekdays = frozenset[int]() if days >= _WEEK else frozenset(day or _SUNDAY for day in days)
    return Timing.read(" ".join(fields), str(schedule.tz), weekdays)


def _field(written: Any, values: set[int], count: int) -> str:
    """One field of a cron text. What begins with `*` goes on doing so: it tells that oftener than daily is meant."""
    if len(values) == count:
        return "*"
    plain = str(written).startswith("*/") and "," not in str(written)
    return str(written) if plain else ",".join(map(str, sorted(values)))


def _send(sender: Any, theirs: Any, time: int) -> str:
    """Start the task of an entry at one of its times; answers as `put` does."""
    try:
        # a connection of its own, closed at once: a worker forks, and its children shall not have it
        with sender.app.connection_for_write() as connection, at_time(theirs.name, time) as tick:
            producer = sender.app.amqp.Producer(connection, auto_declare=False)
            sender.apply_async(theirs, producer=producer, advance=False)
    except beat.SchedulingError as error:
        if isinstance(error.__context__, ReachError | MaintenanceMode):
            raise error.__context__ from error
        raise BadDeclaration(theirs.name, f"cannot be started: {error}") from error
    return tick.how
