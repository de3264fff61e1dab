"""What errors say about a lock's owner: text made when somebody asks, at the price of a trip."""

import re
from collections.abc import Sequence

from onserver.redis.store import Store


def who(store: Store, owner: str) -> str:
    """Describe the owner of a lock: "#1042 nightly_invoices on web-2", or "web-2" for a program outside of runs.

    Args:
        store: the Redis of the server.
        owner: as in the lock's record, "member.incarnation/number.delivery" or "member.incarnation/tSERIAL".
    """
    holder, _, part = owner.partition("/")
    member = holder.partition(".")[0]
    number = part.partition(".")[0]
    node, name, procedure, alive = store.pipeline(
        [
            ("HGET", store.key(f"member:{member}"), "node"),
            ("HGET", store.key(f"p:{number}"), "n"),
            ("HGET", store.key(f"p:{number}"), "t"),
            ("SISMEMBER", store.key("live"), holder),
        ]
    )
    place = f"{node.decode() if node else f'member {member}'} ({'alive' if alive else 'gone'})"
    if not number.isdecimal():
        return f"a {'task' if part.startswith('a') else 'thread'} of {place}"
    called = name or procedure
    return f"#{number} {called.decode()} on {place}" if called else f"#{number} on {place}"


def listed(numbers: Sequence[object]) -> str:
    """Name processes in few words: `#1, #2, #3 and 7 more`."""
    shown, more = ", ".join(f"#{number}" for number in numbers[:3]), len(numbers) - 3
    return f"{shown} and {more} more" if more > 0 else shown


def entry_of(wanted: str) -> str:
    """Name what somebody waits for: an entry, empty for the root, "the end of #1043", or "semaphore printer"."""
    if process := re.fullmatch(r"(p|all|any):([\d ]+)", wanted):
        return f"the {'first ' if process[1] == 'any' else ''}end of {listed(process[2].split())}"
    if wanted.startswith("sem:"):
        return f"semaphore {wanted[4:]}"
    return wanted.partition(":l:")[2]
