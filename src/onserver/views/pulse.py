"""Whether something has changed since one looked last: one script, however much there is to see and whoever watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from onserver.life.events import Event
from onserver.redis.store import Store

#: How many events are told at once; who has missed more reads anew.
MOST_EVENTS: Final = 200


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """How it stood at one moment.

    Attributes:
        now_ms: by the clock of Redis, milliseconds since 1970.
        runs: whether something runs, and so may change what it says of its progress.
        last: id of the last event of the feed; `0-0` where there is none.
        missed: whether events between the one that was known and these are told no more.
        events: that came since, in their order.
        marks: of each topic a text that is another one when something of it has changed.
    """

    now_ms: int
    runs: bool
    last: str
    missed: bool
    events: Sequence[Event]
    marks: Mapping[str, str]


def pulse(store: Store, known: str = "") -> Pulse:
    """Look whether something has changed.

    Args:
        store: of the server.
        known: id of the last event that is known, `0-0` where there was none; with an empty text none is told.
    """
    now, runs, last, missed, told, marks = store.run("pulse", known, MOST_EVENTS)
    return Pulse(
        now_ms=int(now),
        runs=bool(runs),
        last=last.decode(),
        missed=bool(missed),
        events=[Event.read(identity, fields) for identity, fields in told],
        marks={
            topic.decode(): mark.decode(errors="replace") for topic, mark in zip(marks[::2], marks[1::2], strict=True)
        },
    )
