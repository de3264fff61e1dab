"""What stands for a worker here: who puts lets the engine know, and backups are made where they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from onserver.backup.asking import Made
from onserver.backup.run import backup_here
from onserver.backup.state import Ask
from onserver.life.hook_arguments import BackupResult
from onserver.process.handle import Process
from onserver.process.put import Order, Sender
from onserver.redis.resp import Word
from onserver.server import Server


class SenderHere(Sender):
    """Puts, with a worker that knows what is put.

    Args:
        server: the server.
        before: told of the queue that something is about to be put into, "" where that is not known.
        after: lets it run before the put answers; None where others run it.
    """

    def __init__(self, server: Server, before: Callable[[str], None], after: Callable[[], None] | None) -> None:
        super().__init__(server)
        self._before, self._after = before, after

    def put(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
        """Start one process."""
        self._before(order.queue)
        process = super().put(order, args, kwargs)
        self._let_run()
        return process

    async def aput(self, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
        """Start one process; where it runs before this returns, it must not be in the thread of the loop."""
        return await asyncio.to_thread(self.put, order, args, kwargs)

    def send(self, script: str, words: Callable[[str, int], Sequence[Word]]) -> Any:
        """Send calls that are no processes of their own."""
        self._before("")
        answer = super().send(script, words)
        self._let_run()
        return answer

    def put_many(self, order: Order, calls: Sequence[tuple[Sequence[Any], Mapping[str, Any]]]) -> list[Process[Any]]:
        """Start many processes."""
        self._before(order.queue)
        processes = super().put_many(order, calls)
        self._let_run()
        return processes

    def _let_run(self) -> None:
        if self._after is None:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._after()
            return
        with ThreadPoolExecutor(1, "onserver-inline") as beside:
            beside.submit(self._after).result()


class MadeHere(Made):
    """Makes the backups that are asked for here: there is no worker that could."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._here = server

    def make(self, ask: Ask, timeout: float | None) -> BackupResult:  # noqa: ARG002  # it has ended when this returns
        """Make one."""
        return backup_here(self._here, ask)
