"""Another number of executors for one worker, while it runs.

New ones are forked at once; those that are too many take no more work, finish what they run, and leave. The worker
keeps the number until it ends, over reloads of its code too; started anew, it has what its file or `-c` says.
"""

from __future__ import annotations

from typing import Final, Literal, cast

from onserver.cluster.member import Member
from onserver.redis.store import Store

#: The most that one worker may be told to have.
MOST_EXECUTORS: Final = 1000


def order_executors(store: Store, member: int, count: int) -> Literal["gone", "pool", "ordered"]:
    """Order a worker to have so many executors.

    Args:
        store: the Redis of the server.
        member: number of the worker.
        count: how many, 0 to `MOST_EXECUTORS`.

    Returns:
        `ordered`; `gone`: it is no worker of the present epoch; `pool`: it is one of Celery's, which scales itself.
    """
    answer: bytes = store.run("resize", member, count)
    return cast('Literal["gone", "pool", "ordered"]', answer.decode())


def ordered_executors(member: Member) -> int | None:
    """How many a worker is to have, as its record says; None where nobody knows any more."""
    found: bytes | None = member.store.command("HGET", member.store.key(f"member:{member.number}"), "executors")
    return int(found) if found else None
