"""Asking for a backup: `backup()`, and the same for the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from onserver.backup.codes import MEANINGS, Code
from onserver.backup.keeper import PROCEDURE
from onserver.backup.state import Ask, State
from onserver.errors import BackupFailed, BackupRunning, ProcessAborted, ProcessDead, ProcessLost
from onserver.life.hook_arguments import BackupResult
from onserver.life.side_runs import start_side
from onserver.process.caller import caller
from onserver.process.handle import Process
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.context import current_run


def backup(*, label: str = "", force: bool = False, timeout: float | None = None) -> BackupResult:
    """Make a backup of the server, and wait until it has ended.

    It is made by a worker, as a process of its own, with the settings `[backup]`; called in a procedure or in a client
    it is the same. One runs at a time in the cluster. However it ends, the `on_backup_shutdown` hooks are told.

    Args:
        label: what to call it, for people.
        force: make it even if an `on_backup_startup` hook refuses; who did so is recorded.
        timeout: seconds to wait; None: until it has ended. It goes on when they are over.

    Returns:
        How it ended: `code` 0, the code of the hook that refused, or one of the specification's (1401 to 1421).

    Raises:
        BackupRunning: ONS-5210, one is being made already; also in a backup hook, which must not ask for another.
        BackupFailed: ONS-5209 with 1404, called in a `use` block, whose edits would not be in it; with 1414, no worker
            is up to make it.
        ProcessTimeout: ONS-2202, it has not ended within `timeout`.
        SyncInAsyncError: ONS-2302, in a running event loop; `await asyncio.to_thread(backup)` there.

    Example:
        >>> from onserver import backup
        >>> backup(label="before the move").code  # doctest: +SKIP
        0

    4D: `BACKUP`, which has no arguments; OK is 1 where `code` is 0.
    """
    server = Server.current()
    ask = Ask(label=label, asked_by=asker(), forced_by=asker() if force else "")
    refuse_in_block(server)
    refuse_second(server.store)
    return server.part(Made).make(ask, timeout)


class Made:
    """Has backups made by workers. Made by `server.part(Made)`; the test plug-in puts one in its place."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def make(self, ask: Ask, timeout: float | None) -> BackupResult:
        """Have one made, and wait until it has ended."""
        return result_of_process(start_backup(self._server, ask), timeout)


def start_backup(server: Server, ask: Ask) -> Process[Any]:
    """Have a worker make one, and answer its process at once.

    Raises:
        BackupFailed: ONS-5209 with 1414, no worker is up.
    """
    if not workers(server.store):
        raise BackupFailed(Code.NO_SERVER, "no worker is up to make it; `onserver backup now` makes one without")
    (number,) = start_side(server, PROCEDURE, [asdict(ask)], name=PROCEDURE)
    return Process[Any](server, number)


def result_of_process(process: Process[Any], timeout: float | None = None) -> BackupResult:
    """Wait for the result of a backup that was started; one that was ended from outside has one as well."""
    try:
        return BackupResult.read(cast("dict[str, Any]", process.result(timeout=timeout)))
    except ProcessAborted:
        return BackupResult(code=Code.CANCELLED, reason=MEANINGS[Code.CANCELLED])
    except (ProcessDead, ProcessLost) as error:
        return BackupResult(code=Code.NOT_SAVED, reason=error.message.rstrip("."))


def refuse_in_block(server: Server) -> None:
    """Refuse in a `use` block.

    Raises:
        BackupFailed: ONS-5209 with 1404.
    """
    run = current_run()
    if run is not None and server.storage.in_use(run):
        raise BackupFailed(Code.IN_USE_BLOCK, MEANINGS[Code.IN_USE_BLOCK])


def refuse_second(store: Store) -> None:
    """Refuse while a backup is being made.

    Raises:
        BackupRunning: ONS-5210.
    """
    going = State(store).going()
    if going is not None and store.command("SISMEMBER", store.key("live"), going.holder):
        raise BackupRunning(going.process, max(0.0, (store.now_ms() - going.since_ms) / 1000))


def workers(store: Store) -> int:
    """How many workers are up."""
    return int(store.command("SCARD", store.key("workers")))


def asker() -> str:
    """Who asks, for people: whoever asked for the running process, or the user of this program."""
    asks, run = caller(), current_run()
    who = f"{asks.os_user}@{asks.host}" if asks.is_server and asks.os_user else asks.user
    return who if run is None or not run.number else f"{who} (#{run.number} {run.name})"
