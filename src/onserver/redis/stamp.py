"""The stamp of a data folder: which engine and version wrote it, and which program may therefore open it.

A newer engine reads what an older one of its kind wrote, and Valkey reads what Redis up to 7.2 wrote, from which it
came. Nothing else is certain (Valkey 9 writes what no Redis can read), so nothing else is tried: the program that wrote
the data is kept on as long as it is there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from onserver.redis.binary import BY_NAME, ServerBinary, inspect, version_numbers
from onserver.redis.home import Home, note
from onserver.redis.serving import DidNotStart

_LAST_COMMON = (7, 2)


class Stamp(NamedTuple):
    """What is written into `stamp.json`."""

    engine: str
    version: str
    path: str
    source: str


def choose(home: Home, found: ServerBinary) -> ServerBinary:
    """The program to open the data folder with: `found` if it can read what is there, else the one that wrote it.

    Raises:
        DidNotStart: the program that wrote the data is gone, or `found` was asked for by name.
    """
    stamp = read(home)
    if stamp is None or readable(stamp, found):
        return found
    old = inspect(Path(stamp.path), "as before, for its data")
    if old is not None and (old.engine, old.version) == (stamp.engine, stamp.version) and found.source != BY_NAME:
        return old
    raise DidNotStart(
        f"cannot be started: {stamp.engine} {stamp.version} wrote {home.data}, and {found} cannot read it",
        f"Install {stamp.engine} {stamp.version} again, name it in `redis_server`, or move the folder away.",
    )


def readable(stamp: Stamp, by: ServerBinary) -> bool:
    """Whether this program is certain to read what that one wrote."""
    written = version_numbers(stamp.version)
    if stamp.engine == by.engine:
        return by.numbers >= written
    return (stamp.engine, by.engine) == ("redis", "valkey") and written[:2] <= _LAST_COMMON


def read(home: Home) -> Stamp | None:
    """The stamp of the data folder, or None where there is no data yet."""
    if not home.stamp.exists() or not home.data.exists() or not any(home.data.iterdir()):
        return None
    return Stamp(**json.loads(home.stamp.read_bytes()))


def write(home: Home, binary: ServerBinary) -> None:
    """Stamp the data folder, all or nothing."""
    note(home.stamp, Stamp(binary.engine, binary.version, str(binary.path), binary.source)._asdict())
