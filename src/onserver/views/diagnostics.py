"""What somebody is asked for who reports that something is wrong: settings, versions, Redis and what was slow there.

No secret is in it: no password of an address, no key, no argument of a command or a schedule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Any, Final, cast

import msgspec

from onserver.discreet import discreet
from onserver.redis.answers import Denied, ScriptRefused
from onserver.redis.checks import info_of
from onserver.redis.scripts import names, script
from onserver.redis.store import LAYOUT, Store
from onserver.server import Server
from onserver.settings import SETTINGS
from onserver.views.masked import DOTS

_ARGUMENTS: Final = frozenset({"arguments", "args", "kwargs"})
_SLOWEST: Final = 50
_FACTS: Final = (
    "redis_version", "valkey_version", "redis_mode", "os", "uptime_in_seconds", "connected_clients", "blocked_clients",
    "used_memory", "used_memory_peak", "maxmemory", "maxmemory_policy", "mem_fragmentation_ratio", "aof_enabled",
    "aof_last_write_status", "rdb_last_bgsave_status", "rdb_last_save_time", "total_commands_processed",
    "instantaneous_ops_per_sec", "rejected_connections", "evicted_keys", "expired_keys", "role", "connected_slaves",
    "latest_fork_usec",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """A setting as it holds in this program.

    Attributes:
        key: of it.
        value: as JSON, without secrets.
        source: where it is from: a line of the file, a variable, `default`.
        default: as JSON.
        meaning: for people, in English.
        variable: of the environment, that wins over the file.
        given: whether it is another than the default, or was given as the same.
    """

    key: str
    value: str
    source: str
    default: str
    meaning: str
    variable: str
    given: bool


def settings_of(server: Server) -> Sequence[SettingRow]:
    """Return every setting of this program, in the order of the reference."""
    found = [server.settings.explain(key) for key in SETTINGS]
    return [
        SettingRow(key=one.key, value=_told(one.value), source=one.source, default=_told(one.default),
                   meaning=one.meaning, variable=one.variable, given=one.source != "default")
        for one in found
    ]  # fmt: skip


def _told(value: object) -> str:
    if value is None:
        return ""
    text = msgspec.json.encode(_without_arguments(msgspec.to_builtins(value, enc_hook=str))).decode()
    return discreet(text)


def _without_arguments(value: Any) -> Any:
    """Leave out what a schedule hands over: these are values."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {key: DOTS if key in _ARGUMENTS and item else _without_arguments(item) for key, item in pairs}
    if isinstance(value, list | tuple):
        return [_without_arguments(item) for item in cast("Sequence[Any]", value)]
    return value


# -- Redis


def redis_facts(store: Store) -> dict[str, str]:
    """What Redis says of itself, with how long a trip to it takes, and the layout of the keys."""
    told = info_of(store)
    began = perf_counter()
    store.command("PING")
    trip = f"{(perf_counter() - began) * 1000:.2f} ms"
    known = {name: told[name] for name in _FACTS if told.get(name)}
    return {"address": store.address.describe(), "trip": trip, "layout": f"{store.layout} of {LAYOUT}", **known}


@dataclass(frozen=True, kw_only=True)
class Slow:
    """A command that took Redis long.

    Attributes:
        id: of its line in Redis' list.
        at_ms: when, milliseconds since 1970.
        seconds: how long Redis had to do with it.
        what: command and script, or the names of the first words, without what was handed over.
        words: how many there were.
        client: name of the connection, or its address.
    """

    id: int
    at_ms: int
    seconds: float
    what: str
    words: int
    client: str


def slow(store: Store) -> tuple[Sequence[Slow], str]:
    """Return what was slow lately, the last first, as far as Redis tells us; and why it does not."""
    try:
        found: Sequence[Any] = store.command("SLOWLOG", "GET", _SLOWEST)
    except Denied as denied:
        return (), denied.message
    except ScriptRefused as refused:
        return (), str(refused)
    return [_slow(entry) for entry in found], ""


def _slow(entry: Sequence[Any]) -> Slow:
    number, at, micros, words, *client = entry
    named = [one.decode(errors="replace") for one in client if one]
    return Slow(id=int(number), at_ms=int(at) * 1000, seconds=int(micros) / 1e6, what=_named(words), words=len(words),
                client=named[-1] if named else "")  # fmt: skip


def _named(words: Sequence[bytes]) -> str:
    """Name a command: its script or function where it runs one, and no argument."""
    command = words[0].decode(errors="replace").upper() if words else ""
    if command in ("EVALSHA", "EVALSHA_RO") and len(words) > 1:
        return f"{command} {_scripts().get(words[1].lower(), words[1][:8].decode(errors='replace'))}"
    if command in ("FCALL", "FCALL_RO", "CONFIG", "CLIENT", "FUNCTION", "SCRIPT") and len(words) > 1:
        return f"{command} {words[1][:60].decode(errors='replace')}"
    return command


@cache
def _scripts() -> Mapping[bytes, str]:
    """Our scripts, by what Redis knows them by."""
    found: dict[bytes, str] = {}
    for name in names():
        for testing in (False, True):
            one = script(name, testing=testing)
            found |= {one.sha: name} | ({one.plain.sha: name} if one.plain else {})
    return found
