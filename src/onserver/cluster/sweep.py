"""The duties of the leader: after each of its beats, in chunks.

Nothing here is needed for a promise at the moment it is done; each duty finishes what somebody else left unfinished,
and is itself safe to leave unfinished.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from onserver.cluster.identity import Identity
from onserver.cluster.member import Member
from onserver.crash import crash_point
from onserver.redis.store import Store
from onserver.settings import Settings

#: How many sessions that are over are removed in one step.
_SESSIONS: Final = 50
#: How long it is known of a session that it was dropped: one year.
_TOMBSTONE_MS: Final = 366 * 86_400_000


def sweep(member: Member) -> list[int]:
    """Bury the silent, finish half-done burials, trim the history. Returns who was declared dead now."""
    store, settings = member.store, member.settings
    lease_ms = int(settings.member.lease_seconds * 1000)
    crash_point("in_sweep")
    slowly = _is_time(member)
    marks = (settings.events.redis_memory_percent, int(settings.events.queue_wait_seconds * 1000)) if slowly else (0, 0)
    silent = [int(number) for number in store.run("silent", member.number, lease_ms, *marks)]
    dead = [number for number in silent if bury_member(store, settings, number, "was silent for a lease", lease_ms)]
    if slowly:
        trim(store, settings)
        end_sessions(store)
    return dead


def end_sessions(store: Store) -> None:
    """Remove the sessions that are over, with their storages, and the tombstones of those dropped long ago."""
    while store.run("session_sweep", _SESSIONS, _TOMBSTONE_MS):
        pass


def _is_time(member: Member) -> bool:
    """Whether to do what is done once a lease only: to look at marks, which change slowly, and to remove the old."""
    now = monotonic()
    if now < member.survey_at:
        return False
    member.survey_at = now + member.settings.member.lease_seconds
    return True


def trim(store: Store, settings: Settings) -> None:
    """Drop what has ended too long ago, or of each kind of end is too much: done; failed, aborted or lost; dead."""
    process = settings.process
    kept = (int(process.keep_count), int(process.keep_seconds), int(process.keep_failed_seconds))
    while store.run("trim", *kept):
        pass


def release_due(member: Member) -> float | None:
    """Offer what has waited for its time. Returns the seconds until the next is due, or None."""
    left = 0
    while left == 0:
        left = member.store.run("due", member.number, int(member.settings.process.keep_failed_seconds))
    return None if left < 0 else left / 1000


def bury_gone(store: Store, settings: Settings) -> list[int]:
    """Bury the members of this machine whose program is proved to have ended: no lease needs to run out for them."""
    buried: list[int] = []
    for raw in store.command("ZRANGE", store.key("members"), 0, -1):
        number = int(raw)
        fields = store.command("HGETALL", store.key(f"member:{number}"))
        record = dict(zip(fields[::2], fields[1::2], strict=True))
        gone = record and Identity.read(record).is_gone()
        if gone and bury_member(store, settings, number, "its program has ended"):
            buried.append(number)
    return buried


def bury_member(store: Store, settings: Settings, number: int, why: str, silent_ms: int | None = None) -> bool:
    """Declare a member dead and hand back what it held.

    Args:
        store: the Redis of the server.
        settings: of the project.
        number: the member.
        why: for people, kept in its record.
        silent_ms: bury only if it has been silent for so long; None: there is proof.

    Returns:
        Whether this call declared it dead.
    """
    process = settings.process
    facts = (process.deliveries, int(process.keep_failed_seconds), why, "" if silent_ms is None else silent_ms)
    first, left = store.run("bury_member", number, *facts)
    while left:
        crash_point("in_declare")
        _, left = store.run("bury_member", number, *facts)
    return bool(first)
