"""How far a process is: `process().report(done, total, note)`, kept in its record, told to whoever follows it.

A body may report as often as it likes, from any thread and from coroutines: a report is only put down. One thread of
the program writes what was put down, for each run at most every `EVERY_SECONDS` and only the last of what came
meanwhile. What is still unwritten when a run ends is written before its end is said, so the last report always lands.
A body never waits for Redis here; while Redis is away the last report is kept.
"""

import logging
import threading
from dataclasses import dataclass
from math import isfinite
from time import monotonic
from typing import Any, Final

from onserver.errors import BadArguments, BrokerUnavailable, MemberFenced
from onserver.interrupt import shielded
from onserver.server import Server
from onserver.session.running import Running, tell_before_end
from onserver.values import decode, encode

logger = logging.getLogger("onserver")

#: Least time between two writes of one run, in seconds.
EVERY_SECONDS: Final = 0.2
#: How long a note may be, in characters; the rest is cut off.
LONGEST_NOTE: Final = 200

_IDLE_SECONDS: Final = 10.0
_AWAY_SECONDS: Final = 1.0
_SIGNATURE: Final = 'report(done: float, total: float | None = None, note: str = "")'


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a process is, as it said last.

    Attributes:
        done: how much is done, in whatever unit the procedure counts.
        total: of how much, or None where that is not known.
        note: a few words for people.
        at_ms: when it was said, milliseconds since 1970.
    """

    done: float
    total: float | None
    note: str
    at_ms: int

    @property
    def percent(self) -> int | None:
        """Whole percent that are done, 0 to 100; None where the total is not known."""
        if self.total is None:
            return None
        return 100 if self.total <= 0 else int(100 * min(max(self.done / self.total, 0.0), 1.0))

    def __str__(self) -> str:
        return f"{self.done:g}" if self.percent is None else f"{self.percent} %"

    @classmethod
    def read(cls, kept: bytes | None) -> "Progress | None":
        """Read what a record has of it, if it has anything."""
        return cls(*decode(kept)) if kept else None

    def as_dict(self) -> dict[str, Any]:
        """Answer the same, ready for JSON."""
        return {"done": self.done, "total": self.total, "note": self.note, "percent": self.percent, "at_ms": self.at_ms}


class _Slot:
    """What one run has said and what of it is unwritten."""

    def __init__(self, run: Running) -> None:
        self.run = run
        self.unwritten: Progress | None = None
        self.next_at = 0.0
        self.refused: MemberFenced | None = None
        self.writing = threading.Lock()


class Reporter:
    """See the top of this module. Made by `server.part(Reporter)`."""

    def __init__(self, server: Server) -> None:
        self._store = server.store
        self._slots: dict[str, _Slot] = {}
        self._bell = threading.Condition()
        self._thread: threading.Thread | None = None
        tell_before_end(self)

    def report(self, run: Running, done: float, total: float | None, note: str) -> None:
        """Put down how far a run is.

        Raises:
            BadArguments: ONS-1105, these are no numbers.
            MemberFenced: ONS-2401, the process was given to another worker meanwhile.
        """
        _check(done, total)
        words = note if len(note) <= LONGEST_NOTE else note[: LONGEST_NOTE - 1] + "…"
        progress = Progress(done, total, words, self._store.now_ms())
        with shielded(), self._bell:
            slot = self._slots.get(run.owner)
            if slot is None:
                slot = self._slots[run.owner] = _Slot(run)
            if slot.refused is not None:
                raise slot.refused
            first, slot.unwritten = slot.unwritten is None, progress
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="onserver-progress", daemon=True)
                self._thread.start()
            elif first:
                self._bell.notify()

    def ending(self, run: Running) -> None:
        """Write what the run that ends has said last."""
        slot = self._slots.pop(run.owner, None) if self._slots else None
        if slot is not None:
            self._write(slot)

    def _work(self) -> None:
        while True:
            with self._bell:
                due, pause = self._due()
                if not due and not self._bell.wait(pause or _IDLE_SECONDS) and not pause:
                    self._thread = None
                    return
            for slot in due:
                self._write(slot)

    def _due(self) -> tuple[list[_Slot], float]:
        """What is to be written now, and else how many seconds from now, 0 for nothing."""
        now = monotonic()
        waiting = [slot for slot in self._slots.values() if slot.unwritten is not None]
        due = [slot for slot in waiting if slot.next_at <= now]
        return due, min((slot.next_at - now for slot in waiting), default=0.0)

    def _write(self, slot: _Slot) -> None:
        with slot.writing:
            with self._bell:
                progress, slot.unwritten = slot.unwritten, None
                slot.next_at = monotonic() + EVERY_SECONDS
            if progress is None or slot.refused is not None:
                return
            kept = encode([progress.done, progress.total, progress.note, progress.at_ms])
            try:
                self._store.run("report", slot.run.holder, slot.run.number, kept)
            except MemberFenced as refused:
                slot.refused = refused  # raised by the next report
            except BrokerUnavailable as error:
                logger.debug("progress of #%d is kept for later: %s", slot.run.number, error)
                self._keep(slot, progress)

    def _keep(self, slot: _Slot, progress: Progress) -> None:
        """Write this a while later, unless there is newer by then."""
        with self._bell:
            slot.next_at = monotonic() + _AWAY_SECONDS
            if slot.unwritten is None:
                slot.unwritten = progress


def _check(done: object, total: object) -> None:
    for name, value in (("done", done), ("total", 0 if total is None else total)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise BadArguments("report", f"has {name}={value!r}, which is no number", _SIGNATURE)
