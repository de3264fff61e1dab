"""`onserver stop`: the end of an epoch. The workers run the shutdown hooks, drain what runs, and leave."""

import time

import click

from onserver.cli import exits
from onserver.cli.epoch import Epoch, HookRun, epoch, hook_runs
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.redis.store import Store

#: Seconds between two looks at the state, and what leaving may take beyond hooks and grace time.
LOOK, LEAVING = 0.1, 15.0


@click.command()
@click.option("--grace", type=SECONDS, metavar="S",
              help="How long running processes may go on; by default the setting worker.grace_seconds.")  # fmt: skip
@common_options
@pass_invocation
def stop(invocation: Invocation, grace: float | None) -> int:
    """Stop the whole server: shutdown hooks run, what runs is drained, every worker leaves.

    Exit status: 0 stopped (or nothing was running), 1 a shutdown hook failed, 5 not stopped in time.
    """
    server = invocation.server()
    before = hook_runs(server.store, epoch(server.store).number)
    state, workers = server.store.run("stop_epoch", "" if grace is None else int(grace * 1000))
    if not workers:
        invocation.screen.result({"state": state.decode(), "workers": 0}, "no worker is up")
        return exits.DONE
    invocation.screen.say(f"{workers} {'worker drains' if workers == 1 else 'workers drain'}")
    seconds = server.settings.worker.grace_seconds if grace is None else grace
    limit = seconds + server.settings.hook.timeout_seconds + LEAVING
    now, hooks = _wait(invocation, server.store, {run.number for run in before}, limit)
    if now.state == "stopping":
        invocation.screen.complaint(f"Epoch {now.number} is still open after {limit:g} s, with {now.workers} workers.")
        return exits.TIMED_OUT
    failed = [run.name for run in hooks if run.outcome == "failed"]
    data = {"epoch": now.number, "state": now.state, "hooks": [run._asdict() for run in hooks]}
    invocation.screen.result(data, f"epoch {now.number} closed")
    return exits.FAILED if failed else exits.DONE


def _wait(invocation: Invocation, store: Store, before: set[int], limit: float) -> tuple[Epoch, list[HookRun]]:
    """Narrate the hooks as they end, until the epoch is closed or the time is over."""
    deadline = time.monotonic() + limit
    told: set[int] = set()
    while True:
        now = epoch(store)
        hooks = [run for run in hook_runs(store, now.number) if run.number not in before]
        for run in hooks:
            if run.outcome != "running" and run.number not in told:
                told.add(run.number)
                invocation.screen.say(str(run))
        if now.state != "stopping" or time.monotonic() > deadline:
            return now, hooks
        time.sleep(LOOK)
