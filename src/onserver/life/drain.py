"""Draining: one worker is to go, and the epoch goes on.

It takes no more work, hands back at once what it had claimed and not begun, finishes within its grace time what runs,
and leaves. What is not finished by then is interrupted, and runs again elsewhere, uncounted.
"""

from __future__ import annotations

from typing import Literal

from onserver.cluster.member import Member
from onserver.redis.store import Store


def order_drain(store: Store, member: int, grace_seconds: float | None = None) -> Literal["gone", "last", "ordered"]:
    """Order a worker to go. Safe to say again: an order that was lost is late.

    Args:
        store: the Redis of the server.
        member: number of the worker.
        grace_seconds: how long what runs there may go on; None: as the worker has it.

    Returns:
        `ordered`; `gone`: it is no worker of the present epoch; `last`: nobody would stay to go on.
    """
    answer: bytes = store.run("drain", member, "" if grace_seconds is None else int(grace_seconds * 1000))
    match answer.decode():
        case "ordered":
            return "ordered"
        case "last":
            return "last"
        case _:
            return "gone"


def only_drains(store: Store, member: int) -> bool:
    """Whether a worker cannot be told how long what runs may go on: one of Celery's lets it finish.

    Args:
        store: the Redis of the server.
        member: number of the worker.
    """
    return bool(store.command("HEXISTS", store.key(f"member:{member}"), "pool"))


def ordered_grace(member: Member) -> float | None:
    """The grace time that was given with the order, in seconds; None where there was none."""
    found: bytes | None = member.store.command("HGET", member.store.key(f"member:{member.number}"), "drain_ms")
    return int(found) / 1000 if found else None
