"""The hand-off list of one holder, read by a loop: what is pushed there arrives without being asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from time import monotonic
from typing import Final

from onserver.process.claim import WIDTH
from onserver.redis.answers import LinkError
from onserver.redis.store import Store

#: Seconds after which a read that got nothing is asked for again.
BLOCK_SECONDS: Final = 5


class HandOffs:
    """A blocking read on a connection of its own, whose socket the loop watches.

    Args:
        store: the Redis of the server.
        holder: whose list it is.
        threads: where it connects.
        told: given each hand-off: a message and the storage's change number.
        broken: called when the connection was lost: what was in it must be asked for otherwise.
    """

    def __init__(
        self,
        store: Store,
        holder: str,
        threads: Executor,
        told: Callable[[Sequence[bytes]], None],
        broken: Callable[[], None],
    ) -> None:
        self._link = store.link()
        self._key = store.key(f"x:{holder}")
        self._threads, self._told, self._broken = threads, told, broken
        self._silence: asyncio.TimerHandle | None = None
        self._watched: int | None = None
        #: Until then Redis may still serve the read of a connection that was lost.
        self._doubtful_until = 0.0

    async def open(self) -> None:
        """Begin to read. Does nothing if it reads already.

        Raises:
            LinkError: Redis cannot be reached.
        """
        if self._watched is not None:
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._link.connect)
        self._watched = self._link.fileno()
        loop.add_reader(self._watched, self._arrived)
        self._ask()

    def close(self) -> None:
        """Read no more. What was sent to this connection, or is yet, will not be heard."""
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            self._watched = None
            self._doubtful_until = monotonic() + 2 * BLOCK_SECONDS
        if self._silence is not None:
            self._silence.cancel()
        self._link.close()

    def _ask(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
        seconds = BLOCK_SECONDS + self._link.command_seconds
        self._silence = asyncio.get_running_loop().call_later(seconds, self._lost)
        self._link.send("BLMPOP", BLOCK_SECONDS, 1, self._key, "LEFT", "COUNT", WIDTH + 1)

    def _arrived(self) -> None:
        try:
            answers = self._link.arrived()
            if answers:
                self._ask()
        except LinkError:
            self._lost()
            return
        for answer in answers:
            if answer is not None:
                self._told(answer[1])
            elif self._doubtful_until:
                self._doubtful_until = 0.0 if monotonic() > self._doubtful_until else self._doubtful_until
                self._broken()

    def _lost(self) -> None:
        self.close()
        self._broken()
