"""What is looked at before a server starts on a Redis: it must be new enough and must not lose data in silence."""

from __future__ import annotations

from dataclasses import dataclass

from onserver.errors import UnsafeRedis
from onserver.redis.answers import Denied, ScriptRefused
from onserver.redis.binary import version_numbers
from onserver.redis.search import OLDEST
from onserver.redis.store import Store


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found out about a Redis. `warnings` are texts to show; empty when all is well."""

    engine: str
    version: str
    run_id: str
    persistent: bool
    warnings: tuple[str, ...]


def check(store: Store, *, development: bool = False) -> Checked:
    """Look at the Redis of a store.

    Args:
        store: the connection.
        development: a Redis without persistence is no reason for a warning.

    Raises:
        UnsafeRedis: older than 7.0, or a `maxmemory-policy` under which keys may vanish.
    """
    info = info_of(store)
    engine = "valkey" if "valkey_version" in info else "redis"
    version = info.get("valkey_version") or info.get("redis_version", "")
    if version_numbers(info.get("redis_version", "")) < OLDEST:
        raise UnsafeRedis(address=store.address.describe(), version=version)
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise UnsafeRedis(address=store.address.describe(), policy=policy)
    persistent = info.get("aof_enabled") == "1" or bool(_setting(store, "save"))
    return Checked(
        engine=engine,
        version=version,
        run_id=info.get("run_id", ""),
        persistent=persistent,
        warnings=tuple(_warnings(store, info, persistent=persistent or development)),
    )


def _warnings(store: Store, info: dict[str, str], *, persistent: bool) -> list[str]:
    name = store.address.describe()
    warnings: list[str] = []
    if not persistent:
        warnings.append(
            f"{name} keeps nothing on disk: when it stops, every process and the storage are lost. "
            "`CONFIG SET appendonly yes` and `CONFIG REWRITE`."
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        warnings.append(f"{name} cannot write its append-only file: it refuses all writes. See its log.")
    if store.wait_for_replicas > int(info.get("connected_slaves", "0")):
        warnings.append(
            f"wait_for_replicas is {store.wait_for_replicas}, but {name} has {info.get('connected_slaves', '0')} "
            "replicas: nothing will be accepted."
        )
    return warnings


def info_of(store: Store) -> dict[str, str]:
    """What INFO says, by its names."""
    text: bytes = store.command("INFO")
    pairs = (line.partition(":") for line in text.decode().splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}


def _setting(store: Store, name: str) -> str:
    try:
        found = store.command("CONFIG", "GET", name)
    except (Denied, ScriptRefused):
        return ""  # managed Redis: CONFIG is not for us, and INFO has said what it could
    return found[1].decode() if found else ""
