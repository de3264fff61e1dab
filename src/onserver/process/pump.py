"""Coroutines that wait for processes: one thread waits on their behalf.

A loop must not block on the inbox, and it cannot watch its socket, since threads read there too and there may be
several loops. So the first `await` starts a thread that takes part in the inbox like any waiting thread; what has ended
is told to its loop by `call_soon_threadsafe`. Looking a process up is a trip to Redis, and done in a second thread, so
that a coroutine never waits for the reader to come back; one that was put with its token need not be looked up. Both
threads need no loop and make none; the reader ends after some seconds in which nobody awaits.

A loop that awaits one process after the other hears of the ends of those that it has started by itself (see `ear`).
"""

import asyncio
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic

from onserver.checkpoint import nudge
from onserver.errors import BrokerUnavailable
from onserver.process.ear import Ear
from onserver.process.inbox import LOOK_SECONDS, PATIENCE_SECONDS, Awaited, Inbox, Watch
from onserver.server import Server

#: After how many seconds without anybody who awaits the thread ends.
_IDLE_SECONDS = 10.0
#: After how many awaits of one loop it gets a connection of its own for what they wait for.
_AWAITS = 8


class _Call(Watch):
    """One coroutine that awaits one process."""

    def __init__(self, awaited: Awaited, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.awaited = awaited
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()

    def ring(self) -> None:
        self._tell(None)

    def fail(self, error: BrokerUnavailable) -> None:
        self._tell(error)

    def _tell(self, error: BrokerUnavailable | None) -> None:
        with suppress(RuntimeError):  # its loop is closed: nobody awaits any more
            self.loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: BrokerUnavailable | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)


class _Ears:
    """The ear of one loop, if it is worth one by now."""

    def __init__(self) -> None:
        #: The loop keeps it, which must not be kept by it in turn.
        self.ear: weakref.ref[Ear] | None = None
        self.awaits = 0


class Pump:
    """Made by `server.part(Pump)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._inbox = server.part(Inbox)
        self._ears: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Ears] = weakref.WeakKeyDictionary()
        self._mutex = threading.Lock()
        self._calls: dict[_Call, None] = {}
        self._thread: threading.Thread | None = None
        self._looker = ThreadPoolExecutor(1, "onserver-look")
        self._away_until = 0.0

    async def end(self, awaited: Awaited) -> None:
        """Return when this one has ended.

        Raises:
            BrokerUnavailable: Redis could not be reached for some time.
        """
        loop = asyncio.get_running_loop()
        ear = self.ear()
        if ear is None:
            self._consider(loop)
        elif not ear.inbox.will_hear(awaited):
            ear.inbox.want()
            ear = None
        elif await ear.end(awaited):
            return
        call = _Call(awaited, loop)
        self._inbox.attach(awaited, call)
        try:
            if awaited.end is None and not self._inbox.will_hear(awaited):  # a hop to a thread is half of an await
                if ear is None:
                    await loop.run_in_executor(self._looker, self._inbox.first_look, awaited)
                elif await loop.run_in_executor(self._looker, self._look_after_ear, awaited):
                    ear.close()  # which should have heard of it
            with self._mutex:
                self._calls[call] = None
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="onserver-inbox", daemon=True)
                    self._thread.start()
            await call.future
        finally:
            with self._mutex:
                self._calls.pop(call, None)
            self._inbox.detach(awaited, call)

    def ear(self) -> Ear | None:
        """What the loop that runs in this thread hears by itself, if it does."""
        loop = asyncio._get_running_loop()
        ears = None if loop is None else self._ears.get(loop)
        ear = None if ears is None or ears.ear is None else ears.ear()
        return ear if ear is not None and ear.listens else None

    def close(self) -> None:
        """Let no loop hear anything any more."""
        for loop in self._ears.keyrefs():
            ears = self._ears.get(known) if (known := loop()) is not None else None
            ear = None if ears is None or ears.ear is None else ears.ear()
            if ear is not None:
                ear.close()

    def _look_after_ear(self, awaited: Awaited) -> bool:
        """Look up what an ear has let go of; while Redis is away that is left to the thread, which is patient."""
        if monotonic() < self._away_until:
            return False
        try:
            return self._inbox.first_look(awaited)
        except BrokerUnavailable:
            self._away_until = monotonic() + LOOK_SECONDS
            return False

    def _consider(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let a loop hear by itself that has awaited some processes, and some more since it ceased to."""
        ears = self._ears.get(loop)
        if ears is None:
            ears = self._ears[loop] = _Ears()
        ears.awaits += 1
        if ears.awaits == _AWAITS:
            ear = Ear(self._server, loop)
            ears.ear = weakref.ref(ear)
            connecting = loop.run_in_executor(self._looker, ear.inbox.connect)
            connecting.add_done_callback(partial(self._connected, ears, ear))

    def _connected(self, ears: _Ears, ear: Ear, connecting: asyncio.Future[None]) -> None:
        ears.awaits = 0
        if connecting.cancelled() or connecting.exception() is not None:
            ear.close()
        else:
            ear.listen()

    async def end_or_call(self, awaited: Awaited, seconds: float | None = None) -> None:
        """Return when this one has ended, when something is asked of the run that waits, or when the time is over.

        Raises:
            BrokerUnavailable: Redis could not be reached for some time.
        """
        ended, called = asyncio.ensure_future(self.end(awaited)), nudge()
        waited: set[asyncio.Future[None]] = {ended} if called is None else {ended, called}
        try:
            await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not ended.done():
                ended.cancel()
        with suppress(asyncio.CancelledError):
            await ended

    def _run(self) -> None:
        watch, idle = Watch(), 0.0
        while True:
            with self._mutex:
                calls = list(self._calls)
                idle = 0.0 if calls else idle + LOOK_SECONDS
                if idle > _IDLE_SECONDS:
                    self._thread = None
                    return
            try:
                self._inbox.turn(watch, [call.awaited for call in calls], PATIENCE_SECONDS)
                for call in calls:  # see `Inbox.ends`
                    if call.awaited.end is not None:
                        call.ring()
            except BrokerUnavailable as error:
                for call in calls:
                    call.fail(error)
