"""When a schedule comes: a cron text in a time zone, or every so many seconds.

A time is a number: milliseconds since 1970. What comes after one depends on nothing but that one, so any program
answers the same, whenever it was started; an interval is counted from 1970 for the same reason.

Cron texts are read by `cronsim`, which does what Debian's cron does. Where the clocks are changed: what runs at certain
hours (neither its minutes nor its hours begin with `*`) runs once, at the first of two equal times, or, where its time
is left out, right after the change; what runs more often runs as real time passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from onserver.errors import BadDeclaration

_EVERY: Final = re.compile(r"every\s+(\d+(?:\.\d+)?)\s*(s|m|h|d|)", re.IGNORECASE)
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SHORTEST_MS: Final = 1000
_MONDAY: Final = 1


class BadTiming(ValueError):
    """A text that is none: says what is wrong, and what is right, for the error of whoever wrote it."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem} {advice}")
        self.problem, self.advice = problem, advice


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The times of a schedule. Made by `read`; see the top of this module.

    Attributes:
        text: a cron text of five fields (or six, with seconds first), or `every 90`, `every 5m`, `every 2h`.
        timezone: IANA name in which a cron text is read.
        weekdays: only on these days as well, Monday is 1; empty for all.
    """

    text: str
    timezone: str = "UTC"
    weekdays: frozenset[int] = field(default=frozenset())

    @classmethod
    def read(cls, text: str, timezone: str = "UTC", weekdays: frozenset[int] = frozenset()) -> Timing:
        """Read what was written in a declaration.

        Raises:
            BadTiming: it can have no times.

        Example:
            >>> Timing.read("0 2 * * *", "Europe/Paris").words
            'At 02:00 every day, Europe/Paris'
        """
        made = cls(text=" ".join(text.split()), timezone=timezone, weekdays=weekdays)
        try:
            first = made.after(0)
        except CronSimError as error:
            problem = f"`{text}` is no cron text: {str(error)[:1].lower()}{str(error)[1:]}."
            raise BadTiming(problem, "Five fields: minute hour day month weekday; or `every 5m`.") from error
        except (LookupError, ValueError, OSError) as error:
            raise BadTiming(f"`{timezone}` is no time zone.", "Give an IANA name, like `Europe/Paris`.") from error
        if made._every_ms is not None and made._every_ms < _SHORTEST_MS:
            raise BadTiming(f"`{text}` is too often.", "The shortest interval is a second.")
        if first is None:
            raise BadTiming(f"`{text}` never comes.", "There is no such day.")
        return made

    def after(self, ms: int) -> int | None:
        """The first time later than this one, or None if there is none in 50 years."""
        if self._every_ms is not None:
            return (ms // self._every_ms + 1) * self._every_ms if self._every_ms else None
        start = datetime.fromtimestamp(ms / 1000, UTC).astimezone(self._zone)
        for time in CronSim(self.text, start):
            found = round(time.timestamp() * 1000)
            # in the second of two equal hours cronsim answers with the first one's time: that one has been
            if found > ms and (not self.weekdays or time.weekday() + _MONDAY in self.weekdays):
                return found
        return None

    def last(self, after: int, until: int) -> int | None:
        """The last time later than `after`, `until` at the latest, or None; in few steps, however many there are."""
        found, low, high = None, after, until
        while low < high:
            middle = (low + high) // 2 if found is not None else low
            time = self.after(middle)
            if time is not None and time <= until:
                found = low = time
            elif middle == low:
                break
            else:
                high = middle
        return found

    def moment(self, ms: int) -> datetime:
        """One of its times as its zone has it."""
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone(self._zone)

    @property
    def words(self) -> str:
        """The times in words, for people."""
        if self._every_ms is not None:
            return self.text
        told: str = CronSim(self.text, datetime.now(UTC)).explain()
        return f"{told}, {self.timezone}"

    @property
    def name(self) -> str:
        """Text and zone: what changes when the times do."""
        days = "".join(map(str, sorted(self.weekdays)))
        return f"{self.text} {self.timezone} {days}".rstrip()

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @cached_property
    def _every_ms(self) -> int | None:
        match = _EVERY.fullmatch(self.text)
        return int(float(match[1]) * _UNITS[match[2].lower()] * 1000) if match else None


def check(name: str, text: str, timezone: str) -> None:
    """Refuse the schedule of a procedure that can have no times.

    Raises:
        BadDeclaration: ONS-1009.
    """
    try:
        Timing.read(text, timezone)
    except BadTiming as error:
        raise BadDeclaration(
            name, f"has a schedule that cannot be kept: {error.problem.rstrip('.')}", error.advice
        ) from error
