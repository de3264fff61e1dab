"""Schedules that an operator adds while the server runs: kept in Redis, so they outlive every restart and every code.

They are as those that a project declares, and checked as these are. One that a project declares later under the same
name takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onserver.errors import BadDeclaration, ScheduleNotFound
from onserver.process.authority import require_ask
from onserver.process.execute import Names
from onserver.process.plan import planned
from onserver.process.put import Order
from onserver.process.rules import Missed
from onserver.process.schedule import Entry
from onserver.process.signed_schedule import sign_schedule
from onserver.process.timing import BadTiming, Timing
from onserver.redis.store import Store
from onserver.server import Server


def add_schedule(
    server: Server,
    times: str,
    procedure: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    name: str = "",
    timezone: str = "UTC",
    missed: Missed = "once",
    by: str = "",
) -> tuple[Entry, bool]:
    """Let a procedure be started at its times, from now on, until `remove_schedule`.

    Args:
        server: the server.
        times: a cron text, or `every 90`, `every 5m`, `every 2h`, `every 1d`.
        procedure: its name, or the end of it where no other's ends so.
        args: arguments by position.
        kwargs: arguments by name.
        name: of the schedule; the procedure's by default.
        timezone: IANA name of the zone in which a cron text is read.
        missed: what becomes of times that pass while no worker is up: skip, once or all.
        by: who adds it, for people.

    Returns:
        The schedule, and whether it was added: not where there is one of that name.

    Raises:
        BadDeclaration: ONS-1009, it can have no times or no such name.
        ProcedureNotFound: ONS-1104, no procedure of this name was ever registered.
        BadArguments: ONS-1105, the arguments do not fit its signature.
        NotSendable: ONS-1106, one of them cannot be sent.
        PrivilegeDenied: ONS-4103, who asks here may not start it.
    """
    entry, order = _entry(
        server, times, procedure, args, kwargs or {}, name=name, timezone=timezone, missed=missed, by=by
    )
    require_ask(server, order.procedure, order.requires, order.resource)
    store, written = server.store, entry.written()
    signed = sign_schedule(server, entry.name, written)
    return entry, bool(store.run("add_schedule", store.nonce(), entry.name, written, entry.timing.name, signed))


def change_schedule(
    server: Server,
    name: str,
    *,
    times: str = "",
    timezone: str = "",
    missed: Missed | None = None,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    by: str = "",
) -> tuple[Entry, bool]:
    """Let a schedule that was added say something else; what is not given stays. With other times it begins now.

    Args:
        server: the server.
        name: of the schedule, or the end of it.
        times: see `add_schedule`, as the next three are.
        timezone: in which a cron text is read.
        missed: what becomes of times that pass while no worker is up.
        args: all arguments by position.
        kwargs: all arguments by name.
        by: who changes it, for people.

    Returns:
        The schedule as it is now, and whether it was changed: not where a project declares it.

    Raises:
        ScheduleNotFound: ONS-1107.
        BadDeclaration: ONS-1009, it can have no such times.
        BadArguments: ONS-1105, the arguments do not fit its signature.
        NotSendable: ONS-1106, one of them cannot be sent.
        PrivilegeDenied: ONS-4103, who asks here may not start it.
    """
    was = planned(server.store, name).entry
    if was.source != "added":
        return was, False
    entry, order = _entry(
        server, times or was.timing.text, was.procedure, was.args if args is None else args,
        was.kwargs if kwargs is None else kwargs, name=was.name, timezone=timezone or was.timing.timezone,
        missed=missed or was.missed, by=by,
    )  # fmt: skip
    require_ask(server, order.procedure, order.requires, order.resource)
    written = entry.written()
    signed = sign_schedule(server, entry.name, written)
    answer = server.store.run("change_schedule", entry.name, written, entry.timing.name, signed)
    if answer < 0:
        raise ScheduleNotFound(name)
    return entry, bool(answer)


def _entry(
    server: Server, times: str, procedure: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str,
    timezone: str, missed: Missed, by: str,
) -> tuple[Entry, Order]:  # fmt: skip
    """Make a schedule, checked as a declaration is."""
    order = server.part(Names).order(procedure)
    full = name or order.procedure
    if any(letter.isspace() for letter in full):
        raise BadDeclaration(full, "is no name of a schedule", "A name has letters and no blanks.")
    try:
        timing = Timing.read(times, timezone)
    except BadTiming as error:
        raise BadDeclaration(
            full, f"has a schedule that cannot be kept: {error.problem.rstrip('.')}", error.advice
        ) from error
    if order.shape is not None:
        order.shape.bind(args, kwargs)
    entry = Entry(
        name=full,
        procedure=order.procedure,
        timing=timing,
        missed=missed,
        args=list(args),
        kwargs=dict(kwargs),
        source="added",
        by=by,
    )
    return entry, order


def remove_schedule(store: Store, name: str) -> bool:
    """Take out a schedule that was added. Returns False, and does nothing, where a project declares it.

    Args:
        store: the Redis of the server.
        name: full name of the schedule.

    Raises:
        ScheduleNotFound: ONS-1107.
    """
    answer = store.run("drop_schedule", store.nonce(), name)
    if answer < 0:
        raise ScheduleNotFound(name)
    return bool(answer)
