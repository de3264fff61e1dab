"""How many requests one web server works on at once: those that are too many are told 503 and may ask again."""

from __future__ import annotations

import re
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from onserver.web.answers import problem

#: Requests that last as long as somebody watches; they have limits of their own.
_WATCHING: Final = re.compile("/processes/[0-9]+/events")


class Capacity:
    """Lets in as many requests at once as there may be (setting `web.max_concurrent_processes`), less one.

    Args:
        app: what answers them.
        most: the limit.

    4D: `maxConcurrentProcesses`; with that number minus one reached, new requests get 503.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = str(scope.get("path", "")).removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or _WATCHING.fullmatch(path):
            await self._app(scope, receive, send)
            return
        if self._running >= self._most - 1:
            busy = problem(503, "The server has as many requests as it takes.", headers={"Retry-After": "1"})
            await busy(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1
