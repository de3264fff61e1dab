"""When a backup is due: the modes of the original's scheduler (specification 7.3), in words.

    never
    every hour                                  every 6 hours
    every day at 02:00                          every 3 days at 02:00
    every week on sunday at 02:00               every 2 weeks on monday, friday at 02:00
    every month on 15 at 02:00                  every 3 months on 31 at 02:00
    every day at 02:00 in Europe/Paris          UTC where no zone is named

A date is a number, milliseconds since 1970, and what comes after one depends on nothing but that one. So any program
answers the same, whenever it was started: every X hours is counted from 1970 on, every X days from the first day of our
calendar, every X weeks from the first Monday of it, every X months from its first month.

On the day on which the clocks are put forward, a time that is left out comes right after the change; on that on which
they are put back, a time that is there twice comes the first time. A month that is too short for its day has it at its
end: 31 is the last day of every month.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from onserver.errors import BadSetting

NEVER: Final = "never"
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FORM: Final = re.compile(
    r"every (?:(?P<every>\d+) )?(?P<unit>hour|day|week|month)s?(?: on (?P<on>[\w, ]+?))?(?: at (?P<at>\d\d?:\d\d))?"
)
_HOUR_MS: Final = 3_600_000
_MOST_HOURS: Final = 24
_FORMS: Final = (
    "never; every hour; every 6 hours; every day at 02:00; every 2 weeks on monday, friday at 02:00; "
    "every month on 15 at 02:00; each with `in Europe/Paris` behind it"
)


@dataclass(frozen=True, kw_only=True)
class Dates:
    """The dates of a schedule. Made by `read`; see the top of this module.

    Attributes:
        text: as it is written in the settings.
        unit: `never`, `hour`, `day`, `week` or `month`.
        every: each so many of them, 1 or greater.
        on: days of the week, Monday is 1, or one day of the month; empty where every day will do.
        at: the time of the day.
        timezone: IANA name of the zone of day and time.
    """

    text: str
    unit: str
    every: int = 1
    on: tuple[int, ...] = ()
    at: time = time()
    timezone: str = "UTC"

    @classmethod
    def read(cls, text: str) -> Dates:
        """Read the words of the settings.

        Raises:
            BadSetting: ONS-1007, they say no date; the text of the error says what is wrong, and what is right.

        Example:
            >>> Dates.read("every 2 weeks on monday, friday at 02:00 in Europe/Paris").on
            (1, 5)
        """
        words = " ".join(text.lower().split())
        if words == NEVER:
            return cls(text=NEVER, unit=NEVER)
        words, _, zone = words.partition(" in ")
        form = _FORM.fullmatch(words)
        if form is None:
            raise _bad(text, f"it is none of: {_FORMS}")
        unit, every = form["unit"], int(form["every"] or 1)
        problem = _problem(unit, every, form["on"] or "", form["at"] or "")
        if problem:
            raise _bad(text, problem)
        at = _time(text, form["at"] or "0:00")
        on = tuple(_days(text, unit, form["on"]) if form["on"] else ())
        written = text.partition(" in ")[2].strip() if zone else ""
        return cls(text=" ".join(text.split()), unit=unit, every=every, on=on, at=at, timezone=_zone(text, written))

    def after(self, ms: int) -> int | None:
        """The first date later than this one; None where there is none."""
        if self.unit == NEVER:
            return None
        if self.unit == "hour":
            step = self.every * _HOUR_MS
            return (ms // step + 1) * step
        today = datetime.fromtimestamp(ms / 1000, UTC).astimezone(self._place).date()
        for day in self._days_from(today - timedelta(days=1)):
            found = self._moment(day)
            if found > ms:
                return found
        return None  # the calendar has come to its end

    def moment(self, ms: int) -> datetime:
        """A date as its zone has it."""
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone(self._place)

    def coming(self, ms: int, count: int) -> list[int]:
        """The next dates after this one, so many at most."""
        found: list[int] = []
        while len(found) < count and (date_ms := self.after(found[-1] if found else ms)) is not None:
            found.append(date_ms)
        return found

    def _days_from(self, first: date) -> Iterator[date]:
        """The days of the schedule, from this one on."""
        if self.unit == "month":
            yield from self._days_of_months(first)
            return
        for passed in range(first.toordinal() - 1, date.max.toordinal()):
            day = date.fromordinal(passed + 1)
            counted = passed // 7 if self.unit == "week" else passed  # the first day of our calendar is a Monday
            if counted % self.every == 0 and (self.unit == "day" or day.isoweekday() in self.on):
                yield day

    def _days_of_months(self, first: date) -> Iterator[date]:
        for month in range(12 * first.year + first.month - 1, 12 * date.max.year):
            year, index = divmod(month, 12)
            if month % self.every == 0:
                day = date(year, index + 1, min(self.on[0], monthrange(year, index + 1)[1]))
                if day >= first:
                    yield day

    def _moment(self, day: date) -> int:
        """The instant at which the clocks of the zone say that it is time."""
        wanted = datetime.combine(day, self.at)
        early, late = (wanted.replace(tzinfo=self._place, fold=fold).timestamp() for fold in (0, 1))
        if datetime.fromtimestamp(early, self._place).replace(tzinfo=None) == wanted:
            return round(early * 1000)  # the first one, where there are two
        return round(self._change(late, early) * 1000)

    def _change(self, before: float, after: float) -> float:
        """The second in between at which the clocks are put forward."""
        offset = datetime.fromtimestamp(before, self._place).utcoffset()
        while after - before > 1:
            middle = (before + after) // 2
            if datetime.fromtimestamp(middle, self._place).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after

    @cached_property
    def _place(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def _problem(unit: str, every: int, on: str, at: str) -> str:
    """What is missing or too much, or nothing."""
    if every == 0:
        return "every 0 is never"
    if unit == "hour":
        if on or at:
            return "every hour has no day and no time: it comes with each full hour"
        return "hours are from 1 to 24: beyond, write days" if every > _MOST_HOURS else ""
    if not at:
        return "it needs a time, as in `at 02:00`"
    if unit == "day":
        return "every day has no `on`: write weeks" if on else ""
    if not on:
        return "it needs a day, as in `on sunday`" if unit == "week" else "it needs a day, as in `on 15`"
    return ""


def _days(text: str, unit: str, on: str) -> Iterator[int]:
    words = [word for word in re.split(r"[,\s]+", on) if word and word != "and"]
    if unit == "month":
        if len(words) != 1 or not words[0].isdecimal() or not 1 <= int(words[0]) <= 31:
            raise _bad(text, "a day of the month is a number from 1 to 31")
        yield int(words[0])
        return
    numbers: set[int] = set()
    for word in words:
        found = [number for number, day in enumerate(_DAYS, start=1) if len(word) >= 3 and day.startswith(word)]
        if not found:
            raise _bad(text, f"`{word}` is no day of the week")
        numbers.update(found)
    yield from sorted(numbers)


def _time(text: str, at: str) -> time:
    hour, _, minute = at.partition(":")
    try:
        return time(int(hour), int(minute))
    except ValueError:
        raise _bad(text, f"`{at}` is no time of the day") from None


def _zone(text: str, name: str) -> str:
    try:
        return ZoneInfo(name or "UTC").key
    except (LookupError, ValueError, OSError):
        raise _bad(text, f"`{name}` is no time zone: an IANA name is one, like Europe/Paris") from None


def _bad(text: str, problem: str) -> BadSetting:
    return BadSetting("backup.schedule", text, problem)
