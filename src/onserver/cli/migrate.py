"""`onserver migrate`: bring the keys of a server into the layout of this release."""

import sys
import time
from collections.abc import Sequence

import click

from onserver.backup.state import State
from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import duration
from onserver.process.maintenance import begin_maintenance, end_maintenance, maintenance_on
from onserver.redis import migrations
from onserver.redis.keys import all_keys
from onserver.redis.migrations import InUse, Migration
from onserver.redis.store import Store

#: Seconds between two tellings of how far it has come.
_TELL = 1.0


@click.command()
@click.option("--check", is_flag=True, help="Tell what would be done, and do nothing.")
@click.option("--to", type=click.IntRange(1), metavar="N", help="Go no further than layout N.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
@pass_invocation
def migrate(invocation: Invocation, check: bool, to: int | None, yes: bool) -> int:
    """Bring the keys of the server into the layout of this release, or go on with that.

    No worker may be up. There is no way back but a backup; killed in the middle, it goes on when it is asked for again.

    Exit status: 0 done, or there was nothing to do; 3 refused: somebody works with the keys, or you did not say yes;
    6 cannot reach Redis; 9 the keys are of a newer release; 10 with --check: something is to be done.
    """
    server = invocation.server()
    store = server.store
    store.any_layout = True
    store.command("PING")
    newest, found = migrations.NEWEST, store.layout
    wanted = min(to or newest, newest)
    if abs(found) > newest:
        invocation.screen.complaint(f"The keys are in layout {abs(found)}; this release knows layouts up to {newest}.")
        return exits.INTEGRITY
    way = migrations.way(found, wanted)
    if not way:
        text = f"key layout {found}, {'the newest' if found == newest else f'and not below {wanted}'}: nothing to do"
        invocation.screen.result({"layout": found, "newest": newest, "steps": []}, text)
        return exits.DONE
    invocation.screen.say(_plan(store, found, way))
    if check:
        data = {"layout": found, "newest": newest, "steps": [one.what for one in way]}
        invocation.screen.result(data, "nothing done (--check)")
        return exits.FINDINGS
    if not yes and not (sys.stdin.isatty() and click.confirm("Go on?", err=True)):
        invocation.screen.complaint("Nothing was done.", "`--yes` does it without asking.")
        return exits.REFUSED
    return _migrate(invocation, store, way)


def _plan(store: Store, found: int, way: Sequence[Migration]) -> str:
    good = State(store).last("good")
    backup = f"the last good backup is number {good.number}" if good else "no backup has ended well: make one first"
    goes_on = "goes on: " if found < 0 else ""
    lines = [f"key layout {abs(found)} → {way[-1].to}: {goes_on}{sum(1 for _ in all_keys(store))} keys; {backup}"]
    return "\n".join(lines + [f"  {one.to}: {one.what}" for one in way])


def _migrate(invocation: Invocation, store: Store, way: Sequence[Migration]) -> int:
    began = told = time.monotonic()
    closed = maintenance_on(store) is None
    if closed:
        begin_maintenance(f"the keys are being brought into layout {way[-1].to}")
    try:
        for one in way:
            for position in migrations.migrate(store, one):
                if time.monotonic() - told > _TELL:
                    told = time.monotonic()
                    invocation.screen.say(f"  layout {one.to}: at {position}")
    except InUse as in_use:
        problem = f"{in_use.args[0]} members are there: workers, or programs that hold something."
        invocation.screen.complaint(problem, "`onserver stop`, and see `onserver ps --members`.")
        return exits.REFUSED
    finally:
        if closed:
            end_maintenance()
    seconds = time.monotonic() - began
    data = {"layout": way[-1].to, "seconds": round(seconds, 3), "steps": [one.what for one in way]}
    invocation.screen.result(data, f"key layout {way[-1].to}, after {duration(seconds)}")
    return exits.DONE
