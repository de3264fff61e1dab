"""Who takes part: the workers and clients of a server."""

from typing import NamedTuple

from onserver.redis.store import Store

_FIELDS = ("kind", "node", "host", "pid")


class MemberRow(NamedTuple):
    """One member, as it is shown; `silence` is seconds since its last beat, `runs` how many processes it holds."""

    number: int
    kind: str
    node: str
    host: str
    pid: int
    queues: str
    executors: int
    runs: int
    silence: float


def members(store: Store) -> list[MemberRow]:
    """Read all members, in the order of their numbers."""
    beats = store.command("ZRANGE", store.key("members"), 0, -1, "WITHSCORES")
    now = store.now_ms()
    rows = [_member(store, int(m), now - float(beat)) for m, beat in zip(beats[::2], beats[1::2], strict=True)]
    return sorted(rows)


def _member(store: Store, number: int, silence_ms: float) -> MemberRow:
    kind, node, host, pid = (
        (field or b"").decode() for field in store.command("HMGET", store.key(f"member:{number}"), *_FIELDS)
    )
    holders = [holder.decode() for holder in store.command("SMEMBERS", store.key(f"m:{number}"))]
    facts = store.pipeline(
        [("HMGET", store.key(f"h:{holder}"), "queues", "code") for holder in holders]
        + [("LLEN", store.key(f"held:{holder}")) for holder in holders]
    )
    known, held = facts[: len(holders)], facts[len(holders) :]
    executors = [fact for fact in known if fact[1]]
    queues = sorted({queue for fact in executors for queue in (fact[0] or b"").decode().split()})
    return MemberRow(
        number,
        kind,
        node,
        host,
        int(pid or 0),
        " ".join(queues),
        len(executors),
        sum(held),
        max(0.0, silence_ms / 1000),
    )
