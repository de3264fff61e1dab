"""The threads in which requests wait: for hooks, pages and calls, which are plain functions.

The loop's own pool has a few threads, enough for what takes a moment. What waits for code of the project would take
them all, and hold up every other request; so there is a thread for each request that there may be.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from onserver.server import Server

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """The threads of the web servers of one server. Made by `server.part(Threads)`."""

    def __init__(self, server: Server) -> None:
        self._pool = ThreadPoolExecutor(server.settings.web.max_concurrent_processes, "onserver-web")

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in a thread, in this context: `session()` answers there what it answers here."""
        context = contextvars.copy_context()

        def body() -> Any:
            return context.run(function, *args, **kwargs)

        found: R = await asyncio.get_running_loop().run_in_executor(self._pool, body)
        return found

    def close(self) -> None:
        """Let the threads end that have nothing to do."""
        self._pool.shutdown(wait=False, cancel_futures=True)
