"""What processes have written and is not in Redis yet: gathered, and written for all of them in one trip.

A line that comes after a quiet while is written at once, others with the next trip, at most every `EVERY_SECONDS`. Of
each process only as many lines are gathered as are kept; so one that prints without end costs its worker some reading,
and Redis no more than others do. Lines that had to be dropped are counted. While Redis is away they stay here.
"""

import itertools
import logging
import secrets
from collections import deque
from time import monotonic
from typing import Final

from onserver.process.log import Source, encode_line
from onserver.redis.answers import LinkError
from onserver.redis.resp import Word
from onserver.redis.store import Store
from onserver.settings import ProcessSettings

logger = logging.getLogger("onserver")

#: Least time between two trips, in seconds.
EVERY_SECONDS: Final = 0.25
#: Longest line that is kept, in characters; the rest of it is cut off.
LONGEST_LINE: Final = 4000

#: How long nothing is tried after Redis said that it takes no more.
_FULL_SECONDS: Final = 10.0
_MOST_WORDS: Final = 4000
_MOST_BYTES: Final = 1 << 20


class _Lines:
    """The unwritten lines of one process."""

    def __init__(self) -> None:
        self.lines: deque[bytes] = deque()
        self.size = 0
        self.dropped = 0


class LogBook:
    """See the top of this module. Its methods are called by one thread at a time.

    Args:
        settings: how much is kept of each process.
        worker: name of the worker, for people; `add` may give another.
    """

    def __init__(self, settings: ProcessSettings, worker: str = "") -> None:
        self._most_lines, self._most_bytes = settings.log_lines, settings.log_bytes
        self._worker = worker
        self._unwritten: dict[int, _Lines] = {}
        self._sender, self._sequence = secrets.token_hex(8), itertools.count(1)
        self._sent: tuple[Word, ...] = ()
        self._next_at = 0.0

    def add(self, number: int, at_ms: int, source: Source, text: str, level: str = "", worker: str = "") -> None:
        """Gather one line of a process."""
        if not self._most_lines:
            return
        cut = text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1] + "…"
        line = encode_line(at_ms, worker or self._worker, source, level, cut)
        found = self._unwritten.get(number)
        if found is None:
            found = self._unwritten[number] = _Lines()
        found.lines.append(line)
        found.size += len(line)
        while len(found.lines) > self._most_lines or (found.size > self._most_bytes and len(found.lines) > 1):
            found.size -= len(found.lines.popleft())
            found.dropped += 1

    def due_seconds(self) -> float | None:
        """Seconds until something is to be written; None when there is nothing."""
        if not self._unwritten and not self._sent:
            return None
        return max(0.0, self._next_at - monotonic())

    def write(self, store: Store, *, now: bool = False) -> None:
        """Write what is due; with `now` everything.

        Raises:
            BrokerUnavailable: ONS-1201, Redis did not answer: what was gathered is still here.
        """
        while words := self.take(now=now):
            try:
                store.run("log", *words)
            except LinkError as error:
                if error.again:
                    raise
                self.give_up(error)
                return
            self.written()
            now = bool(self._unwritten)

    def take(self, *, now: bool = False) -> tuple[Word, ...]:
        """What `log` is to be told next, the same until `written` or `give_up` is called; empty when nothing is due."""
        if not self._sent and self._unwritten and (now or self._next_at <= monotonic()):
            nonce = f"{self._sender}:{next(self._sequence)}"
            self._sent = (nonce, self._most_lines, self._most_bytes, *self._batch())
        return self._sent

    def written(self) -> None:
        """What was taken is in Redis."""
        self._sent, self._next_at = (), monotonic() + EVERY_SECONDS

    def give_up(self, error: LinkError) -> None:
        """Redis takes no more: what is gathered is lost, and nothing else."""
        logger.warning("lines of %d processes are not in their logs: %s", len(self._unwritten) + 1, error)
        self._unwritten.clear()
        self._sent, self._next_at = (), monotonic() + _FULL_SECONDS

    def _batch(self) -> list[Word]:
        """Take out as much as goes into one trip."""
        words: list[Word] = []
        size = 0
        while self._unwritten and len(words) < _MOST_WORDS and size < _MOST_BYTES:
            number, found = self._unwritten.popitem()
            words += (number, found.dropped, len(found.lines), *found.lines)
            size += found.size
        return words
