"""The time of a schedule for which something is being started, for those who start it at the end of a long way."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Tick:
    """One time of one schedule; `how` is what `put` answered, and empty until it was asked."""

    schedule: str
    at_ms: int
    how: str = ""


_current: ContextVar[Tick | None] = ContextVar("onserver_tick", default=None)


def current_tick() -> Tick | None:
    """The time for which something is being started here, or None."""
    return _current.get()


@contextmanager
def at_time(schedule: str, at_ms: int) -> Generator[Tick]:
    """What is started in this block is started for this time."""
    tick = Tick(schedule, at_ms)
    token = _current.set(tick)
    try:
        yield tick
    finally:
        _current.reset(token)
