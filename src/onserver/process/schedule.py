"""What is started at its times: the schedules that procedures declare, and those of the settings file.

    @procedure(schedule="0 2 * * *", timezone="Europe/Paris")      [schedule.nightly]
    def invoices() -> None: …                                      procedure = "shop.invoices"
                                                                   cron = "0 2 * * *"

A schedule of the settings takes the place of one in the code that has the same name, which is the procedure's. Those
that an operator adds are kept in Redis alone: see `added.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from onserver.errors import BadArguments, BadDeclaration, BadSetting, ProcedureNotFound
from onserver.planned import ScheduleSettings
from onserver.process.procedure import Procedure
from onserver.process.rules import Missed
from onserver.process.timing import BadTiming, Timing
from onserver.registry import find_name
from onserver.server import Server
from onserver.values import decode, encode

Source = Literal["code", "settings", "celery", "added"]

#: How many times of one schedule are started in one turn: a long backlog does not keep a worker from its other duties.
MANY: Final = 100


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One schedule.

    Attributes:
        name: the procedure's, that of its table in the settings, or that of Celery's entry.
        procedure: full name of what is started.
        timing: when.
        missed: what becomes of times that passed while nobody was there to start them.
        args: arguments by position.
        kwargs: arguments by name.
        source: where it is declared; `added` for one that is kept in Redis only.
        by: who added it, for people.
        send: starts it at a time, given in ms, and answers as `put` does; None for what `put` itself starts.
    """

    name: str
    procedure: str
    timing: Timing
    missed: Missed = "once"
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: Source = "code"
    by: str = ""
    send: Callable[[int], str] | None = field(default=None, compare=False, repr=False)

    def due(self, last: int, now: int, late: int) -> list[int]:
        """The times to be started now, oldest first, `MANY` at most.

        Args:
            last: the last time that was started, or at which the schedule began.
            now: the time of Redis.
            late: a time not longer ago than this, in ms, is late, and started; an older one was missed.
        """
        times: list[int] = []
        if self.missed != "all" and last < now - late:
            missed = self.timing.last(last, now - late)
            if missed is not None and self.missed == "once":
                newest = self.timing.last(missed, now)
                return [missed if newest is None else newest]
            last = now - late
        while len(times) < MANY and (time := self.timing.after(last)) is not None and time <= now:
            times.append(time)
            last = time
        return times

    def written(self) -> bytes:
        """What other programs read of it."""
        facts = {
            "procedure": self.procedure, "text": self.timing.text, "timezone": self.timing.timezone,
            "weekdays": sorted(self.timing.weekdays), "missed": self.missed, "args": list(self.args),
            "kwargs": dict(self.kwargs), "source": self.source, "by": self.by,
        }  # fmt: skip
        return encode(facts, f"Schedule {self.name}")

    @classmethod
    def read(cls, name: str, written: bytes) -> Entry:
        """Read what `written` wrote."""
        facts: dict[str, Any] = decode(written)
        days = frozenset(cast("list[int]", facts["weekdays"]))
        return cls(
            name=name,
            procedure=facts["procedure"],
            timing=Timing(text=facts["text"], timezone=facts["timezone"], weekdays=days),
            missed=facts["missed"],
            args=facts["args"],
            kwargs=facts["kwargs"],
            source=facts["source"],
            by=facts.get("by", ""),
        )


def schedules_of(server: Server, others: Iterable[str] = ()) -> tuple[Entry, ...]:
    """The schedules that a loaded project declares, in code and in its settings.

    Args:
        server: the server of the project; its tasks are loaded.
        others: names that can be run besides its procedures: tasks of Celery's.

    Raises:
        BadDeclaration: ONS-1009, the procedure cannot be called without arguments.
        BadSetting: ONS-1007, a table of the settings can have no times, or nothing to start.
    """
    found: dict[str, Entry] = {}
    for declared in server.registry.all():
        if isinstance(declared, Procedure) and declared.rules.schedule:
            found[declared.name] = _of_procedure(cast("Procedure[..., Any]", declared))
    for name, table in server.settings.schedule.items():
        found[name] = _of_settings(server, name, table, others)
    return tuple(found.values())


def _of_procedure(procedure: Procedure[..., Any]) -> Entry:
    rules = procedure.rules
    try:
        procedure.shape.bind((), {})
    except BadArguments as error:
        problem = f"has a schedule, which passes no arguments, but {error.problem}"
        raise BadDeclaration(procedure.name, problem, "Give them defaults, or write [schedule] settings.") from error
    timing = Timing.read(rules.schedule, rules.timezone)
    return Entry(name=procedure.name, procedure=procedure.name, timing=timing, missed=rules.missed)


def _of_settings(server: Server, name: str, table: ScheduleSettings, others: Iterable[str]) -> Entry:
    key = f"schedule.{name}"
    if bool(table.cron) == bool(table.every_seconds):
        said = "both `cron` and `every_seconds`" if table.cron else "neither `cron` nor `every_seconds`"
        raise BadSetting(key, said, "it has to have one of them")
    try:
        timing = Timing.read(table.cron or f"every {table.every_seconds:.10g}", table.timezone)
    except BadTiming as error:
        raise BadSetting(
            key, table.cron or table.every_seconds, f"{error.problem.rstrip('.')}; {error.advice}"
        ) from error
    args = [] if isinstance(table.arguments, dict) else table.arguments
    kwargs = table.arguments if isinstance(table.arguments, dict) else {}
    full = _full_name(server, key, table.procedure, others)
    procedure = server.registry.find(full)
    if isinstance(procedure, Procedure):
        try:
            procedure.shape.bind(args, kwargs)
        except BadArguments as error:
            raise BadSetting(f"{key}.arguments", table.arguments, f"`{full}()` {error.problem}") from error
    return Entry(
        name=name, procedure=full, timing=timing, missed=table.missed, args=args, kwargs=kwargs, source="settings"
    )


def _full_name(server: Server, key: str, name: str, others: Iterable[str]) -> str:
    full, near = find_name(name, dict.fromkeys((*server.registry.names(), *others)))
    if full is None:
        problem = "no procedure has this name" + (f"; near it: {', '.join(near)}" if near else "")
        raise BadSetting(f"{key}.procedure", name, problem) from ProcedureNotFound(name, near)
    return full
