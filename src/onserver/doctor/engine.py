"""The Redis: its version, whether it may drop keys, whether it keeps anything on disk, its memory, its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import time
from typing import Final

from onserver.doctor.findings import Finding, well, wrong
from onserver.errors import UnsafeRedis
from onserver.redis.answers import Denied, ScriptRefused
from onserver.redis.checks import check, info_of
from onserver.redis.store import LAYOUT, Store
from onserver.server import Server

#: Percent of `maxmemory` from which on there is something to be done.
_FULL: Final = 90.0
#: Seconds that two clocks may differ.
APART: Final = 5.0


def look_at_redis(server: Server) -> Iterator[Finding]:
    """Look at the Redis of a server.

    Raises:
        BrokerUnavailable: ONS-1201, there is no way to it.
    """
    store = server.store
    name, info = store.address.describe(), info_of(store)
    try:
        checked = check(store)
    except UnsafeRedis as unsafe:
        mend = _setter(store, "maxmemory-policy", "noeviction") if unsafe.policy else None
        yield wrong("redis", unsafe.message, unsafe.hint, mend)
    else:
        kept = "append-only" if info.get("aof_enabled") == "1" else "snapshots" if checked.persistent else "no disk"
        yield well("redis", f"{checked.engine} {checked.version} at {name}, {kept}")
        for warning in checked.warnings:
            mend = None if checked.persistent else _setter(store, "appendonly", "yes")
            yield wrong("redis.disk", warning, "", mend)
    for field in ("rdb_last_bgsave_status", "aof_last_bgrewrite_status"):
        if info.get(field, "ok") != "ok":
            yield wrong(
                "redis.disk", f"{name}: {field} is {info[field]}", "See the log of Redis, and the room on its disk."
            )
    yield from _look_at_memory(name, info)
    yield from _look_at_clock(store)
    yield from _look_at_layout(store)


def _look_at_memory(name: str, info: dict[str, str]) -> Iterator[Finding]:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    megabytes = f"{used / 2**20:,.0f} MB"
    if not limit:
        yield well("redis.memory", f"memory of Redis: {megabytes}, no limit")
        return
    percent = 100 * used / limit
    text = f"memory of Redis: {megabytes}, {percent:.0f} % of its limit"
    if percent < _FULL:
        yield well("redis.memory", text)
    else:
        yield wrong(
            "redis.memory", f"{text}: at the limit {name} refuses all writes", "Raise `maxmemory`, or keep less."
        )


def _look_at_clock(store: Store) -> Iterator[Finding]:
    store.command("PING")
    ahead = store.now_ms() / 1000 - time()
    if abs(ahead) <= APART:
        yield well("clock", f"this clock and that of Redis are {abs(ahead):.1f} s apart")
    else:
        way = "behind" if ahead > 0 else "ahead of"
        yield wrong(
            "clock", f"this machine's clock is {abs(ahead):.0f} s {way} that of Redis", "Let both keep time (NTP)."
        )


def _look_at_layout(store: Store) -> Iterator[Finding]:
    if store.layout == LAYOUT:
        yield well("layout", f"key layout {LAYOUT}, the one of this release")
    else:
        yield wrong("layout", f"key layout {store.layout}; this release has {LAYOUT}", "onserver migrate")


def _setter(store: Store, name: str, value: str) -> Callable[[], str]:
    """Set something in Redis, and in its file, where it has one."""

    def mend() -> str:
        store.command("CONFIG", "SET", name, value)
        try:
            store.command("CONFIG", "REWRITE")
        except (Denied, ScriptRefused):
            return f"{name} is {value} until Redis is restarted: it has no file of its own, or we may not write it"
        return f"{name} is {value}, in its file as well"

    return mend
