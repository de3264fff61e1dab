"""`onserver stop`: the end of an epoch. The workers run the shutdown hooks, drain what runs, and leave."""

import time

import click

from onserver.cli import exits
from onserver.cli.drain import find_worker, let_leave
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.life.drain import only_drains
from onserver.life.epoch import Epoch, read, stop_epoch
from onserver.server import Server
from onserver.views.hook_runs import HookRun, hook_runs
from onserver.views.members import members

#: Seconds between two looks at the state, and what leaving may take beyond hooks and grace time.
LOOK, LEAVING = 0.1, 15.0


@click.command()
@click.option("--grace", type=SECONDS, metavar="S",
              help="How long running processes may go on; by default the setting worker.grace_seconds.")  # fmt: skip
@click.option("--node", metavar="NODE", default="",
              help="Stop this worker only, at once; others, and the epoch, go on.")  # fmt: skip
@common_options
@pass_invocation
def stop(invocation: Invocation, grace: float | None, node: str) -> int:
    """Stop the whole server: shutdown hooks run, what runs is drained, every worker leaves.

    With --node, what one worker runs is interrupted, and runs again elsewhere; `drain` lets it finish first.

    Exit status: 0 stopped (or nothing was running), 1 a shutdown hook failed, 2 several workers are called so, 3 it is
    the only worker, or one of Celery's, 4 no such worker, 5 not stopped in time.
    """
    if node:
        worker = find_worker(invocation, node)
        if isinstance(worker, int):
            return worker
        if only_drains(invocation.server().store, worker.number):
            problem = f"`{worker.node}` is a worker of Celery's, which finishes what it runs."
            invocation.screen.complaint(problem, f"`onserver drain {worker.node}` lets it leave.")
            return exits.REFUSED
        return let_leave(invocation, node, grace or 0.0)
    server = invocation.server()
    before = {run.number for run in hook_runs(server.store, read(server.store).number)}
    state, workers = stop_epoch(server.store, grace)
    if not workers:
        invocation.screen.result({"state": state, "workers": 0}, "no worker is up")
        return exits.DONE
    invocation.screen.say(f"{workers} {'worker drains' if workers == 1 else 'workers drain'}")
    seconds = server.settings.worker.grace_seconds if grace is None else grace
    limit = seconds + server.settings.hook.timeout_seconds + LEAVING
    epoch, hooks = _wait(invocation, server, before, limit)
    if epoch.state == "stopping":
        left = [member.node for member in members(server.store) if member.kind == "worker"]
        invocation.screen.complaint(f"Epoch {epoch.number} is not closed; workers: {', '.join(left) or 'none'}.")
        return exits.TIMED_OUT
    data = {"epoch": epoch.number, "state": epoch.state, "hooks": [run._asdict() for run in hooks]}
    invocation.screen.result(data, f"epoch {epoch.number} closed")
    return exits.FAILED if any(run.outcome == "failed" for run in hooks) else exits.DONE


def _wait(invocation: Invocation, server: Server, before: set[int], limit: float) -> tuple[Epoch, list[HookRun]]:
    """Narrate the hooks as they end, until the epoch is closed, nobody is there to close it, or the time is over."""
    deadline = time.monotonic() + limit
    told: set[int] = set()
    while True:
        somebody = _somebody_beats(server)  # before the state: the last to leave closes the epoch as it leaves
        epoch = read(server.store)
        hooks = [run for run in hook_runs(server.store, epoch.number) if run.number not in before]
        for run in hooks:
            if run.outcome != "running" and run.number not in told:
                told.add(run.number)
                invocation.screen.say(str(run))
        if epoch.state != "stopping" or time.monotonic() > deadline or not somebody:
            return epoch, hooks
        time.sleep(LOOK)


def _somebody_beats(server: Server) -> bool:
    lease = server.settings.member.lease_seconds
    return any(member.silence < 2 * lease for member in members(server.store) if member.kind == "worker")
