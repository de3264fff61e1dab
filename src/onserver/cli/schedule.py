"""`onserver schedule`: what is started at its times: when next, by hand, not for now; and what an operator adds."""

import getpass
import socket
from datetime import datetime
from typing import Any

import click

from onserver.cli import exits, words
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns, duration
from onserver.process.added import add_schedule, change_schedule, remove_schedule
from onserver.process.plan import Planned, hold, plan_of, planned, start_by_hand
from onserver.process.rules import Missed

_NONE = "nothing is scheduled: `@procedure(schedule=…)`, [schedule] in config/onserver.toml, or `onserver schedule add`"


@click.group()
@common_options
def schedule() -> None:
    """List schedules, add some, start, pause and resume them."""


@schedule.command()
@common_options
@pass_invocation
def ls(invocation: Invocation) -> int:
    """List the schedules: what each starts, when, and what it started last.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    store = invocation.server().store
    now = store.now_ms()
    rows = [_row(one, now) for one in plan_of(store)]
    heads = ("next", "name", "times", "in", "last", "from", "state")
    invocation.screen.result(rows, columns(heads, [_cells(row) for row in rows]) if rows else _NONE)
    return exits.DONE


@schedule.command("next")
@click.argument("name", default="")
@click.option("-n", "count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many times.")
@common_options
@pass_invocation
def coming(invocation: Invocation, name: str, count: int) -> int:
    """Print the next times of all schedules, or of NAME.

    Exit status: 0 done, 4 there is no such schedule, 6 cannot reach Redis.
    """
    store = invocation.server().store
    now = store.now_ms()
    found = [planned(store, name)] if name else plan_of(store)
    times = sorted((time, one.entry.name, one.entry.timing.moment(time)) for one in found
                   for time in one.coming(now, count))[:count]  # fmt: skip
    rows = [{"time": at.isoformat(), "name": who, "in_seconds": (time - now) / 1000} for time, who, at in times]
    cells = [{"time": _moment(at), "name": who, "in": duration((time - now) / 1000)} for time, who, at in times]
    invocation.screen.result(rows, columns(("time", "name", "in"), cells) if rows else "nothing is to come")
    return exits.DONE


@schedule.command(context_settings={"ignore_unknown_options": True})
@click.argument("times", metavar="CRON")
@click.argument("procedure", metavar="PROC")
@click.argument("arguments", nargs=-1, metavar="[ARG…] [key=value…]")
@click.option("--name", metavar="NAME", default="", help="Its name; that of the procedure by default.")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="In which CRON is read.")
@click.option("--missed", type=click.Choice(["skip", "once", "all"]), default="once", show_default=True,
              help="What becomes of times that pass while no worker is up.")  # fmt: skip
@common_options
@pass_invocation
def add(
    invocation: Invocation,
    times: str,
    procedure: str,
    arguments: tuple[str, ...],
    name: str,
    timezone: str,
    missed: Missed,
) -> int:
    """Start PROC at the times of CRON from now on: `0 2 * * *`, or `every 5m`. It is kept in Redis, until `rm`.

    Each ARG is read as JSON where it is JSON, else as text; `key=value` is passed by name.

    Exit status: 0 done, 2 wrong times or arguments, 4 no such procedure, 6 cannot reach Redis, 8 there is a schedule of
    that name.
    """
    server = invocation.server()
    if not server.store.command("EXISTS", server.store.key("procedures")):
        server.load_tasks()  # no worker has ever come to say what there is: the project's files do
    args, kwargs = words.arguments(arguments)
    entry, new = add_schedule(
        server, times, procedure, args, kwargs, name=name, timezone=timezone, missed=missed, by=_here()
    )
    if not new:
        invocation.screen.complaint(
            f"There is a schedule `{entry.name}` already.",
            "`--name` gives this one another name; `onserver schedule ls` lists all.",
        )
        return exits.CONFLICT
    row = _row(planned(server.store, entry.name), server.store.now_ms())
    invocation.screen.result(row, f"{entry.name}: {row['words']}, next {_cells(row)['next']}")
    return exits.DONE


@schedule.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[ARG…] [key=value…]")
@click.option("--times", metavar="CRON", default="", help="`0 2 * * *`, or `every 5m`.")
@click.option("--timezone", metavar="ZONE", default="", help="In which CRON is read.")
@click.option("--missed", type=click.Choice(["skip", "once", "all"]), default=None,
              help="What becomes of times that pass while no worker is up.")  # fmt: skip
@common_options
@pass_invocation
def change(
    invocation: Invocation,
    name: str,
    arguments: tuple[str, ...],
    times: str,
    timezone: str,
    missed: Missed | None,
) -> int:
    """Let NAME, which was added, say something else. What is not given stays; arguments, once any are given, are all.

    Exit status: 0 done, 2 wrong times or arguments, 3 the project declares it, 4 there is no such schedule, 6 cannot
    reach Redis.
    """
    server = invocation.server()
    args, kwargs = words.arguments(arguments) if arguments else (None, None)
    entry, changed = change_schedule(
        server, name, times=times, timezone=timezone, missed=missed, args=args, kwargs=kwargs, by=_here()
    )
    if not changed:
        problem = f"`{entry.name}` is declared ({entry.source}), and is changed there."
        invocation.screen.complaint(
            problem, "A table [schedule] in config/onserver.toml takes the place of the code's."
        )
        return exits.REFUSED
    row = _row(planned(server.store, entry.name), server.store.now_ms())
    invocation.screen.result(row, f"{entry.name}: {row['words']}, next {_cells(row)['next']}")
    return exits.DONE


@schedule.command()
@click.argument("name")
@common_options
@pass_invocation
def rm(invocation: Invocation, name: str) -> int:
    """Take NAME out, which was added. One that the project declares goes when its code or settings do; see `pause`.

    Exit status: 0 done, 3 the project declares it, 4 there is no such schedule, 6 cannot reach Redis.
    """
    store = invocation.server().store
    entry = planned(store, name).entry
    if not remove_schedule(store, entry.name):
        invocation.screen.complaint(
            f"`{entry.name}` is declared ({entry.source}), and would be there again with the next worker.",
            f"`onserver schedule pause {entry.name}` lets its times pass.",
        )
        return exits.REFUSED
    invocation.screen.result({"name": entry.name}, f"{entry.name}: removed")
    return exits.DONE


@schedule.command()
@click.argument("name")
@common_options
@pass_invocation
def run(invocation: Invocation, name: str) -> int:
    """Start what NAME starts, now; its times stay as they are. Prints the number of the process.

    Exit status: 0 done, 3 only a worker that has Celery's application can start it, 4 there is no such schedule,
    6 cannot reach Redis.
    """
    server = invocation.server()
    found = planned(server.store, name)
    entry = found.entry
    if entry.source == "celery":
        problem = f"`{entry.name}` is an entry of Celery's `beat_schedule`: its task is started there."
        invocation.screen.complaint(problem, f"`celery -A workers call {entry.procedure}` starts the task.")
        return exits.REFUSED
    process = start_by_hand(server, found)
    invocation.screen.result({"process": process.number, "name": entry.name}, str(process.number))
    return exits.DONE


@schedule.command()
@click.argument("name")
@common_options
@pass_invocation
def pause(invocation: Invocation, name: str) -> int:
    """Let the times of NAME pass until it is resumed. It stays paused whatever is restarted.

    Exit status: 0 done, or it was paused already; 4 there is no such schedule; 6 cannot reach Redis.
    """
    return _hold(invocation, name, _here())


@schedule.command()
@click.argument("name")
@common_options
@pass_invocation
def resume(invocation: Invocation, name: str) -> int:
    """Let NAME go on, with the times that come from now on.

    Exit status: 0 done, or it was not paused; 4 there is no such schedule; 6 cannot reach Redis.
    """
    return _hold(invocation, name, "")


def _here() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _hold(invocation: Invocation, name: str, by: str) -> int:
    store = invocation.server().store
    full = planned(store, name).entry.name
    was_so = hold(store, full, by)
    one = planned(store, full)
    row = _row(one, store.now_ms())
    done = f"was {'paused' if by else 'not paused'} already" if was_so else "paused" if by else "goes on"
    then = f", next {_cells(row)['next']}" if row["next"] else ""
    invocation.screen.result(row | {"changed": not was_so}, f"{full}: {done}{then}")
    return exits.DONE


def _row(one: Planned, now: int) -> dict[str, Any]:
    """One schedule, ready for JSON."""
    entry = one.entry
    times = one.coming(now)
    return {
        "name": entry.name,
        "procedure": entry.procedure,
        "times": entry.timing.text,
        "timezone": entry.timing.timezone,
        "words": entry.timing.words,
        "missed": entry.missed,
        "source": entry.source,
        "added_by": entry.by or None,
        "next": entry.timing.moment(times[0]).isoformat() if times else None,
        "in_seconds": (times[0] - now) / 1000 if times else None,
        "process": one.number or None,
        "paused_by": one.paused or None,
        "alive": one.alive,
    }


def _cells(row: dict[str, Any]) -> dict[str, str]:
    state = f"paused by {row['paused_by']}" if row["paused_by"] else "" if row["alive"] else "no worker has it"
    return {
        "next": _moment(datetime.fromisoformat(row["next"])) if row["next"] else "never" if not state else "",
        "name": row["name"],
        "times": row["words"],
        "in": duration(row["in_seconds"]) if row["next"] else "",
        "last": f"#{row['process']}" if row["process"] else "",
        "from": f"added by {row['added_by']}" if row["added_by"] else row["source"],
        "state": state,
    }


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %a %H:%M:%S}"
