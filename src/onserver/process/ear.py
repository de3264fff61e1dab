"""A loop that hears by itself how the processes end that its coroutines have started and await.

A loop that awaits one process after the other has an inbox of its own, with a connection that it watches: what is told
there ends the awaits in the loop's own thread, where by way of the thread of `pump` each end changes threads twice. It
hears only of what was put with its token (see `inbox`), and only for as long as nothing is doubtful: a wait that takes
some time, and all waits when the connection is lost, are left to `pump`, which looks up and is patient.

An ear is used in the thread of its loop and ends with it.
"""

import asyncio
import contextvars
import weakref
from contextlib import suppress

from onserver.interrupt import postponed
from onserver.process.inbox import LOOK_SECONDS, Awaited, Inbox, Watch
from onserver.redis.answers import LinkError
from onserver.redis.resp import ErrorReply
from onserver.server import Server

#: How late a timer of a loop may be that other things keep busy.
_LATE_SECONDS = 1.0


class _Call(Watch):
    """One coroutine that awaits one process. The answer is whether it was told of the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self.told: asyncio.Future[bool] = loop.create_future()
        self.since = loop.time()

    def ring(self) -> None:
        if asyncio._get_running_loop() is self._loop:
            self.settle(told=True)
        else:  # another thread waits for the same one
            with suppress(RuntimeError):  # its loop is closed: nobody awaits any more
                self._loop.call_soon_threadsafe(self._rung)

    def _rung(self) -> None:
        self.settle(told=True)

    def settle(self, *, told: bool) -> None:
        if not self.told.done():
            self.told.set_result(told)


class Ear:
    """See the top of this module.

    Args:
        server: whose processes they are.
        loop: that hears.
    """

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.inbox = Inbox(server, read_by_owner=True)
        self._loop = weakref.ref(loop)
        self._watched = -1
        #: Who waits, first the one that has waited longest.
        self._calls: dict[_Call, None] = {}
        #: When a timer looks who has waited for long, by the clock of the loop; one that is late was lost.
        self._looks_at = 0.0
        #: In which the loop calls it: nobody's, since what is kept in that of whoever came first would stay.
        self._context = contextvars.Context()
        self._at_its_end = weakref.finalize(loop, self.inbox.hang_up)
        self._at_its_end.atexit = False

    def listen(self) -> None:
        """Watch the connection of the inbox, which has just been made."""
        loop, link = self._loop(), self.inbox.link
        if loop is not None and link is not None:
            self._watched = link.fileno()
            self._context.run(loop.add_reader, self._watched, self._hear)
            self.inbox.want()

    @property
    def listens(self) -> bool:
        """Whether it hears anything."""
        return self._watched >= 0

    async def end(self, awaited: Awaited) -> bool:
        """Wait for the end of one that was put with a token of the inbox. False where somebody else has to be asked."""
        loop = asyncio.get_running_loop()
        call = _Call(loop)
        self.inbox.attach(awaited, call)
        self._calls[call] = None
        if call.since > self._looks_at + _LATE_SECONDS:
            self._look_in(LOOK_SECONDS, loop)
        try:
            return await call.told
        finally:
            self._calls.pop(call, None)
            self.inbox.detach(awaited, call)

    def close(self) -> None:
        """Hear nothing any more, from whatever thread; who waits asks somebody else, who knows what was missed."""
        loop = self._loop()
        if loop is None or asyncio._get_running_loop() is loop:
            self._end()
            return
        try:
            loop.call_soon_threadsafe(self._end)
        except RuntimeError:  # the loop is closed, and watches nothing any more
            self.inbox.hang_up()

    # -- what the loop calls

    def _hear(self) -> None:
        with postponed():
            link = self.inbox.link
            try:
                told = [] if link is None else link.replies()
                for message in told:
                    if isinstance(message, ErrorReply):
                        self._end()
                        return
                    self.inbox.deliver(message[2])
            except LinkError:
                self._end()
            except BaseException:
                self._end()  # what else has arrived is looked up
                raise

    def _end(self) -> None:
        loop = self._loop()
        if loop is not None and self._watched >= 0:
            loop.remove_reader(self._watched)
        self._watched = -1
        self._at_its_end.detach()
        self.inbox.hang_up()
        for call in list(self._calls):
            call.settle(told=False)

    def _look_at_time(self) -> None:
        """Let go of those that have waited for long: what is told may be missed, and they are to be looked up."""
        self._looks_at = 0.0
        loop = self._loop()
        if loop is None:
            return
        late = loop.time() - LOOK_SECONDS
        for call in list(self._calls):
            if call.since > late:
                self._look_in(call.since - late, loop)
                return
            call.settle(told=False)

    def _look_in(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self._looks_at = loop.time() + seconds
        loop.call_later(seconds, self._look_at_time, context=self._context)
