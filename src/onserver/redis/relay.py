"""Scripts that coroutines run: one connection for all coroutines of a loop, and none of them waits on it.

What the coroutines of one turn of the loop ask for is sent together when the turn ends, and the loop hears when answers
are there. So a script costs a coroutine no thread, and many at a time cost a fraction of a trip each.

Nothing is tried again here. When the connection is lost, or Redis says nothing for a while, all that is under way fails
with a `LinkError` and the connection is closed; whoever asked sends the same bytes again in a thread, where everything
is tried that `Store.run` tries (see `Store.arun`). The next script connects anew.

A relay is used in the thread of its loop and ends with it.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from onserver.interrupt import postponed
from onserver.redis.answers import LinkError, Lost, Moved, ReadOnly, Silent, translate
from onserver.redis.link import Link
from onserver.redis.resp import ErrorReply, Word
from onserver.redis.scripts import Script

#: How late a timer of a loop may be that other things keep busy.
_LATE_SECONDS = 1.0


class _Asked(NamedTuple):
    """One script that is under way: who waits for its answer, and since when by the clock of the loop."""

    answer: asyncio.Future[Any]
    since: float


class Relay:
    """See the top of this module.

    Args:
        link: not connected yet, and used by nobody else.
        loop: whose coroutines use it.
    """

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self._link = link
        self._loop = weakref.ref(loop)
        #: How long an answer is waited for before `Silent` is raised.
        self.seconds = link.command_seconds
        self._connecting: asyncio.Future[None] | None = None
        #: What the loop watches; -1 while there is no connection.
        self._watched = -1
        #: What is under way, first the one whose answer comes first; and the bytes that the socket has not taken yet.
        self._asked: deque[_Asked] = deque()
        self._unsent = bytearray()
        #: Whether the end of this turn sends, and whether the loop says when the socket takes more.
        self._flushing = self._clogged = False
        #: When a timer looks, by the clock of the loop. One that is late was lost with what interrupted the loop.
        self._looks_at = 0.0
        #: Whether it was ended while it was connecting.
        self._abandoned = False
        #: In which the loop calls it: nobody's, since what is kept in that of whoever came first would stay.
        self._context = contextvars.Context()
        #: Closes the connection with the loop, while there is one.
        self._at_its_end: weakref.finalize[Any, Any] | None = None

    async def run(self, script: Script, prefix: str, arguments: Sequence[Word]) -> Any:
        """Run a script once and return its answer.

        Raises:
            LinkError: there was no ordinary answer; mostly it is not known whether the script ran.
            NoScript: Redis does not know the script.
            MemberFenced: the holder in whose name it was to write is dead.
            ScriptRefused: any other error reply.
        """
        loop = asyncio.get_running_loop()
        if self._watched < 0:
            await self._connect(loop)
        packed = self._link.pack(script, prefix, arguments)  # first, since it may raise: then nothing is under way
        now = loop.time()
        asked = _Asked(loop.create_future(), now)
        self._asked.append(asked)
        self._unsent += packed
        if not self._flushing:
            self._flushing = True
            loop.call_soon(self._flush, context=self._context)
        if now > self._looks_at + _LATE_SECONDS:
            self._look_in(self.seconds, loop)
        return await asked.answer

    def close(self) -> None:
        """End the connection, from whatever thread; what is under way fails with `Lost`. It may be used again."""
        loop = self._loop()
        if loop is None or asyncio._get_running_loop() is loop:  # the public one raises where none runs
            self._end()
            return
        try:
            loop.call_soon_threadsafe(self._end)
        except RuntimeError:  # the loop is closed, and watches nothing any more
            self._link.close()

    # -- the connection

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._connecting is None or self._connecting.done():
            self._abandoned = False
            self._connecting = loop.run_in_executor(None, self._open)
            self._connecting.add_done_callback(self._connected)
        await asyncio.shield(self._connecting)  # others wait for it too
        if self._watched < 0:
            raise Lost(self._link.name, 1, 0.0, "closed the connection")

    def _open(self) -> None:
        self._link.connect()
        loop = self._loop()
        if loop is None or loop.is_closed():
            self._link.close()  # nobody is told of it any more

    def _connected(self, connecting: asyncio.Future[None]) -> None:
        self._connecting = None
        loop = self._loop()
        if connecting.cancelled() or connecting.exception() is not None or loop is None or not self._link.connected:
            return
        if self._abandoned:
            self._link.close()
            return
        self._at_its_end = weakref.finalize(loop, self._link.close)
        self._at_its_end.atexit = False
        self._watched = self._link.fileno()
        self._context.run(loop.add_reader, self._watched, self._hear)

    def _end(self, error: type[LinkError] = Lost, reason: str = "closed the connection") -> None:
        """End the connection, and say so to all who wait."""
        loop = self._loop()
        if loop is not None and self._watched >= 0:
            loop.remove_reader(self._watched)
            if self._clogged:
                loop.remove_writer(self._watched)
        self._watched, self._abandoned = -1, self._connecting is not None
        self._clogged = self._flushing = False
        self._unsent.clear()
        if self._at_its_end is not None:
            self._at_its_end.detach()
        self._link.close()
        asked, self._asked = self._asked, deque()
        for one in asked:
            if not one.answer.done():
                one.answer.set_exception(error(self._link.name, 1, 0.0, reason))

    # -- what the loop calls

    def _flush(self) -> None:
        with postponed():
            self._flushing = False
            try:
                self._send()
            except LinkError as error:
                self._end(type(error), error.reason)
            except BaseException:
                self._end()  # nobody knows how far it has come
                raise

    def _hear(self) -> None:
        with postponed():
            try:
                self._answer()
            except LinkError as error:
                self._end(type(error), error.reason)
            except BaseException:
                self._end()
                raise

    def _send(self) -> None:
        loop = self._loop()
        if loop is None or self._watched < 0:
            return  # it has ended since, and whoever asked was told
        del self._unsent[: self._link.offer(self._unsent)]
        if bool(self._unsent) == self._clogged:
            return
        self._clogged = not self._clogged
        if self._clogged:
            loop.add_writer(self._watched, self._flush)
        else:
            loop.remove_writer(self._watched)

    def _answer(self) -> None:
        moved = False
        for reply in self._link.replies():
            if not self._asked:  # it answers nothing: what comes next might be taken for the answer to something else
                self._end()
                return
            refusal = translate(reply, self._link.name) if isinstance(reply, ErrorReply) else None
            moved = moved or isinstance(refusal, ReadOnly | Moved)
            answer = self._asked.popleft().answer
            if answer.done():
                continue  # whoever asked was cancelled
            if refusal is None:
                answer.set_result(reply)
            else:
                answer.set_exception(refusal)
        if moved:  # the master is elsewhere now: look for it the next time
            self._end()

    def _look_at_time(self) -> None:
        self._looks_at = 0.0
        loop = self._loop()
        if loop is None or not self._asked:
            return
        left = self._asked[0].since + self.seconds - loop.time()
        if left <= 0:
            self._end(Silent, "gave no answer")
        else:
            self._look_in(left, loop)

    def _look_in(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self._looks_at = loop.time() + seconds
        loop.call_later(seconds, self._look_at_time, context=self._context)
