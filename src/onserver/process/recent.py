"""What Redis has acknowledged in the last two seconds: so that what it forgot is said, and not found out one day.

With `appendfsync everysec`, or after a fail-over, Redis may come back without its last second. A new run id tells (see
`Store.on_changed`); then this program compares what it knows was accepted or ended with what is there, and logs what is
gone. What a client that has ended meanwhile knew, nobody can say.
"""

import logging
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final

from onserver.server import Server

logger = logging.getLogger("onserver")

_REMEMBERED_SECONDS: Final = 2.0
_MOST: Final = 20_000
_CHUNK: Final = 500
_SHOWN: Final = 10


class Recent:
    """One for each server and program. Made by `server.part(Recent)`."""

    def __init__(self, server: Server) -> None:
        self._store = server.store
        self._known: deque[tuple[float, int, int]] = deque(maxlen=_MOST)
        self._changed_at = 0.0
        self._store.on_changed.append(self._note_change)

    def note(self, first: int, last: int = 0) -> None:
        """Redis has said that it has this process, or all from `first` to `last`."""
        self._known.append((monotonic(), first, last or first))

    @property
    def is_due(self) -> bool:
        """Whether `report` has to ask Redis."""
        return bool(self._changed_at)

    def report(self) -> Sequence[int]:
        """Log and answer what is gone, if Redis has come back as another since the last call; else answer nothing."""
        if not self._changed_at:
            return ()
        since, self._changed_at = self._changed_at - _REMEMBERED_SECONDS, 0.0
        ranges = [range(first, last + 1) for at, first, last in list(self._known) if at >= since]
        known = [number for numbers in ranges for number in numbers]
        gone: list[int] = []
        for start in range(0, len(known), _CHUNK):
            chunk = known[start : start + _CHUNK]
            there = self._store.pipeline([("EXISTS", self._store.key(f"p:{number}")) for number in chunk])
            gone += [number for number, exists in zip(chunk, there, strict=True) if not exists]
        if gone:
            some = ", ".join(f"#{number}" for number in gone[:_SHOWN])
            logger.error(
                "Redis came back without %d processes that it had accepted: %s%s. `appendfsync always` loses none.",
                len(gone), some, " …" if len(gone) > _SHOWN else "",
            )  # fmt: skip
        return gone

    def _note_change(self) -> None:
        # the last word that is known is older than the change, however long Redis was away
        self._changed_at = self._known[-1][0] if self._known else monotonic()
