"""The clients of a server that stops: they are told, may leave, and are made to; then the shutdown hooks run.

Their sessions end as all sessions of clients do (`onserver.connections`), which tells the hooks of their connections.
Workers that stop wait for that, for the grace time of the stop at most; what is left then, the next life of the server
brings to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from onserver.lazy import load
from onserver.redis.store import Store
from onserver.server import Server

_CLOSER: Final = "onserver.connections.ending:Closer"


class Guests:
    """The clients, for one worker that stops.

    Args:
        server: the loaded project.
        store: its Redis, with deadlines that a beat can afford.
        grace_seconds: how long the hooks of their connections may take, all together.
        say: prints one line of narration.

    Attributes:
        left: whether all have left, or nobody waits for them any more.
    """

    def __init__(self, server: Server, store: Store, grace_seconds: float, say: Callable[[str], None]) -> None:
        self._server, self._store, self._say = server, store, say
        self._leave_at = monotonic() + server.settings.remote.leave_seconds
        self._until = self._leave_at + grace_seconds
        self._told = False
        self.left = False

    def gone(self) -> bool:
        """See to it that they leave, and look whether all have."""
        if self.left:
            return True
        now = monotonic()
        count = int(self._store.run("remote_stop", int(now >= self._leave_at)))
        if count and not self._told:
            self._told = True
            self._say(f"{count} remote {'client is' if count == 1 else 'clients are'} told that the server stops")
        if count and now < self._until:
            load(_CLOSER)(self._server, self._store, self._say).work()
            return False
        self.left = True
        return True
