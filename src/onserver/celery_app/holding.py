"""In whose name a process is held while Celery runs it, and how its end is said.

A delivered message carries the header `onserver`, so whoever runs it knows its number and its holder: the thread that
claimed it, a child of a prefork pool (forked or spawned), or the program that supervises them. Where the holder itself
runs the process (our executor) it registers a `Holding` of its own, so that an end and the next claim are one trip.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from onserver.celery_app.message import MARK
from onserver.redis.store import Store
from onserver.settings import Settings


class Holding(Protocol):
    """What holds a process and can settle it; kinds and states as in `lua/step.lua`."""

    @property
    def holder(self) -> str:
        """The holder, "member.incarnation"."""
        ...

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str) -> None:
        """Say what became of a process that is held here."""
        ...


class Remote:
    """Settles in the name of a holder whose claiming happens elsewhere: one script a settlement."""

    def __init__(self, store: Store, settings: Settings, holder: str) -> None:
        self.holder = holder
        self._store = store
        self._limits = limits(settings)

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str) -> None:
        """Settle at once."""
        self._store.run("step", self.holder, 0, 0, *self._limits, "", 0, number, kind, state, payload, extra)


def limits(settings: Settings) -> tuple[int, int, int]:
    """The three limits that `step` wants: keep_s, keep_failed_s, deliveries."""
    process = settings.process
    return int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries


_here: dict[int, Holding] = {}


@contextmanager
def held_here(number: int, holding: Holding) -> Iterator[None]:
    """While the block lasts, process `number` is settled through `holding`."""
    _here[number] = holding
    try:
        yield
    finally:
        _here.pop(number, None)


def mark_of(request: Any) -> Mapping[str, Any] | None:
    """The header `onserver` of a Celery request (Context, Request or dictionary), or None."""
    found = request.get(MARK) if isinstance(request, Mapping) else getattr(request, MARK, None)
    return found if isinstance(found, Mapping) else None


def holding_of(mark: Mapping[str, Any], store: Store, settings: Settings) -> Holding:
    """What settles the process of a delivered message."""
    return _here.get(mark["number"]) or Remote(store, settings, mark["holder"])
