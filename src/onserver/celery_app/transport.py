"""The Kombu transport `onserver+redis`: the message is the process record. Importing this makes it known to Kombu.

A connection is a set of channels; each channel's conversations have sockets of their own, which Celery's event loop
watches (`register_with_event_loop`), or `drain_events` polls in programs without one. A broken one is an error of the
connection: Celery closes it and connects anew, and the seat of the worker lives on.
"""

import select
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from celery.worker import state as worker_state
from kombu.log import get_logger
from kombu.transport import TRANSPORT_ALIASES, virtual

from onserver.celery_app.channel import Channel
from onserver.celery_app.desk import desk_of
from onserver.celery_app.reading import Conversation
from onserver.errors import BrokerUnavailable, MemberFenced

#: As it stands in a broker URL, `onserver+redis://…`.
NAME: Final = "onserver+redis"
#: Exit status of a worker that finds that it was declared dead.
FENCED_STATUS: Final = 70
_TURN_SECONDS: Final = 1.0

logger = get_logger(__name__)


class Transport(virtual.Transport):
    """See the top of this module."""

    Channel = Channel
    polling_interval: Any = None
    driver_type = "redis"  # as which Celery lets it fan out events, mingle, and tell workers from brokers
    driver_name = "onserver"
    connection_errors: Any = (BrokerUnavailable, ConnectionError)
    channel_errors: Any = ()
    recoverable_connection_errors = connection_errors
    recoverable_channel_errors = ()
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset({"direct", "topic", "fanout"})
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self._watched: dict[int, Conversation] = {}
        self._leave_loop: Callable[[], None] | None = None

    def establish_connection(self) -> Any:
        """Ask Redis for a sign of life: a channel connects only when it consumes."""
        desk_of(self.client).store.command("PING")
        return super().establish_connection()

    def verify_connection(self, connection: Any) -> bool:  # Kombu's signature
        """Whether the connection can be used: each command sees for itself."""
        return True

    def driver_version(self) -> str:
        """Of our own transport there is one version: the package's."""
        return "1"

    # -- driven by Celery's event loop

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:  # Kombu's signature
        """Let the loop call `begin` at each turn, and us when something has arrived."""

        def tick() -> None:
            current = self._begin()
            for descriptor in self._watched.keys() - current.keys():
                loop.remove_reader(descriptor)
            for descriptor, conversation in current.items():
                if self._watched.get(descriptor) is not conversation:
                    loop.add_reader(descriptor, self.on_readable, descriptor)
            self._watched = current

        def leave() -> None:
            loop.on_tick.discard(tick)
            for descriptor in self._watched:
                with suppress(KeyError, ValueError, OSError):  # the loop may be closed already
                    loop.remove_reader(descriptor)
            self._watched = {}

        self._leave_loop = leave
        loop.on_tick.add(tick)

    def on_readable(self, descriptor: int) -> int:  # type: ignore[override]  # as the loop calls it
        """Deliver what has arrived on this descriptor."""
        conversation = self._watched.get(descriptor)
        if conversation is None or conversation.fileno() != descriptor:
            return 0
        try:
            return conversation.readable()
        except MemberFenced as error:
            return _end_worker(error)

    def _begin(self) -> dict[int, Conversation]:
        current: dict[int, Conversation] = {}
        try:
            channels: Any = self.channels
            for channel in list(channels):
                channel.begin()
                current.update(channel.conversations())
        except MemberFenced as error:
            _end_worker(error)
        return current

    # -- without an event loop

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Wait until a message was delivered; `TimeoutError` after `timeout` seconds without one."""
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            self._watched = self._begin()
            poll = select.poll()
            for descriptor in self._watched:
                poll.register(descriptor, select.POLLIN)
            left = _TURN_SECONDS if deadline is None else min(_TURN_SECONDS, max(0.0, deadline - monotonic()))
            delivered = sum(self.on_readable(descriptor) for descriptor, _ in poll.poll(left * 1000))
            if delivered:
                return
            if deadline is not None and monotonic() >= deadline:
                raise TimeoutError

    def close_connection(self, connection: Any) -> None:
        """Close all channels."""
        if self._leave_loop is not None:
            self._leave_loop()
            self._leave_loop = None
        super().close_connection(connection)


def _end_worker(error: MemberFenced) -> int:
    """Stop this worker: it was declared dead, and its work is somebody else's now."""
    logger.critical("%s This worker stops.", error)
    worker_state.should_terminate = FENCED_STATUS
    return 0


TRANSPORT_ALIASES[NAME] = "onserver.celery_app.transport:Transport"
TRANSPORT_ALIASES["onserver"] = TRANSPORT_ALIASES[NAME]  # Kombu cuts the scheme of a URL at its first plus sign
