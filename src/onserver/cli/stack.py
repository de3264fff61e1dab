"""`onserver stack`: where a run is, line by line."""

from __future__ import annotations

from time import monotonic, sleep
from typing import Final

import click

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.process.log import read_log
from onserver.process.stack import order_stack
from onserver.views.finding import named
from onserver.views.processes import Seen

#: Seconds between two looks at the log.
_LOOK: Final = 0.05
#: After so many seconds without another line the stack is whole.
_QUIET: Final = 0.5


@click.command()
@click.argument("process", metavar="PROC")
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True, metavar="S", help="How long to wait for it.")
@common_options
@pass_invocation
def stack(invocation: Invocation, process: str, timeout: float) -> int:
    """Print where a run is: the stack of each thread of its executor, the last call first.

    PROC is a number, or the name of a process that lives. Nothing is interrupted; the lines stand in its log as well.

    Exit status: 0 done, 3 it does not run, or not in an executor of its own; 4 there is no such process; 5 nothing came
    in time; 6 cannot reach Redis.
    """
    server = invocation.server()
    number = named(Seen(server.store), process)
    known = read_log(server.store, number, 0)
    before = known.total if known else 0
    order_stack(server, number)
    found, until, changed = list[str](), monotonic() + timeout, monotonic()
    while monotonic() < until and not (found and monotonic() - changed > _QUIET):
        sleep(_LOOK)
        log = read_log(server.store, number)
        fresh = [line.text for line in log.lines[-max(0, log.total - before) :]] if log and log.total > before else []
        if len(fresh) > len(found):
            found, changed = fresh, monotonic()
    if not found:
        invocation.screen.complaint(
            f"#{number} has told no stack within {timeout:g} s.",
            "It is stopped, or its worker is away: `onserver ps` shows it.",
        )
        return exits.TIMED_OUT
    invocation.screen.result({"process": number, "stack": found}, "\n".join(found))
    return exits.DONE
