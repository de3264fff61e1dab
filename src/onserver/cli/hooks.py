"""`onserver hooks`: which there are, how they ran, and run one now."""

import getpass
import socket
from typing import Any

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns, duration
from onserver.cli.words import arguments
from onserver.life.events import tell_own
from onserver.life.hook import SYSTEM_EVENT, Hook, side_name
from onserver.life.hook_arguments import HookArgument
from onserver.life.hook_records import HookRecord, read_runs
from onserver.life.side_runs import start_side
from onserver.process.handle import Process
from onserver.process.side import runnable_aside
from onserver.server import Server
from onserver.views.hooks_found import all_hooks, find_hook, full_name_of, marked, trial_argument

_NONE = "the project declares no hooks: `@on_server_startup`, `@on_backup_startup`, … in a file of tasks/"
_NEVER_RAN = "no run of a hook is kept"


@click.group()
@common_options
def hooks() -> None:
    """List hooks and their runs, run one now, and tell an event."""


@hooks.command()
@click.argument("name")
@click.argument("facts", nargs=-1, metavar="[key=value…]")
@common_options
@pass_invocation
def event(invocation: Invocation, name: str, facts: tuple[str, ...]) -> int:
    """Tell an event of your own, as `system_event(NAME, key=value, …)` does: `on_system_event` hooks hear it once.

    Each value is read as JSON where it is JSON, else as text.

    Exit status: 0 done, 2 it cannot be named so, or is too large; 6 cannot reach Redis.
    """
    others, payload = arguments(facts)
    if others:
        raise click.UsageError(f"`{others[0]}` is no fact of an event: write key=value.")
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    told = tell_own(invocation.server().store, name, payload, who=who)
    invocation.screen.result({"id": told, "name": name, "payload": payload}, f"{name}: told")
    return exits.DONE


@hooks.command()
@common_options
@pass_invocation
def ls(invocation: Invocation) -> int:
    """List the hooks of the project by kind, in the order in which they run, and how each ran last.

    Exit status: 0 done, 2 the project cannot be imported, 6 cannot reach Redis.
    """
    server = invocation.server()
    found = all_hooks(server)
    last: dict[tuple[str, str], HookRecord] = {}
    for run in read_runs(server.store):
        last.setdefault((run.kind, run.hook), run)
    rows = [_row(server, hook, last.get((hook.kind, hook.name))) for hook in found]
    heads = ("kind", "name", "last", "epoch", "outcome")
    invocation.screen.result(rows, columns(heads, [_cells(row) for row in rows]) if rows else _NONE)
    return exits.DONE


@hooks.command()
@click.argument("hook", default="")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most.")
@common_options
@pass_invocation
def history(invocation: Invocation, hook: str, limit: int) -> int:
    """Print the newest runs of all hooks, or of HOOK: when, where, for how long, and how each ended.

    Exit status: 0 done, 4 there is no such hook, 6 cannot reach Redis.
    """
    server = invocation.server()
    runs = read_runs(server.store)
    if hook:
        names = dict.fromkeys(run.hook for run in runs)
        hook = hook if hook in names else full_name_of(hook, [*names, *(one.name for one in all_hooks(server))])
    chosen = [run for run in runs if hook in ("", run.hook)][:limit]
    heads = ("ended", "kind", "name", "epoch", "number", "attempt", "outcome")
    text = columns(heads, [_run_cells(run) for run in chosen]) if chosen else _NEVER_RAN
    invocation.screen.result([run.as_dict() for run in chosen], text)
    return exits.DONE


@hooks.command()
@click.argument("hook")
@click.option("--dry-run", is_flag=True, help="Say what would be run, and run nothing.")
@click.option("--force", is_flag=True, help="Run it though it is not declared with `by_hand=True`.")
@common_options
@pass_invocation
def run(invocation: Invocation, hook: str, dry_run: bool, force: bool) -> int:
    """Run HOOK now, in a worker, beside what it runs else, and wait for its end. HOOK is a name, or KIND:NAME.

    It is told of a trial: a backup with number 0, an event `hooks.run` with code 1000, a connection of user 0. Whatever
    it answers, no backup or connection is made or refused by it, and the epoch goes on.

    A hook is run by hand that says that it bears it: `@on_backup_startup(by_hand=True)`. Others take --force.

    Exit status: 0 it ended well, 1 it raised or its time was up, 3 it would refuse, or is not to be run by hand,
    4 there is no such hook, 6 cannot reach Redis, 7 no worker has it.
    """
    server = invocation.server()
    found = find_hook(server, hook)
    trial = trial_argument(found.kind)
    there = runnable_aside(server.store, side_name(found))
    if dry_run or not there:
        plan = {"kind": found.kind, "hook": found.name, "argument": _plain(trial), "timeout": found.seconds(server)}
        return _say_plan(invocation, plan | {"worker": there, "by_hand": found.by_hand}, dry_run=dry_run)
    if not (found.by_hand or force):
        problem = f"`{found.name}` is not declared as one that may be run by hand."
        invocation.screen.complaint(problem, f"{marked(found.kind)} says that it may; `--force` runs it all the same.")
        return exits.REFUSED
    [number] = start_side(server, found, [] if trial is None else [trial], name=f"{found.kind} {found.name}")
    outcome = Process[dict[str, Any]](server, number).result()
    row = {"process": number, "kind": found.kind} | outcome
    invocation.screen.result(row, f"{found.name}  {_said(outcome)}  {duration(outcome['seconds'])}  #{number}")
    return exits.FAILED if outcome["outcome"] == "failed" else exits.REFUSED if outcome["code"] else exits.DONE


def _say_plan(invocation: Invocation, plan: dict[str, Any], *, dry_run: bool) -> int:
    if not plan["worker"]:
        invocation.screen.complaint(f"No worker has `{plan['hook']}`.", "Start one: `onserver worker`; or `reload`.")
        return exits.NO_WORKER
    told = f" with {plan['argument']}" if plan["argument"] is not None else ""
    text = f"would run {plan['kind']} {plan['hook']}{told}, for {plan['timeout']:g} s at most"
    invocation.screen.result(plan | {"dry_run": dry_run}, text)
    return exits.DONE


def _plain(argument: HookArgument | None) -> dict[str, Any] | None:
    if argument is None:
        return None
    value = argument.__onserver_value__()
    return {name: fact.isoformat() if hasattr(fact, "isoformat") else fact for name, fact in value.items()}


def _row(server: Server, hook: Hook, last: HookRecord | None) -> dict[str, Any]:
    return {
        "kind": hook.kind,
        "name": hook.name,
        "timeout": hook.seconds(server),
        "run_on": hook.run_on if hook.kind == SYSTEM_EVENT else None,
        "by_hand": hook.by_hand,
        "doc": hook.describe()["doc"],
        "last": None if last is None else last.as_dict(),
        "outcome": "" if last is None else _outcome(last),
        "ended": "" if last is None else _moment(last),
    }


def _cells(row: dict[str, Any]) -> dict[str, str]:
    last = row["last"]
    return {
        "kind": row["kind"],
        "name": row["name"],
        "last": row["ended"],
        "epoch": str(last["epoch"]) if last else "",
        "outcome": row["outcome"],
    }


def _run_cells(run: HookRecord) -> dict[str, str]:
    return {
        "ended": _moment(run),
        "kind": run.kind,
        "name": run.hook,
        "epoch": str(run.epoch),
        "number": f"#{run.number}" if run.number else "",
        "attempt": str(run.attempt),
        "outcome": _outcome(run),
    }


def _moment(run: HookRecord) -> str:
    return f"{run.at.astimezone():%Y-%m-%d %H:%M:%S}"


def _outcome(run: HookRecord) -> str:
    said = _said({"outcome": run.outcome, "code": run.value, "value": run.value, "reason": run.reason})
    return f"{said}  {duration(run.seconds)} on {run.worker}"


def _said(outcome: dict[str, Any]) -> str:
    """How a run ended, in a few words: `ok`, `VETO 201 month-end close`, `failed ValueError: no`."""
    if outcome["outcome"] == "veto":
        return f"VETO {outcome['code']} {outcome['reason']}".rstrip()
    value = f" {outcome['value']}" if outcome["outcome"] == "ok" and outcome["value"] is not None else ""
    return f"{outcome['outcome']}{value} {outcome['reason']}".rstrip()
