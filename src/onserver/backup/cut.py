"""The copy of a server's keys at one instant, while everybody works.

Nobody is held up. While a cut is on, every script notes which of the keys that a backup has it writes (`mark` in the
scripts' fragments). All keys are read once, then again what was written meanwhile, and so on: each pass is shorter than
the one before, as long as keys are read faster than they are written. When little is left, one script copies the rest
within Redis and ends the cut: `cut_end`. That script's moment is the instant of the backup:

    what was read before and is not noted     has not changed since, so it is as it was at the instant
    what is noted                             is copied at the instant
    what is written afterwards                is not in the backup

So every transfer is in it as a whole or not at all, and a process once, in one state. The only time for which anybody
waits for a backup is that of this script: a copy within Redis takes a few microseconds, and it copies no more keys, and
no more bytes as far as is known from the pass before, than `_LIMITS` says.

Who is authoritative: the key `cut` holds the name of the one cut there is. It lasts `_LASTS_MS` and is renewed by a
thread. A program that dies in a cut leaves nothing: its keys expire. One that was frozen for longer finds that the cut
is another's, or nobody's, and gives up: what was written meanwhile was not noted. The next one need not wait for
anything: it takes the cut over.

What is `derived` (queues, indexes, histories) is made anew from the records by whoever restores, and what is `live`
means nothing to him; `redis.catalogue` says of each key which it is.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Self

from onserver.backup.stream import Entry, closing, opening, written
from onserver.crash import crash_point
from onserver.errors import CutLost, CutNeverEnds, OnServerError
from onserver.redis.keys import scan
from onserver.redis.saved import part_of
from onserver.redis.store import Store

_LASTS_MS: Final = 10_000
_RENEW_SECONDS: Final = 1.0
#: Keys that one trip reads, and bytes after which it reads no more.
_TRIP: Final = 100
_TRIP_BYTES: Final = 1_000_000
#: Values of fewer bytes are not counted below.
_LARGE: Final = 10_000
#: What the last script copies at most: after so many passes, so many keys and bytes.
_LIMITS: Final = ((0, 2_000, 16_000_000), (10, 10_000, 128_000_000))
_PASSES: Final = 40


@dataclass(frozen=True, kw_only=True)
class CutFacts:
    """What a cut was like."""

    at_ms: int
    """The instant, by the clock of Redis, in milliseconds since 1970."""
    change: int
    """The newest change of the storage at the instant."""
    epoch: int
    entries: int
    """In the stream; a key that changed meanwhile comes several times."""
    passes: int
    last_keys: int
    """What was copied at the instant."""
    held_seconds: float
    """How long the script of the instant took, there and back: the longest for which anybody can have waited."""
    seconds: float


class Cut:
    """One cut. See the top of this module.

    Args:
        store: of the server.
        number: of the backup, where it has one: the log of changes goes on with it.

    Example:
        with Cut(store) as cut:
            for piece in cut.entries():
                file.write(piece)
        cut.facts.at_ms
    """

    def __init__(self, store: Store, number: int = 0) -> None:
        self._store = store
        self._number = number
        self._name = store.nonce()
        self._stop = threading.Event()
        self._failed: OnServerError | None = None
        self._renewer = threading.Thread(target=self._renew, name="cut", daemon=True)
        self._facts: CutFacts | None = None
        self._large: dict[str, int] = {}
        #: How many entries of each part the stream has so far.
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._began = monotonic()
        if not self._store.run("cut_begin", self._name, _LASTS_MS):
            raise CutLost("the server is being restored")
        self._renewer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._renewer.join()
        self._store.run("cut_drop", self._name)

    @property
    def facts(self) -> CutFacts:
        """What it was like, once all entries were read."""
        if self._facts is None:
            raise CutLost("it was not read to its end")
        return self._facts

    def entries(self) -> Iterator[bytes]:
        """The stream (`stream`), in pieces of about a megabyte, or as large as the largest value.

        Raises:
            CutLost: ONS-5221, another began, or this program stood still for too long.
            CutNeverEnds: ONS-5222, more is written than can be read.
            BrokerUnavailable: Redis gave no answer in time.
        """
        yield opening()
        for names in scan(self._store):
            yield from self._read([name.removeprefix(self._store.prefix) for name in names])
        passes = 1
        while (ended := self._end(passes, keys := self._written())) is None:
            crash_point("in_cut")
            yield from self._read(keys)
            passes += 1
        yield from self._read(self._copied(), copies=True)
        yield closing(self.counts.total())
        self._facts = CutFacts(entries=self.counts.total(), seconds=monotonic() - self._began, **ended)

    # -- reading

    def _read(self, keys: Sequence[str], *, copies: bool = False) -> Iterator[bytes]:
        left = [(key, part) for key in keys if (part := part_of(key)) is not None]
        while left:
            self._check()
            some = [key for key, _ in left[:_TRIP]]
            found = self._store.run("cut_read", self._name, "cut:c:" if copies else "", _TRIP_BYTES, *some)
            if found is None:
                raise CutLost("another backup began, or this program stood still for ten seconds")
            entries = [_entry(key, one) for key, one in zip(some, found, strict=False)]
            self._large.update((entry.key, size) for entry in entries if (size := sum(map(len, entry.texts))) > _LARGE)
            yield written(entries)
            self.counts.update(part for _, part in left[: len(found)])
            left = left[len(found) :]

    def _written(self) -> list[str]:
        return self._names(self._store.command("SMEMBERS", self._store.key("cut:dirty")))

    def _copied(self) -> list[str]:
        return self._names(self._store.command("HKEYS", self._store.key("cut:copies")))

    def _names(self, found: list[bytes]) -> list[str]:
        return sorted(name.decode() for name in found if name)

    # -- the instant

    def _end(self, passes: int, keys: Sequence[str]) -> dict[str, Any] | None:
        """Make the cut, unless too much was written since the last pass."""
        self._check()
        most, most_bytes = next((keys, size) for after, keys, size in reversed(_LIMITS) if passes > after)
        size = sum(self._large.get(key, 0) for key in keys)
        if len(keys) > most or size > most_bytes:
            self._require_more_passes(passes, len(keys), size)
            return None
        started = monotonic()
        how, *told = self._store.run("cut_end", self._name, most, self._number)
        held = monotonic() - started
        if how == b"lost":
            raise CutLost("another backup began, or this program stood still for ten seconds")
        if how == b"more":
            self._require_more_passes(passes, int(told[0]), size)
            return None
        at_ms, change, epoch, last_keys = (int(number) for number in told)
        crash_point("after_cut")
        return {
            "at_ms": at_ms,
            "change": change,
            "epoch": epoch,
            "passes": passes,
            "last_keys": last_keys,
            "held_seconds": held,
        }

    def _require_more_passes(self, passes: int, keys: int, size: int) -> None:
        if passes >= _PASSES:
            raise CutNeverEnds(passes, keys, size)

    # -- staying the one who cuts

    def _renew(self) -> None:
        while not self._stop.wait(_RENEW_SECONDS):
            try:
                self._store.run("cut_renew", self._name, _LASTS_MS)
            except OnServerError as error:
                self._failed = error  # `entries` raises it, in the thread of whoever makes the backup
                return

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed


def _entry(key: str, found: tuple[bytes, int, list[bytes]]) -> Entry:
    kind, expires_ms, texts = found
    return Entry(kind.decode(), key, texts, max(0, int(expires_ms)))
