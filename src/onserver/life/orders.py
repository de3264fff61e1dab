"""The order list of a worker: waiting there costs nothing, and an order acts at once.

An order is only a wake-up: what it points to is in the records, and the next beat reads
them anyway, so a lost order is a late one.
"""

from __future__ import annotations

from onserver.redis.answers import LinkError
from onserver.redis.store import Store

_BLOCK_SECONDS = 20


class Orders:
    """A blocking read that a select loop can watch."""

    def __init__(self, store: Store, member: int, deadline: float) -> None:
        self._link = store.link()
        self._link.connect_seconds = self._link.command_seconds = deadline
        self._key = store.key(f"orders:{member}")
        self._asked = False
        #: Grows with each new connection: its descriptor may have the number of the one before.
        self.connection = 0

    def ask(self) -> int | None:
        """Be waiting for orders. Returns the descriptor to watch, or None while Redis cannot be reached."""
        try:
            if not self._link.connected:
                self._link.connect()
                self.connection += 1
                self._asked = False
            if not self._asked:
                self._link.send("BLMPOP", _BLOCK_SECONDS, 1, self._key, "LEFT", "COUNT", 100)
                self._asked = True
            return self._link.fileno()
        except LinkError:
            self._link.close()
            self._asked = False
            return None

    def read(self) -> list[str]:
        """The orders that have arrived: called when the descriptor is readable."""
        try:
            answers = self._link.arrived()
        except LinkError:
            self._link.close()
            self._asked = False
            return []
        if answers:
            self._asked = False
        return [order.decode() for answer in answers if answer is not None for order in answer[1]]

    def close(self) -> None:
        """Wait no longer."""
        self._link.close()
