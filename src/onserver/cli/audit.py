"""`onserver audit`: what was done to the server, by whom, from where, and what was refused."""

from __future__ import annotations

import itertools

import click

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.steer.actions import ACTIONS
from onserver.steer.audit import KEPT, RESULTS, Line, lines


@click.command()
@click.option("--action", default="", metavar="A", help="Only this action, or those of a noun: `process`.")
@click.option("--user", default="", metavar="U", help="Only what this one did.")
@click.option("--target", default="", metavar="T", help="Only what was done to something with this in its name.")
@click.option("--result", type=click.Choice(RESULTS), help="Only what came to this.")
@click.option("--since", type=SECONDS, metavar="D", help="Only what is not older than this.")
@click.option("--limit", type=click.IntRange(1, KEPT), default=50, show_default=True, help="How many at most.")
@click.option("--actions", is_flag=True, help="List the actions that there are instead.")
@common_options
@pass_invocation
def audit(
    invocation: Invocation, action: str, user: str, target: str, result: str | None, since: float | None, limit: int,
    actions: bool,
) -> int:  # fmt: skip
    """List what was done to the server, the last first: on the admin page, through its API, with this command.

    A line is written for each action, and for one that was refused too; one that says `begun` is of an action that goes
    on, or whose program was killed. The last 10,000 are kept, and a restored backup changes none of them.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    if actions:
        rows = [{"action": one.name, "privilege": one.privilege, "does": one.title} for one in ACTIONS.values()]
        invocation.screen.result(rows, columns(("action", "privilege", "does"), rows))
        return exits.DONE
    store = invocation.server().store
    since_ms = 0 if since is None else max(0, store.now_ms() - int(since * 1000))
    wanted = lines(store, since_ms=since_ms, user=user, action=action, target=target, result=result or "")
    found = list(itertools.islice(wanted, limit))
    heads = ("at", "user", "where", "action", "target", "change", "result", "why")
    text = columns(heads, [_cells(line) for line in found]) if found else "no change has been made yet"
    invocation.screen.result([line.as_dict() for line in found], text)
    return exits.DONE


def _cells(line: Line) -> dict[str, str]:
    change = f"{line.before} → {line.after}" if line.before and line.after else line.before or line.after
    return {
        "at": f"{line.at:%Y-%m-%d %H:%M:%S}", "user": line.user, "where": f"{line.where} {line.origin}",
        "action": line.action, "target": line.target, "change": change, "result": line.result, "why": line.why,
    }  # fmt: skip
