"""All that the doctor looks at, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onserver.doctor.backups import look_at_backups
from onserver.doctor.engine import look_at_redis
from onserver.doctor.findings import Finding
from onserver.doctor.leftovers import look_at_leftovers, look_at_what_is_held
from onserver.doctor.project import look_at_project
from onserver.doctor.workers import look_at_workers
from onserver.server import Server


def examine(server: Server, folder: Path) -> Iterator[Finding]:
    """Look at everything; findings come as they are made.

    Args:
        server: with the settings of the project.
        folder: of the project.

    Raises:
        BrokerUnavailable: ONS-1201, its Redis cannot be reached; what needs none was told before.
    """
    yield from look_at_project(server, folder)
    yield from look_at_redis(server)
    yield from look_at_workers(server)
    yield from look_at_leftovers(server)
    yield from look_at_what_is_held(server)
    yield from look_at_backups(server)
