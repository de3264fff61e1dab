"""What a supervisor waits for, in one place: signals, orders, and what its children print."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

from onserver.life.child import Child
from onserver.life.orders import Orders

_HANDLED = (
    signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGCHLD, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT,
)  # fmt: skip


class Source(Protocol):
    """Something else that brings orders."""

    def fileno(self) -> int:
        """What to watch."""
        ...

    def read(self) -> list[str]:
        """The orders that have arrived."""
        ...


class Watching:
    """One select loop's worth of waiting. Signal handlers only note the number; the loop acts on it."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        #: Signals that have arrived and were not acted on yet, in order.
        self.signals: list[int] = []
        self._orders: tuple[int, Orders, int] | None = None
        self._source: Source | None = None

    @contextmanager
    def handled_signals(self) -> Iterator[None]:
        """While the block lasts signals are noted and end a wait; after it everything is as before."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)

        def note(number: int, _frame: FrameType | None) -> None:
            self.signals.append(number)

        before = {number: signal.signal(number, note) for number in _HANDLED}
        previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(reader)
            os.close(writer)

    @property
    def is_asked_to_end(self) -> bool:
        """Whether one has arrived that asks this program to end."""
        return signal.SIGTERM in self.signals or signal.SIGINT in self.signals

    def listen(self, source: Source | None) -> None:
        """Watch this source of orders too, instead of the one before."""
        if source is self._source:
            return
        for key in list(self._selector.get_map().values()):
            if self._source is not None and key.data is self._source:
                self._selector.unregister(key.fileobj)
        if source is not None:
            self._selector.register(source.fileno(), selectors.EVENT_READ, source)
        self._source = source

    def add(self, child: Child) -> None:
        """Pass on what this child prints."""
        for pipe in (child.out, child.err):
            self._selector.register(pipe.reader, selectors.EVENT_READ, child)

    def drop(self, child: Child) -> None:
        """This child has ended; its pipes are closed next."""
        for pipe in (child.out, child.err):
            with suppress(KeyError):  # it had closed this one before
                self._selector.unregister(pipe.reader)

    def wait(self, seconds: float, orders: Orders | None) -> list[str]:
        """Wait until something arrives, for at most so long. Returns the orders that did.

        Args:
            seconds: 0 or more.
            orders: where orders come from; None while Redis cannot be reached.
        """
        self._watch(orders)
        arrived: list[str] = []
        for key, _ in self._selector.select(max(0.0, seconds)):
            if key.data is None:
                os.read(key.fd, 512)
            elif isinstance(key.data, Child):
                if not key.data.pass_on(key.fd):
                    self._selector.unregister(key.fd)
            else:
                arrived += key.data.read()
        return arrived

    def _watch(self, orders: Orders | None) -> None:
        descriptor = None if orders is None else orders.ask()
        now = None if orders is None or descriptor is None else (descriptor, orders, orders.connection)
        if now == self._orders:
            return
        if self._orders is not None:
            self._selector.unregister(self._orders[0])
        if now is not None:
            self._selector.register(now[0], selectors.EVENT_READ, now[1])
        self._orders = now
