"""The opening of a single-user application: its engine, made when its first process is started.

It ends with `Server.close()`, or with the program: what was started gets the grace time of a worker
(`worker.grace_seconds`) to end, and what has not is interrupted. As on a server nothing is forgotten: what waits, is
due later, or was interrupted is run by the next opening.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
from contextlib import suppress
from typing import Final

from onserver.alone.engine import Engine
from onserver.alone.here import MadeHere, SenderHere
from onserver.backup.asking import Made
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.process.put import Sender
from onserver.server import Server

#: How many processes run at a time, each in a thread of its own.
MOST: Final = 64


def prepare(server: Server) -> None:
    """Let a server that is alone run its processes itself, and make its backups."""
    server.make_instead(Sender, _sender)
    server.make_instead(Made, MadeHere)


def _sender(server: Server) -> SenderHere:
    server.load_tasks()
    node = f"standalone@{socket.gethostname()}"
    engine = Engine(server, node, seats=MOST, every_queue=True, kept=True)
    engine.open()
    closing = _Closing(engine)
    server.before_close(closing.close)
    return SenderHere(server, engine.take_place, None)


class _Closing:
    """Ends the engine once: when its server is closed, or its program ends."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pid = os.getpid()
        atexit.register(self.close)

    def close(self) -> None:
        """End it; in a child that was forked it is not there."""
        atexit.unregister(self.close)
        if self._pid != os.getpid():
            return
        with suppress(BrokerUnavailable, MemberFenced):  # then the next opening finds that this program is gone
            stuck = self._engine.close(self._engine.server.settings.worker.grace_seconds)
            if stuck:
                sys.stderr.write(f"left behind, since it did not end when it was interrupted:\n{stuck}")
