"""`onserver reload`: workers take the project's code as it is now; member, epoch and storage stay, no hook runs."""

import time

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.redis.store import Store
from onserver.views.members import MemberRow, members

#: Seconds between two looks, and within which a worker has taken new code or refused it.
LOOK, LONGEST = 0.1, 30.0


@click.command()
@click.argument("node", required=False)
@common_options
@pass_invocation
def reload(invocation: Invocation, node: str | None) -> int:
    """Let every worker, or the one called NODE, take new code.

    New executors start from the new code, and the old ones finish what they run.

    Exit status: 0 done, 1 a worker could not load it and goes on with the old code, 4 no such worker, 5 not in time.
    """
    store = invocation.server().store
    found = [member for member in members(store) if member.kind == "worker" and node in {None, member.node}]
    if not found:
        invocation.screen.complaint(
            f"No worker {f'is called `{node}`' if node else 'is up'}.", "See `onserver ps --members`."
        )
        return exits.NOT_FOUND
    before = {member.number: _reloads(store, member) for member in found}
    for member in found:
        store.command("RPUSH", store.key(f"orders:{member.number}"), "reload")
    deadline = time.monotonic() + LONGEST
    outcomes: dict[str, str] = {}
    while len(outcomes) < len(found) and time.monotonic() < deadline:
        for member in found:
            count, outcome = _reloads(store, member)
            if member.node not in outcomes and count > before[member.number][0]:
                outcomes[member.node] = outcome
                invocation.screen.say(f"{member.node}: {outcome}")
        time.sleep(LOOK)
    invocation.screen.result(outcomes, "")
    if len(outcomes) < len(found):
        invocation.screen.complaint("Not every worker has answered in time.")
        return exits.TIMED_OUT
    return exits.FAILED if any("failed" in outcome for outcome in outcomes.values()) else exits.DONE


def _reloads(store: Store, member: MemberRow) -> tuple[int, str]:
    """How often a worker has reloaded, and how the last time went."""
    count, outcome = store.command("HMGET", store.key(f"member:{member.number}"), "reloads", "reloaded")
    return int(count or 0), (outcome or b"").decode()
