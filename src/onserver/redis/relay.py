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
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from onserver.redis.answers import LinkError, Lost, Moved, ReadOnly, Silent, translate
from onserver.redis.link import Link
from onserver.redis.resp import ErrorReply, Word
from onserver.redis.scripts import Script
from onserver.redis.watched import Watched


class _Asked(NamedTuple):
    """One script that is under way: who waits for its answer, and since when by the clock of the loop."""

    answer: asyncio.Future[Any]
    since: float


class Relay(Watched):
    """See the top of this module.

    Args:
        link: not connected yet, and used by nobody else.
        loop: whose coroutines use it.
    """

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, link.close)
        self._link = link
        #: How long an answer is waited for before `Silent` is raised.
        self.seconds = link.command_seconds
        self._connecting: asyncio.Future[None] | None = None
        #: What is under way, first the one whose answer comes first; and the bytes that the socket has not taken yet.
        self._asked: deque[_Asked] = deque()
        self._unsent = bytearray()
        #: Whether the end of this turn sends, and whether the loop says when the socket takes more.
        self._flushing = self._clogged = False
        #: Whether it was ended while it was connecting.
        self._abandoned = False

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
        self._waits(loop, now, self.seconds)
        return await asked.answer

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
        self._watch(loop, self._link.fileno())

    def _ended(self, failure: LinkError | None) -> None:
        self._abandoned = self._connecting is not None
        self._clogged = self._flushing = False
        self._unsent.clear()
        asked, self._asked = self._asked, deque()
        kind, reason = (Lost, "closed the connection") if failure is None else (type(failure), failure.reason)
        for one in asked:
            if not one.answer.done():
                one.answer.set_exception(kind(self._link.name, 1, 0.0, reason))

    # -- what the loop calls

    def _flush(self) -> None:
        self._guarded(self._send)

    def _send(self) -> None:
        self._flushing = False
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

    def _arrived(self) -> None:
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

    def _left(self, now: float) -> float | None:
        if not self._asked:
            return None
        left = self._asked[0].since + self.seconds - now
        if left > 0:
            return left
        self._end(Silent(self._link.name, 1, 0.0, "gave no answer"))
        return None
