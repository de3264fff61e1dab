"""`onserver drain`: one worker finishes what it runs and leaves, and the epoch goes on."""

import time
from typing import Final

import click

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import duration
from onserver.life.drain import order_drain
from onserver.redis.store import Store
from onserver.server import Server
from onserver.views.members import MemberRow, members

#: Seconds between two looks, and between two tellings of the order, which a crash of Redis may have lost.
LOOK, AGAIN = 0.1, 2.0
#: What leaving may take beyond the grace time: what does not heed its interruption is killed within it.
LEAVING: Final = 15.0


@click.command()
@click.argument("node")
@click.option("--grace", type=SECONDS, metavar="S",
              help="How long what runs there may go on; by default as the worker has it.")  # fmt: skip
@common_options
@pass_invocation
def drain(invocation: Invocation, node: str, grace: float | None) -> int:
    """Let the worker called NODE, or of that member number, finish what it runs, and leave.

    It takes no more work at once; what it had claimed and not begun, others have at once. What is not finished within
    the grace time is interrupted and runs again elsewhere.

    Exit status: 0 drained, 2 several workers are called so, 3 it is the only worker (`onserver stop` ends the server),
    4 no such worker, 5 not in time, 6 cannot reach Redis.
    """
    return let_leave(invocation, node, grace)


def find_worker(invocation: Invocation, node: str) -> MemberRow | int:
    """Answer the one worker of this name or number; where there is none, or several, say so, and answer the status."""
    found = [row for row in members(invocation.server().store)
             if row.kind == "worker" and node in {row.node, str(row.number)}]  # fmt: skip
    if not found:
        invocation.screen.complaint(f"No worker is called `{node}`.", "See `onserver ps --members`.")
        return exits.NOT_FOUND
    if len(found) > 1:
        numbers = ", ".join(str(row.number) for row in found)
        invocation.screen.complaint(f"{len(found)} workers are called `{node}`.", f"Give a member number: {numbers}.")
        return exits.USAGE
    return found[0]


def let_leave(invocation: Invocation, node: str, grace: float | None) -> int:
    """Let one worker leave, and narrate until it has. Returns the exit status; see `drain`."""
    server = invocation.server()
    worker = find_worker(invocation, node)
    if isinstance(worker, int):
        return worker
    answer = order_drain(server.store, worker.number, grace)
    if answer == "last":
        problem = f"`{worker.node}` is the only worker that stays: the server would end with it."
        invocation.screen.complaint(problem, "`onserver stop` ends it; or start another worker first.")
        return exits.REFUSED
    if answer == "gone":
        invocation.screen.complaint(f"`{worker.node}` is leaving already, or waits for the next epoch.")
        return exits.NOT_FOUND
    return _follow(invocation, server, worker, grace)


def _follow(invocation: Invocation, server: Server, worker: MemberRow, grace: float | None) -> int:
    """Narrate until it has left."""
    began = ordered = time.monotonic()
    limit = (server.settings.worker.grace_seconds if grace is None else grace) + LEAVING
    told = -1
    while (running := _running(server.store, worker.number)) is not None:
        if told < 0:
            invocation.screen.say(f"{worker.node}: takes no more work")
        if running != told:
            invocation.screen.say(f"  {running} {'process' if running == 1 else 'processes'} running")
            told = running
        if time.monotonic() - began > limit:
            invocation.screen.complaint(f"`{worker.node}` has not left within {duration(limit)}; it still drains.")
            return exits.TIMED_OUT
        if time.monotonic() - ordered > AGAIN:
            order_drain(server.store, worker.number, grace)
            ordered = time.monotonic()
        time.sleep(LOOK)
    seconds = time.monotonic() - began
    data = {"node": worker.node, "member": worker.number, "seconds": round(seconds, 3)}
    invocation.screen.result(data, f"{worker.node}: drained after {duration(seconds)}, left; the epoch goes on")
    return exits.DONE


def _running(store: Store, member: int) -> int | None:
    """How many processes a worker holds; None when it is a member no more."""
    if store.command("ZSCORE", store.key("members"), member) is None:
        return None
    holders = [holder.decode() for holder in store.command("SMEMBERS", store.key(f"m:{member}"))]
    held: list[int] = store.pipeline([("LLEN", store.key(f"held:{holder}")) for holder in holders])
    return sum(held)
