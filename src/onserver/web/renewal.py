"""Sessions are used, although nobody has looked at them: noted in the background, and not waited for.

One thread for each web server, begun with the first note. A session is noted once a minute at most in each program;
the script in Redis sees to it that all programs together do not do it more often either. What cannot be noted, because
Redis is away, is logged, and tried again with the next request of that session.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Final

from onserver.session.records import is_identity

_log = logging.getLogger("onserver.web")

#: Seconds between two notes of one session.
EVERY: Final = 60.0
#: How many sessions are remembered, and may wait, at most.
_MOST: Final = 10_000


class Renewal:
    """Notes that sessions are used.

    Args:
        note: notes it for one id.
    """

    def __init__(self, note: Callable[[str], object]) -> None:
        self._note = note
        self._noted: dict[str, float] = {}
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._making = threading.Lock()
        self._thread: threading.Thread | None = None

    def renew(self, identity: str, *, due: bool = False) -> bool:
        """Note that a session is used, soon. False where that was done within the last minute, or this is no id.

        Args:
            identity: of the session, or whatever was sent for one.
            due: whether its record says that it was not, which then holds.
        """
        now = monotonic()
        noted = None if due else self._noted.get(identity)
        if noted is not None and now - noted < EVERY:
            return False
        if not is_identity(identity) or self._waiting.qsize() >= _MOST:
            return False
        with self._making:
            if len(self._noted) >= _MOST:
                self._noted.clear()  # each is noted once more than it need be
            self._noted[identity] = now
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="onserver-renewal", daemon=True)
                self._thread.start()
        self._waiting.put(identity)
        return True

    def close(self) -> None:
        """Note what waits, and end."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (identity := self._waiting.get()) is not None:
            try:
                self._note(identity)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next session is noted all the same
                self._noted.pop(identity, None)
                _log.warning("cannot note that a session is used: %s", error)
