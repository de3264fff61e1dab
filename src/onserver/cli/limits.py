"""`onserver ps --limits`: the limits that are in force in the cluster, and who said so last.

What a worker's code and the settings it read say of limits counts for the whole server, the newest word of all workers.
So this is asked of Redis, and not of the settings file at hand.
"""

from datetime import datetime

from onserver.cli import exits
from onserver.cli.invocation import Invocation
from onserver.cli.screen import columns
from onserver.process.limits import LimitInForce, in_force
from onserver.redis.store import Store
from onserver.views.processes import Seen


def list_limits(invocation: Invocation, pattern: str) -> int:
    """Print every limit, those of queues last, with the slots taken of those that have no keys."""
    store = invocation.server().store
    seen = Seen(store)
    found = [each for each in in_force(seen.limits()) if not pattern or pattern in each.name]
    taken = dict(zip(found, seen.slots_taken([each.field for each in found]), strict=True))
    rows = [each._asdict() | {"taken": None if each.keyed else taken[each]} for each in found]
    for row in rows:
        del row["field"]
    shown = columns(("of", "name", "at once", "taken", "rate"), [_cells(each, taken[each]) for each in found])
    invocation.screen.result(rows, f"{shown}\n{_said(store)}" if found else "no limit is in force")
    return exits.NOT_FOUND if pattern and not found else exits.DONE


def _cells(each: LimitInForce, taken: int) -> dict[str, str]:
    return {
        "of": each.kind,
        "name": each.name,
        "at once": f"{each.at_once}{' for each key' if each.keyed else ''}" if each.at_once else "",
        "taken": str(taken) if each.at_once and not each.keyed else "",
        "rate": f"{each.rate} in {each.per_seconds:g} s{' for each key' if each.keyed else ''}" if each.rate else "",
    }


def _said(store: Store) -> str:
    """Say whose word counts."""
    said = store.command("HGET", store.key("server"), "limited")
    if not said:
        return ""
    at, member = said.decode().split()
    node = store.command("HGET", store.key(f"member:{member}"), "node")
    when = datetime.fromtimestamp(int(at) / 1000).astimezone()
    return f"as {node.decode() if node else 'a worker'} said (member {member}) at {when:%Y-%m-%d %H:%M:%S}"
