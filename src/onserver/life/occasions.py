"""The hooks of what happens in the life of a server between its start and its stop.

A backup begins and ends, something happens to a machine or the cluster, a remote client connects and leaves. What their
answers mean is in `hook_call`; those of the start and the stop are in `hooks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, Unpack, overload

from onserver.life.hook import (
    BACKUP_SHUTDOWN,
    BACKUP_STARTUP,
    CLOSE_CONNECTION,
    OPEN_CONNECTION,
    SYSTEM_EVENT,
    HookOptions,
    RunOn,
    decorated,
)
from onserver.life.hook_arguments import Backup, BackupResult, Connection, SystemEvent

StartsBackup = TypeVar("StartsBackup", bound=Callable[[Backup], "int | Awaitable[int | None] | None"])
EndsBackup = TypeVar("EndsBackup", bound=Callable[[BackupResult], Any])
HearsEvent = TypeVar("HearsEvent", bound=Callable[[SystemEvent], Any])
OpensConnection = TypeVar("OpensConnection", bound=Callable[[Connection], "int | Awaitable[int | None] | None"])
ClosesConnection = TypeVar("ClosesConnection", bound=Callable[[Connection], Any])


@overload
def on_backup_startup(function: StartsBackup, /) -> StartsBackup: ...
@overload
def on_backup_startup(**options: Unpack[HookOptions]) -> Callable[[StartsBackup], StartsBackup]: ...
def on_backup_startup(function: Any = None, /, **options: Any) -> Any:
    """Run a function before each backup, however it was asked for; it may refuse the backup.

    It runs in the worker that backs up, in the stored-procedure session. None or 0 lets the backup go on; any other
    whole number refuses it: nothing is written, hooks behind are not asked, and `on_backup_shutdown` is told that very
    number. One that raises, runs for longer than its time limit, or answers anything else refuses too, with 5301.

    Args:
        function: what runs, plain or `async def`; called with a `Backup`.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `hook.timeout_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.
        by_hand: whether it bears to be run by hand, as a trial, from the admin page and by `onserver hooks run`.

    Raises:
        BadDeclaration: ONS-1009, it cannot be called so, or an argument has no meaning.

    Example:
        >>> @on_backup_startup
        ... def guard(backup: Backup) -> int | None:
        ...     return backup.veto(201, "month-end close") if backup.label == "now" else None
        >>> guard(Backup(label="now"))
        201

    4D: On Backup Startup (specification 6.6). Codes 1401 to 1421 are those of a backup itself: refuse with others, or
    `on_backup_shutdown` cannot tell them apart.
    """
    return decorated(BACKUP_STARTUP, function, options)


@overload
def on_backup_shutdown(function: EndsBackup, /) -> EndsBackup: ...
@overload
def on_backup_shutdown(**options: Unpack[HookOptions]) -> Callable[[EndsBackup], EndsBackup]: ...
def on_backup_shutdown(function: Any = None, /, **options: Any) -> Any:
    """Run a function after each backup, however it ended: the place from which somebody can be told.

    It runs where the backup did. What it answers means nothing; what it raises is recorded and shown.

    Args:
        function: what runs, plain or `async def`; called with a `BackupResult`.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `hook.timeout_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.
        by_hand: whether it bears to be run by hand, as a trial, from the admin page and by `onserver hooks run`.

    Raises:
        BadDeclaration: ONS-1009, as for `on_backup_startup`.

    Example:
        >>> @on_backup_shutdown
        ... def after(result: BackupResult) -> None:
        ...     print("backup", result.number, "ended with", result.code)
        >>> after(BackupResult(code=0, number=4))
        backup 4 ended with 0

    4D: On Backup Shutdown (specification 6.6), whose one integer is `result.code`.
    """
    return decorated(BACKUP_SHUTDOWN, function, options)


@overload
def on_system_event(function: HearsEvent, /) -> HearsEvent: ...
@overload
def on_system_event(
    *, run_on: RunOn = "here", **options: Unpack[HookOptions]
) -> Callable[[HearsEvent], HearsEvent]: ...
def on_system_event(function: Any = None, /, *, run_on: RunOn = "here", **options: Any) -> Any:
    """Run a function when something happens to a machine, to Redis or to the cluster.

    It runs beside the executors, in the stored-procedure session, whatever the server is doing just then. What it
    answers means nothing; what it raises is recorded and shown.

    Args:
        function: what runs, plain or `async def`; called with a `SystemEvent`.
        run_on: `here`, in the worker where it happened, and for what happens to the cluster once; `once`, in one worker
            whatever happened; `every`, in each.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `hook.timeout_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.
        by_hand: whether it bears to be run by hand, as a trial, from the admin page and by `onserver hooks run`.

    Raises:
        BadDeclaration: ONS-1009, as for `on_backup_startup`.

    Example:
        >>> @on_system_event
        ... def heard(event: SystemEvent) -> None:
        ...     print(event.code, event.name)
        >>> heard(SystemEvent(code=2, name="foreground"))
        2 foreground

    4D: On System Event (specification 6.6): codes 1 and 2 mean the same there; all others are ours.
    """
    return decorated(SYSTEM_EVENT, function, options, run_on)


@overload
def on_server_open_connection(function: OpensConnection, /) -> OpensConnection: ...
@overload
def on_server_open_connection(**options: Unpack[HookOptions]) -> Callable[[OpensConnection], OpensConnection]: ...
def on_server_open_connection(function: Any = None, /, **options: Any) -> Any:
    """Run a function before a remote client may use the server; it may refuse the connection.

    It runs in the session of the client. None or 0 accepts; any other whole number refuses, and hooks behind are not
    asked. One that raises, runs for longer than its time limit, or answers anything else refuses too. A client may open
    several connections, so what it does must bear being done again.

    Args:
        function: what runs, plain or `async def`; called with a `Connection`.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `hook.timeout_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.
        by_hand: whether it bears to be run by hand, as a trial, from the admin page and by `onserver hooks run`.

    Raises:
        BadDeclaration: ONS-1009, as for `on_backup_startup`.

    Example:
        >>> @on_server_open_connection
        ... def admit(connection: Connection) -> int | None:
        ...     return connection.veto(22000, "closed for the night") if connection.user == 3 else None
        >>> admit(Connection(user=3, connection=17))
        22000

    4D: On Server Open Connection (specification 6.4); its three integers are the attributes of `connection`.
    """
    return decorated(OPEN_CONNECTION, function, options)


@overload
def on_server_close_connection(function: ClosesConnection, /) -> ClosesConnection: ...
@overload
def on_server_close_connection(**options: Unpack[HookOptions]) -> Callable[[ClosesConnection], ClosesConnection]: ...
def on_server_close_connection(function: Any = None, /, **options: Any) -> Any:
    """Run a function when a connection of a remote client ends that was accepted.

    It runs in the session of the client, which is over with its last connection where it ends. What it answers means
    nothing; what it raises is recorded and shown.

    Args:
        function: what runs, plain or `async def`; called with the `Connection` that its opening had.
        options: these:
        name: its name; by default the module below `tasks` and the function's name.
        timeout: seconds it may run; the setting `hook.timeout_seconds` by default.
        before: hooks of this kind that run later: names, or the functions.
        after: hooks of this kind that run earlier.
        by_hand: whether it bears to be run by hand, as a trial, from the admin page and by `onserver hooks run`.

    Raises:
        BadDeclaration: ONS-1009, as for `on_backup_startup`.

    Example:
        >>> @on_server_close_connection
        ... def left(connection: Connection) -> None:
        ...     print("user", connection.user, "has left")
        >>> left(Connection(user=3, connection=17))
        user 3 has left

    4D: On Server Close Connection (specification 6.5). Of one that was refused it is not called; the original does not
    say.
    """
    return decorated(CLOSE_CONNECTION, function, options)


#: The name that one page of the original gives it.
on_server_shutdown_connection = on_server_close_connection
