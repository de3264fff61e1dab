"""`onserver ps`: processes, and why those that wait do; procedures; members."""

import json
from typing import Any

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.limits import list_limits
from onserver.cli.live import INTERVAL, repeat
from onserver.cli.screen import columns, duration
from onserver.process.record import State, read_record
from onserver.views.family import Relative, family_of
from onserver.views.finding import find, numbers_in
from onserver.views.members import members
from onserver.views.processes import Row, Seen
from onserver.views.taking_part import Part, TakingPart


@click.command()
@click.argument("pattern", default="")
@click.option("--all", "ended", is_flag=True, help="Those that have ended as well.")
@click.option("--state", metavar="S", help="Only those in this state; several are joined by commas.")
@click.option("--session", metavar="ID", default="", help="Only those that this session asked for, or that run in it.")
@click.option("--procedures", is_flag=True, help="List the procedures instead.")
@click.option("--members", "list_members", is_flag=True, help="List workers and clients instead.")
@click.option("--limits", is_flag=True, help="List the limits that are in force instead.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True, help="How many at most.")
@click.option("--wide", is_flag=True, help="CPU time and memory of what runs as well.")
@click.option("--watch", is_flag=True, help="Go on, and show every second how it stands.")
@common_options
@pass_invocation
def ps(
    invocation: Invocation,
    pattern: str,
    ended: bool,
    state: str | None,
    session: str,
    procedures: bool,
    list_members: bool,
    limits: bool,
    limit: int,
    wide: bool,
    watch: bool,
) -> int:
    """List processes, with the reason why those that wait do.

    PATTERN: a number, a name with * and ?, or a part of one; several are joined by `;`. A process that is asked for by
    its number is shown whether it has ended or not. One alone is shown with the process that started it, and with those
    that it has started itself.

    Exit status: 0 done, 2 there is no such state, 4 nothing fits the pattern or session, 6 cannot reach Redis.
    """
    states = _states(state)

    def show() -> int:
        if procedures:
            return _procedures(invocation, pattern)
        if list_members:
            return _members(invocation)
        if limits:
            return list_limits(invocation, pattern)
        return _processes(invocation, pattern, limit, states, ended=ended, session=session.upper(), wide=wide)

    return repeat(invocation.screen, show, INTERVAL) if watch else show()


def _processes(
    invocation: Invocation, pattern: str, limit: int, states: frozenset[str], *, ended: bool, session: str, wide: bool
) -> int:
    seen = Seen(invocation.server().store)
    rows = find(seen, pattern, limit, ended=ended, states=states, session=session)
    if len(rows) > limit:
        rows = rows[:limit]
        invocation.screen.say(f"these are {limit}, and there are more: --limit, or a pattern, shows others")
    data, text = [row._asdict() for row in rows], table(rows, wide=wide) if rows else "no process"
    if len(rows) == 1 == len(numbers_in(pattern)):
        more, relatives = _family(seen, rows[0].number)
        data, text = [data[0] | more], "\n".join([text, *relatives])
    invocation.screen.result(data, text)
    return exits.NOT_FOUND if (pattern or session) and not rows else exits.DONE


def _family(seen: Seen, number: int) -> tuple[dict[str, Any], list[str]]:
    """Read who started a process and what it has started: for programs, and in lines for people."""
    record = read_record(seen.store, number)
    if record is None:
        return {}, []
    family = family_of(seen.store, record)
    lines = [f"started by {_named(family.parent)}"] if family.parent else []
    children = [_named(one) for one in family.children] + ([f"{family.more} more"] if family.more else [])
    lines += [f"has started {', '.join(children)}"] if children else []
    return {"children": [one._asdict() for one in family.children], "more_children": family.more}, lines


def _named(one: Relative) -> str:
    return f"#{one.number} {one.name} ({one.state})" if one.state else f"#{one.number}"


def table(rows: list[Row], without: frozenset[str] = frozenset(), *, wide: bool = False) -> str:
    """Lay out processes for people; columns that would be empty are left out, and those that are not wanted."""
    without = without if wide else without | _WIDE
    heads = ["#", "name", "kind", "caller", "state", "progress", "time", "cpu", "memory", "worker", "why"]
    cells = [row._asdict() | _cells(row) for row in rows]
    wanted = [head for head in heads if head not in without]
    shown = [head for head in wanted if head not in _OPTIONAL or any(cell[head] for cell in cells)]
    return columns(shown, cells, right=("#", "time", "progress", "cpu", "memory"))


_OPTIONAL = frozenset({"caller", "progress", "cpu", "memory", "why"})
_WIDE = frozenset({"cpu", "memory"})


def _cells(row: Row) -> dict[str, object]:
    cpu = "" if row.cpu_seconds is None else duration(row.cpu_seconds)
    memory = "" if row.memory is None else f"{row.memory / 1e6:.0f} MB"
    return {"#": row.number, "time": duration(row.seconds), "progress": percent(row), "cpu": cpu, "memory": memory}


def percent(row: Row) -> str:
    """How far a process is, in few letters."""
    if row.progress is None:
        return ""
    return f"{row.progress['done']:g}" if row.progress["percent"] is None else f"{row.progress['percent']} %"


def _states(given: str | None) -> frozenset[str]:
    names = frozenset(part.strip().lower() for part in (given or "").split(",") if part.strip())
    known = [state.value for state in State]
    for name in sorted(names):
        if name not in known:
            raise click.UsageError(f"There is no state `{name}`. The states are {', '.join(known)}.")
    return names


def _procedures(invocation: Invocation, pattern: str) -> int:
    store = invocation.server().store
    answer = store.command("HGETALL", store.key("procedures"))
    known = {name.decode(): json.loads(meta) for name, meta in zip(answer[::2], answer[1::2], strict=True)}
    rows = [{"name": name, **meta} for name, meta in sorted(known.items()) if not pattern or pattern in name]
    shown = columns(("name", "signature", "doc"), [_procedure_cells(row) for row in rows])
    invocation.screen.result(rows, shown if rows else "no procedure is registered: `onserver worker` registers them")
    return exits.NOT_FOUND if pattern and not rows else exits.DONE


def _procedure_cells(row: dict[str, Any]) -> dict[str, str]:
    return {
        "name": row["name"],
        "signature": row.get("signature", ""),
        "doc": (row.get("doc") or "").partition("\n")[0],
    }


def _members(invocation: Invocation) -> int:
    server = invocation.server()
    there = TakingPart(server)
    found = [member._asdict() | _standing(there.of(member.number)) for member in members(server.store)]
    cells = [row | {"beat": f"{row['silence']:.1f} s ago", "state": _state(row)} for row in found]
    heads = ("number", "kind", "node", "state", "host", "pid", "queues", "executors", "runs", "beat")
    shown = columns(heads, cells, right=("number", "pid", "executors", "runs")) if found else "no member"
    invocation.screen.result(found, shown)
    return exits.DONE


def _standing(part: Part | None) -> dict[str, Any]:
    """How a member is, as the admin page shows it; nothing of one that has left meanwhile."""
    names = ("state", "leads", "code", "version", "pool", "slots", "busy", "memory")
    return {name: getattr(part, name) if part is not None else None for name in names}


def _state(row: dict[str, Any]) -> str:
    return f"{row['state'] or ''}{', leads' if row['leads'] else ''}"
