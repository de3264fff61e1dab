"""The standalone session: the one of a single-user application, which has no server (specification 3.4).

There is exactly one for each opening of the application. The first of its programs opens it, and its other programs,
such as children that work for it, find it; all hold a share of a lock meanwhile. Whoever comes when nobody has a share
is a first one: it ends what an earlier opening has left, with its storage.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

from onserver.redis.home import FileLock
from onserver.session.info import own_facts
from onserver.session.session import Session
from onserver.session.sessions import Sessions

#: The user of a single-user application.
DESIGNER: Final = "designer"
#: Held while the session is opened or found: to become a share, an exclusive lock is given back for a moment.
_GATE: Final = "opening.lock"
_LOCK: Final = "programs.lock"
_SECONDS: Final = 30.0


class Alone:
    """The share that this program has in the standalone session.

    Args:
        sessions: of the application's private Redis.
        folder: where its programs agree on who is the first.

    Attributes:
        session: the standalone session.
    """

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        gate, self._lock = FileLock(folder / _GATE), FileLock(folder / _LOCK)
        try:
            if not gate.take(seconds=_SECONDS):
                raise TimeoutError(f"another program holds {gate.path} and does not give it back")
            self.session: Session = _opened(sessions) if self._lock.take() else _found(sessions)
            self._lock.take(shared=True, seconds=_SECONDS)
        finally:
            gate.close()

    def close(self) -> None:
        """Give the share back; the session ends when the next opening begins."""
        self._lock.close()


def _opened(sessions: Sessions) -> Session:
    for record in sessions.listed("standalone"):
        sessions.close(record.id)
    own: dict[str, Any] = {"user": DESIGNER, **own_facts(socket.gethostname())}
    return sessions.open("standalone", **own)


def _found(sessions: Sessions) -> Session:
    records = sessions.listed("standalone", limit=1)
    return sessions.of(records[0]) if records else _opened(sessions)
