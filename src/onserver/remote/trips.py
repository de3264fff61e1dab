"""One wish, until it is answered: what is cut off on the way is sent again, for a while.

Everything that a client does is written once, as steps (`onserver.session.steps`), and done in this thread or on the
running loop. The pauses between two tries double, up to some seconds, and differ from client to client, so that those
of one server do not all come back in the same moment.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from functools import partial
from time import monotonic
from typing import Any, Final

from onserver.connections.wire import MOST_HAD, Wish
from onserver.errors import ServerUnreachable, SessionExpired
from onserver.remote.ways import Cut, Way
from onserver.session.steps import Step, Steps

_SHORTEST: Final = 0.1
_LONGEST: Final = 5.0


class Trips:
    """The trips of one client.

    Args:
        way: to the server.
        patience: seconds for which a wish that is cut off is sent again.
    """

    def __init__(self, way: Way, patience: float) -> None:
        self.way = way
        self.patience = patience
        #: The id of the session, the client's secret; empty before it has one.
        self.session = ""
        #: Why it is over, or empty.
        self.over = ""
        #: Calls whose ends the client has, which the server may forget.
        self.had: deque[str] = deque(maxlen=10 * MOST_HAD)
        self._leaving = threading.Event()

    def ask(self, wish: Wish, *, patience: float | None = None, call: str = "") -> Steps[Any]:
        """Have a wish granted.

        Args:
            wish: safe to be sent again, as all are.
            patience: seconds, if not the client's.
            call: id of the call that it is about, for the error.

        Raises:
            ServerUnreachable: ONS-1206.
            SessionExpired: ONS-4102, also of a client that was closed.
            OnServerError: the server's refusal.
        """
        if self.over:
            raise SessionExpired
        patience = self.patience if patience is None else patience
        began, pause, session = monotonic(), _SHORTEST, self.session
        while True:
            try:
                return (yield Step(partial(self.way.ask, session, wish), acall=partial(self.way.aask, session, wish)))
            except Cut as cut:
                if monotonic() - began >= patience or self._leaving.is_set():
                    raise ServerUnreachable(self.way.url, monotonic() - began, str(cut), call) from cut
            yield self.pause(pause * random.uniform(0.5, 1.0))  # nobody gains by guessing it
            pause = min(2 * pause, _LONGEST)

    def pause(self, seconds: float) -> Step:
        """Wait, but not for a client that is being closed."""
        return Step(partial(self._leaving.wait, seconds), idle=True, acall=partial(asyncio.sleep, seconds))

    def take_had(self) -> tuple[str, ...]:
        """Take the calls of which the server is to be told that their ends are here."""
        return tuple(self.had.popleft() for _ in range(min(len(self.had), MOST_HAD)))

    def leave(self) -> None:
        """Send nothing again any more."""
        self._leaving.set()

    @property
    def leaving(self) -> bool:
        """Whether the client is being closed."""
        return self._leaving.is_set()
