"""Reading the settings anew while a worker runs (SIGHUP): what can be taken over is, what cannot is named.

The file is checked whole before anything changes: with one wrong value everything stays as it was. Most settings are
read where they are used, and the executors that are forked next have them. Where Redis is, who this server is, how
long its members live, and what this worker was started as cannot change under what runs: that needs a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from onserver.errors import ConfigError
from onserver.server import Server
from onserver.settings import SETTINGS, Settings, load

#: Keys, or the beginnings of keys, whose new value is taken over at the next start.
RESTART = (
    "name", "redis", "wait_for_replicas", "celery", "member.", "signing.", "session.", "worker.grace_seconds",
    "worker.executors", "worker.health", "process.log_",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reread:
    """What came of it.

    Attributes:
        applied: keys whose new value holds from now on.
        restart: keys that have a new value, which needs a restart.
        error: why all is as it was, or "".
    """

    applied: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    error: str = ""


def reread(server: Server) -> Reread:
    """Read the settings of the server's project anew, and let it have those that can change now."""
    if server.project is None:
        return Reread(error="this program has no project, and so no settings file")
    try:
        new = load(server.project)
    except (ConfigError, OSError) as error:
        return Reread(error=str(error))
    changed = [key for key in SETTINGS if _value(new, key) != _value(server.settings, key)]
    restart = tuple(key for key in changed if key.startswith(RESTART))
    applied = tuple(key for key in changed if key not in restart)
    server.settings = _merged(server.settings, new, applied)
    return Reread(applied=applied, restart=restart)


def _merged(old: Settings, new: Settings, keys: tuple[str, ...]) -> Settings:
    """The old ones, with the values that the new ones have under these keys."""
    top: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for key in keys:
        section, dot, name = key.partition(".")
        (sections.setdefault(section, {}) if dot else top)[name or section] = _value(new, key)
    for section, values in sections.items():
        top[section] = msgspec.structs.replace(getattr(old, section), **values)
    return msgspec.structs.replace(old, **top, sources=new.sources)


def _value(settings: Settings, key: str) -> object:
    section, dot, name = key.partition(".")
    return getattr(getattr(settings, section), name) if dot else getattr(settings, section)
