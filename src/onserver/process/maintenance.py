"""Maintenance: the server is closed for new work, and an operator, or the time, opens it again.

It is kept in Redis, so it holds while no worker is up and survives restarts of everything. What is refused is decided
in the scripts that make work (`redis/lua/fragments/maintenance.lua`), so no way around it is left, Celery's senders
included:

| who asks | |
|---|---|
| a client: `execute_on_server`, `execute_many`, a mailbox, `apply_async` | refused with `MaintenanceMode` |
| a schedule | held back; when it is over, what was missed is started as its `missed` says |
| a process that runs | goes on, with all that it starts, calls, and asks to run again |
| hooks and what descends from them | go on: a server can start, stop and be backed up meanwhile |
| an operator: `dead replay`, `schedule run`, `abort`, `resume` … | goes on |
| a client that registers for requests | refused where that was asked for (`reject_connections`) |

What was put before it begins runs: it was accepted. To hold that as well there is `pause_all`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from onserver.errors import BadArguments
from onserver.process.control import asked_by
from onserver.redis.store import Store
from onserver.server import Server

_LONGEST_SECONDS: Final = 366 * 86_400.0
#: Characters of a message; it travels with each refusal.
_LONGEST_MESSAGE: Final = 500
_SIGNATURE: Final = 'begin_maintenance(message="", *, for_seconds=None, reject_connections=False)'
_FIELDS: Final = ("mu", "mt", "mb", "ma", "mr")


class Maintenance(NamedTuple):
    """The server is closed for new work.

    Attributes:
        message: what those are told who are refused.
        by: who asked for it.
        since_ms: since when, milliseconds since 1970 by the clock of Redis.
        until_ms: when it ends by itself, likewise; 0 for never.
        rejects_connections: whether new connections are refused as well.
    """

    message: str
    by: str
    since_ms: int
    until_ms: int
    rejects_connections: bool

    @property
    def text(self) -> str:
        """The same in words."""
        until = f", until {_clock(self.until_ms)}" if self.until_ms else ""
        message = f": {self.message}" if self.message else ""
        return f"in maintenance by {self.by} since {_clock(self.since_ms)}{until}{message}"


def begin_maintenance(
    message: str = "", *, for_seconds: float | None = None, reject_connections: bool = False
) -> Maintenance:
    """Close the server for new work: clients are refused with `MaintenanceMode`, what runs goes on.

    Said again, it replaces what was said before. It stays until `end_maintenance`, whatever is restarted.

    Args:
        message: what those are told who are refused; 500 characters at most, in one line.
        for_seconds: after so many seconds it ends by itself.
        reject_connections: refuse clients that register anew as well; those that are registered stay.

    Raises:
        BadArguments: ONS-1105, an argument is out of range.

    Example:
        >>> begin_maintenance("month-end close", for_seconds=1800).message
        'month-end close'
        >>> try:
        ...     execute_on_server(add, 1, 2)
        ... except errors.MaintenanceMode as refused:
        ...     print(refused.message)
        The server is in maintenance: month-end close.
        >>> end_maintenance()
        True

    4D: none; `REJECT NEW REMOTE CONNECTIONS` is `reject_new_connections`.
    """
    return begin_maintenance_on(
        Server.current(), message, for_seconds=for_seconds, reject_connections=reject_connections
    )


def begin_maintenance_on(
    server: Server, message: str = "", *, for_seconds: float | None = None, reject_connections: bool = False
) -> Maintenance:
    """Do the same to a server, whichever is the current one."""
    if for_seconds is not None and not 0 < for_seconds <= _LONGEST_SECONDS:
        raise BadArguments("begin_maintenance", f"is given for_seconds={for_seconds!r}: 0 to a year", _SIGNATURE)
    line = " ".join(message.split())
    if len(line) > _LONGEST_MESSAGE:
        problem = f"is given a message of {len(line)} characters, of which it takes {_LONGEST_MESSAGE}"
        raise BadArguments("begin_maintenance", problem, _SIGNATURE)
    for_ms = "" if for_seconds is None else max(1, int(for_seconds * 1000))
    store, by = server.store, asked_by(server)
    since, until = store.run("begin_maintenance", store.nonce(), line, by, for_ms, int(reject_connections))
    return Maintenance(line, by, int(since), int(until), reject_connections)


def end_maintenance() -> bool:
    """Open the server for new work. Returns whether it was closed.

    Example:
        >>> end_maintenance()
        False
    """
    return end_maintenance_on(Server.current())


def end_maintenance_on(server: Server) -> bool:
    """Do the same to a server, whichever is the current one."""
    store = server.store
    return bool(store.run("end_maintenance", store.nonce(), asked_by(server)))


def maintenance() -> Maintenance | None:
    """Answer whether the server is closed for new work, and how; None when it is open. One round trip.

    Example:
        >>> maintenance() is None
        True
    """
    return maintenance_on(Server.current().store)


def maintenance_on(store: Store) -> Maintenance | None:
    """Answer the same for whoever has the server's keys only."""
    until, *rest = store.command("HMGET", store.key("server"), *_FIELDS)
    if until is None or 0 < int(until) <= store.now_ms():
        return None
    message, by, since, rejects = ((text or b"").decode() for text in rest)
    return Maintenance(message, by, int(since or 0), int(until), rejects == "1")


def _clock(ms: int) -> str:
    then, now = datetime.fromtimestamp(ms / 1000).astimezone(), datetime.now().astimezone()
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"
