"""`onserver ps`: processes, and why those that wait do; procedures; members."""

import json
from typing import Any

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.members import members
from onserver.cli.processes import Row, Seen, matching, numbers_in
from onserver.cli.screen import columns, duration


@click.command()
@click.argument("pattern", default="")
@click.option("--all", "ended", is_flag=True, help="Those that have ended as well.")
@click.option("--state", metavar="S", help="Only those in this state.")
@click.option("--procedures", is_flag=True, help="List the procedures instead.")
@click.option("--members", "list_members", is_flag=True, help="List workers and clients instead.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True, help="How many at most.")
@common_options
@pass_invocation
def ps(
    invocation: Invocation,
    pattern: str,
    ended: bool,
    state: str | None,
    procedures: bool,
    list_members: bool,
    limit: int,
) -> int:
    """List processes, with the reason why those that wait do.

    PATTERN: a number, a name with * and ?, or a part of one; several are joined by `;`. A process that is asked for by
    its number is shown whether it has ended or not.

    Exit status: 0 done, 4 nothing fits the pattern, 6 cannot reach Redis.
    """
    if procedures:
        return _procedures(invocation, pattern)
    if list_members:
        return _members(invocation)
    seen = Seen(invocation.server().store)
    fits = matching(pattern)
    wanted = state.lower() if state else None
    shown = numbers_in(pattern) or seen.numbers(limit, ended or wanted is not None)
    rows = [row for row in seen.rows(shown) if fits(row) and wanted in {None, row.state}]
    if len(rows) > limit:
        invocation.screen.say(f"the first {limit} of {len(rows)}; --limit shows more")
    rows = rows[:limit]
    invocation.screen.result([row._asdict() for row in rows], _table(rows) if rows else "no process")
    return exits.NOT_FOUND if pattern and not rows else exits.DONE


def _table(rows: list[Row]) -> str:
    heads = ["#", "name", "kind", "state", "time", "worker"] + (["why"] if any(row.why for row in rows) else [])
    cells = [row._asdict() | {"#": row.number, "time": duration(row.seconds)} for row in rows]
    return columns(heads, cells, right=("#", "time"))


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
    found = members(invocation.server().store)
    cells = [member._asdict() | {"beat": f"{member.silence:.1f} s ago"} for member in found]
    heads = ("number", "kind", "node", "host", "pid", "queues", "executors", "runs", "beat")
    shown = columns(heads, cells, right=("number", "pid", "executors", "runs")) if found else "no member"
    invocation.screen.result([member._asdict() for member in found], shown)
    return exits.DONE
