"""How a server stood: numbers over the last minutes, hours or days, as the leader of the workers wrote them down.

After each 10 s of Redis' clock the leader writes one line, in a script that it runs with its beat anyway. A time is
written once, whoever leads: what ended is counted by when it ended, so that a change of leaders neither doubles nor
loses any. While no worker was there, nothing was written, and nothing is known: that is None, not 0. Where the workers
had no leader for up to a minute, what ended is counted afterwards; how they stood then is not known.

| span | one value for | kept for |
|---|---|---|
| 15m, 1h | 10 s | an hour |
| 24h | a minute | a day |
| 7d | ten minutes | a week |

| name | is |
|---|---|
| throughput | processes that ended, a second |
| failures | of these, how many failed, were lost, or are dead, a second |
| ended, failed | the same as counts |
| wait_p95 | seconds that 95 of 100 of those that ended had waited for their turn, at most; of up to 64 of them |
| busy, slots | processes that executors hold, and how many they could |
| queued, delayed | processes that wait in queues, and for their time |
| memory | bytes that Redis uses |
| worker_memory | bytes that the workers with their executors take |

A minute, or ten, is made of what was written for its parts: counts are added, `busy`, `slots` and `queued` are means,
of all others it is the highest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from onserver.redis.store import Store
from onserver.server import Server

Span = Literal["15m", "1h", "24h", "7d"]
SPANS: Final[tuple[Span, ...]] = get_args(Span)
#: What there is a series of.
NAMES: Final = (
    "throughput", "failures", "ended", "failed", "wait_p95", "busy", "slots", "queued", "delayed", "memory",
    "worker_memory",
)  # fmt: skip

_STEP_MS: Final = 10_000
#: Where each span is kept, how many milliseconds one value is for, and how many values it has.
_LEVELS: Final[Mapping[Span, tuple[str, int, int]]] = {
    "15m": ("series:10s", _STEP_MS, 90),
    "1h": ("series:10s", _STEP_MS, 360),
    "24h": ("series:1m", 60_000, 1440),
    "7d": ("series:10m", 600_000, 1008),
}
#: For so long after its end a time may be one that will be written yet.
_SOON_MS: Final = 5000


@dataclass(frozen=True)
class Series:
    """The numbers of one span, all at the same times, the newest last.

    Attributes:
        span: which.
        step_ms: how long one value is for.
        times_ms: the end of each, in milliseconds since 1970 by the clock of Redis.
        values: by the names at the top of this module; None where nothing is known.
    """

    span: Span
    step_ms: int
    times_ms: list[int]
    values: dict[str, list[float | None]]

    def last(self, name: str) -> float | None:
        """The newest value of a series, or None."""
        return next(reversed(self.values[name]), None)

    def as_dict(self) -> dict[str, Any]:
        """Answer it ready for JSON."""
        return vars(self)


def read(server: Server, span: Span = "1h") -> Series:
    """Read the series of a span, in one round trip.

    Args:
        server: whose.
        span: how far back.

    Raises:
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.

    Example:
        >>> from onserver.views.series import read
        >>> read(server, "15m").last("queued")  # doctest: +SKIP
        0.0
    """
    store = server.store
    key, step_ms, count = _LEVELS[span]
    lines = store.command("LRANGE", store.key(key), -count - 1, -1)
    written = {int(line.partition(b" ")[0]): line.split()[1:] for line in lines}
    last = _last(store, step_ms, written)
    slots = range(last - count + 1, last + 1)
    rows = [_values(written[slot]) if slot in written else dict.fromkeys(NAMES) for slot in slots]
    times = [(slot + 1) * step_ms for slot in slots]
    return Series(span, step_ms, times, {name: [row[name] for row in rows] for name in NAMES})


def _last(store: Store, step_ms: int, written: Mapping[int, object]) -> int:
    """The newest slot to show: that before the present one, unless it is yet to be written."""
    now = store.now_ms()
    last = now // step_ms - 1
    soon = last not in written and last - 1 in written and now - (last + 1) * step_ms < _SOON_MS
    return last - 1 if soon else last


def _values(words: Sequence[bytes]) -> dict[str, float | None]:
    ended, failed, wait, busy, slots, queued, delayed, memory, workers, counted = (
        None if word == b"-" else float(word) for word in words
    )
    seconds = (counted or 1) * _STEP_MS / 1000
    return {
        "throughput": None if ended is None else ended / seconds,
        "failures": None if failed is None else failed / seconds,
        "ended": ended,
        "failed": failed,
        "wait_p95": None if wait is None else wait / 1000,
        "busy": busy,
        "slots": slots,
        "queued": queued,
        "delayed": delayed,
        "memory": memory,
        "worker_memory": workers,
    }  # fmt: skip
