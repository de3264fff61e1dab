"""`onserver scale`: another number of executors for one worker, while it runs."""

import click

from onserver.cli import exits
from onserver.cli.drain import find_worker
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.life.resizing import MOST_EXECUTORS, order_executors


@click.command()
@click.argument("node")
@click.argument("executors", type=click.IntRange(0, MOST_EXECUTORS))
@common_options
@pass_invocation
def scale(invocation: Invocation, node: str, executors: int) -> int:
    """Let the worker called NODE, or of that member number, have so many EXECUTORS, until it ends.

    New ones begin at once; those that are too many finish what they run, and leave. Async executors stay as they are.

    Exit status: 0 it was told, 2 several workers are called so, 3 it is a worker of Celery's, 4 no such worker,
    6 cannot reach Redis.
    """
    worker = find_worker(invocation, node)
    if isinstance(worker, int):
        return worker
    answer = order_executors(invocation.server().store, worker.number, executors)
    if answer == "gone":
        invocation.screen.complaint(f"`{worker.node}` is leaving already, or waits for the next epoch.")
        return exits.NOT_FOUND
    if answer == "pool":
        problem = f"`{worker.node}` is a worker of Celery's, which scales its pool itself."
        invocation.screen.complaint(problem, f"`celery -A workers control -d {worker.node} pool_grow 1` adds one.")
        return exits.REFUSED
    data = {"node": worker.node, "member": worker.number, "executors": executors}
    invocation.screen.result(data, f"{worker.node}: is to have {executors} executors")
    return exits.DONE
