"""Backups: whether one is overdue, has failed, or was given up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from onserver.backup.state import State
from onserver.doctor.findings import Finding, note, well, wrong
from onserver.server import Server

#: Minutes after its date that a backup may begin: a leader may have died.
_LATE: Final = 10.0
_NEVER: Final = "never"


def look_at_backups(server: Server) -> Iterator[Finding]:
    """Look how the backups of a server stand."""
    settings, state, now = server.settings.backup, State(server.store), server.store.now_ms()
    _, standing = state.standing()
    last, good = state.last(), state.last("good")
    if settings.schedule == _NEVER and last is None:
        yield note(
            "backups", "no backup was ever made, and none is scheduled", "`backup.schedule`, or onserver backup now"
        )
        return
    if standing.suspended:
        text = f"scheduled backups are suspended after {standing.attempts} failures"
        yield wrong("backups", text, "See onserver backup ls; they go on with the next start, or onserver backup now.")
    elif settings.schedule != _NEVER and standing.next_ms and now - standing.next_ms > _LATE * 60_000:
        text = f"a backup was due at {_clock(standing.next_ms)}, and none was begun"
        yield wrong("backups", text, "Is a worker up? It is begun once one is; or onserver backup now.")
    if last is not None and last.code not in (0, None):
        yield wrong("backups", f"the last backup has failed: {last.code} {last.reason}", "onserver backup ls")
    if good is None:
        yield wrong("backups", "no backup has ended well", "onserver backup now")
    else:
        yield well("backups", f"the last good backup: number {good.number}")


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000).astimezone():%Y-%m-%d %H:%M}"
