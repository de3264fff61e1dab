"""A loop that hears by itself how the processes end that its coroutines have started and await.

A loop that awaits one process after the other has an inbox of its own, with a connection that it watches: what is told
there ends the awaits in the loop's own thread, where by way of the thread of `pump` each end changes threads twice. It
hears only of what was put with its token (see `inbox`), and only for as long as nothing is doubtful: a wait that takes
some time, and all waits when the connection is lost, are left to `pump`, which looks up and is patient.

An ear is used in the thread of its loop and ends with it.
"""

import asyncio
from contextlib import suppress

from onserver.process.inbox import LOOK_SECONDS, Awaited, Inbox, Watch
from onserver.redis.answers import LinkError
from onserver.redis.resp import ErrorReply
from onserver.redis.watched import Watched
from onserver.server import Server


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


class Ear(Watched):
    """See the top of this module.

    Args:
        server: whose processes they are.
        loop: that hears.
    """

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.inbox = Inbox(server, read_by_owner=True)
        super().__init__(loop, self.inbox.hang_up)
        #: Who waits, first the one that has waited longest.
        self._calls: dict[_Call, None] = {}
        self._end_with(loop)  # it is connected in a thread, and the loop may be gone by then

    def listen(self) -> None:
        """Watch the connection of the inbox, which has just been made."""
        loop, link = self._loop(), self.inbox.link
        if loop is not None and link is not None:
            self._watch(loop, link.fileno())
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
        self._waits(loop, call.since, LOOK_SECONDS)
        try:
            return await call.told
        finally:
            self._calls.pop(call, None)
            self.inbox.detach(awaited, call)

    # -- what the loop calls

    def _arrived(self) -> None:
        link = self.inbox.link
        for message in [] if link is None else link.replies():
            if isinstance(message, ErrorReply):
                self._end()
                return
            self.inbox.deliver(message[2])

    def _ended(self, failure: LinkError | None) -> None:  # noqa: ARG002  # whoever is asked next finds out
        for call in list(self._calls):
            call.settle(told=False)  # somebody else is asked, who knows what was missed

    def _left(self, now: float) -> float | None:
        """What is told may be missed: who has waited for long has to look it up."""
        for call in list(self._calls):
            left = call.since + LOOK_SECONDS - now
            if left > 0:
                return left
            call.settle(told=False)
        return None
