"""What a client is told: messages, requests to run something, the end of its session; and the beat that asks for it.

One wish waits at the server all the time (`Wait`), for a beat at most: it says that the client is there, and brings
what is to be told in the moment in which it is said. It is sent by a thread, or by a task of the loop that has
connected. What is told is worked off by one other thread, in order, so that it may take its time.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

from onserver.connections.facts import Event
from onserver.connections.wire import LONGEST_SECONDS, Wait
from onserver.errors import OnServerError, ServerUnreachable, SessionExpired
from onserver.process.procedure import Procedure
from onserver.registry import Registry
from onserver.remote.trips import Trips
from onserver.session.steps import Step, Steps, adrive, drive
from onserver.values import decode

LOG: Final = logging.getLogger("onserver.remote")


class Message(NamedTuple):
    """What somebody has told a user.

    Attributes:
        text: what.
        by: who, for people.
        at: when, in UTC; None of the server's own announcement that it is about to stop.
    """

    text: str
    by: str
    at: datetime | None


class Watch:
    """The watch of one client.

    Args:
        trips: of the client.
        beat_seconds: how often the server is to hear of the client.
        ended: called when the session is over, with the reason.
    """

    def __init__(self, trips: Trips, beat_seconds: float, ended: Callable[[str], None]) -> None:
        self._trips = trips
        self._seconds = min(beat_seconds, LONGEST_SECONDS)
        self._ended = ended
        self._known = 0
        self._registry = Registry()
        self._hears: list[Callable[[Message], object]] = []
        self._tasks: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._worker: threading.Thread | None = None
        self._watcher: threading.Thread | asyncio.Task[None] | None = None
        self._awake = threading.Event()
        self._awake.set()

    # -- its life

    def start(self) -> None:
        """Watch in a thread."""
        self._watcher = threading.Thread(target=drive, args=(self._watching(),), daemon=True, name="onserver-remote")
        self._watcher.start()

    def astart(self) -> None:
        """Watch in a task of the running loop."""
        self._watcher = asyncio.get_running_loop().create_task(adrive(self._watching()))

    def stop(self) -> None:
        """Watch no more. What is being worked off ends; the thread of the watch ends with its present wish."""
        self._awake.set()
        self._tasks.put(None)
        if isinstance(self._watcher, asyncio.Task):
            self._watcher.cancel()

    def rest(self) -> None:
        """Send no beats until `wake`: the machine sleeps."""
        self._awake.clear()

    def wake(self) -> None:
        """Send beats again."""
        self._awake.set()

    def hear(self, callback: Callable[[Message], object]) -> None:
        """Have a function called with each message."""
        self._hears.append(callback)

    # -- the beat

    def _watching(self) -> Steps[None]:
        while not self._trips.leaving:
            while not self._awake.is_set():
                yield Step(partial(self._awake.wait, 1.0), idle=True, acall=partial(asyncio.sleep, 0.2))
            wish = Wait(known=self._known, seconds=self._seconds, have=self._trips.take_had())
            try:
                events: Sequence[Event] = yield from self._trips.ask(wish)
            except ServerUnreachable:
                continue  # `ask` has paused meanwhile; the server counts how long nobody was heard
            except SessionExpired:
                self._ended("expired")
                return
            except OnServerError:
                LOG.warning("The server has refused the beat of a client", exc_info=True)
                yield self._trips.pause(self._seconds)
                continue
            for event in events:
                self._known = max(self._known, event.number)
                self._told(event)
                if event.kind == "closing":
                    self._ended(event.text)
                    return

    def _told(self, event: Event) -> None:
        if event.kind == "request":
            self._work(partial(self._run, event))
        else:
            at = datetime.fromtimestamp(event.at_ms / 1000, UTC) if event.at_ms else None
            for callback in self._hears if event.kind in {"message", "stopping"} else ():
                self._work(partial(callback, Message(event.text, event.by, at)))

    # -- what is worked off

    def _work(self, task: Callable[[], object]) -> None:
        if self._worker is None:
            self._worker = threading.Thread(target=self._working, daemon=True, name="onserver-remote-told")
            self._worker.start()
        self._tasks.put(task)

    def _working(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except (Exception, SystemExit):  # nobody waits for it, and what comes next is another's
                LOG.exception("What a remote client was told has failed in it")

    def _run(self, event: Event) -> None:
        """Run a request of `execute_on_client`: here, as a part of this program."""
        found = self._registry.find(event.name)
        if not isinstance(found, Procedure):
            LOG.error("A request for `%s` was given to this client, which does not have it", event.name)
            return
        args, kwargs = decode(event.body)
        answer: Any = found.function(*args, **kwargs)
        if inspect.iscoroutine(answer):
            asyncio.run(answer)
