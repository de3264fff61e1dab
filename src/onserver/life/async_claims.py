"""What an async executor says to Redis about processes, and what it hears: claims, settlements and hand-offs.

It is the conversation of `executor`, held beside a loop. One trip is under way at a time, in a thread, so the loop
never waits; all that has ended meanwhile is settled by the next, which also claims for all places that are free. With
nothing to claim the holder is idle, and gets what comes from its hand-off list, one at a time; after each it asks
again. So it is registered as idle only while it has a free place.

After a lost reply what is held is asked for (`resume`), which answers what runs here as well: that is known and left
alone. The hand-off list is read anew after that, on a new connection, so that nothing can come twice.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from onserver.crash import crash_point
from onserver.life.async_page import AsyncPage
from onserver.life.hand_offs import HandOffs
from onserver.life.witness import Witness, witnesses
from onserver.process.claim import Claim, Settlement
from onserver.process.recent import Recent
from onserver.redis.answers import LinkError
from onserver.redis.resp import Word
from onserver.server import Server

#: How many processes are claimed in one trip.
CLAIMS: Final = 50
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_LAST: Final = frozenset({"end", "free", "back", "retry"})


class Claims:
    """See the top of this module.

    Args:
        server: the server.
        holder: "member.incarnation".
        code: digest of what this program can run.
        queues: where to claim from, first one first.
        free: how many places are free, 0 when nothing may begin.
        begin: takes what was claimed, or answers False when it must not begin now: it is asked for again later.
        page: told of what is to be said of each process, and what Redis knows.
    """

    def __init__(
        self,
        server: Server,
        holder: str,
        code: str,
        queues: Sequence[str],
        free: Callable[[], int],
        begin: Callable[[Claim], bool],
        page: AsyncPage,
    ) -> None:
        self._server, self._holder = server, holder
        self._free, self._begin, self._page = free, begin, page
        self._link = server.store.link()
        self._script = server.store.script("step")
        process = server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
        self._words: tuple[Word, ...] = (*keep, code, len(queues), *queues)
        self._settlements: list[Settlement] = []
        self._recent = server.part(Recent)
        self._threads = ThreadPoolExecutor(2, "onserver-claims")
        self._telling = ThreadPoolExecutor(1, "onserver-witness")
        self._hands = HandOffs(server.store, holder, self._threads, self._handed, self.ask_again)
        self._heard = 0
        self._idle = False
        self._resume = False
        self._pause = _FIRST_PAUSE
        self._bell = asyncio.Event()

    @property
    def unsent(self) -> bool:
        """Whether something is to be said that was not."""
        return bool(self._settlements)

    def settle(self, number: int, kind: str, state: str, payload: bytes, extra: str = "") -> None:
        """Say how a process stands, with the next trip, which begins at once if none is under way."""
        self._settlements.append((number, kind, state, payload, extra))
        if kind in _LAST:
            self._page.says(number)
        self.tell(lambda witness: witness.settled(number, kind, state, payload))
        self.ring()

    def tell(self, what: Callable[[Witness], None]) -> None:
        """Tell those who want to know, in order, beside the loop."""
        for witness in witnesses:
            self._telling.submit(what, witness).add_done_callback(_raise)

    def settles(self, number: int) -> bool:
        """Whether the end of this process is still to be said."""
        return any(number == said and kind in _LAST for said, kind, *_ in self._settlements)

    def ring(self) -> None:
        """Look whether there is something to say or to claim."""
        self._bell.set()

    def ask_again(self) -> None:
        """Ask what is held here: something may not have been heard, or was not taken when it was."""
        self._resume = True
        self.ring()

    async def converse(self, done: Callable[[], bool]) -> None:
        """Claim and settle until it is done, and all is said.

        Raises:
            MemberFenced: this holder was declared dead.
        """
        self.ring()
        while True:
            await self._bell.wait()
            self._bell.clear()
            await self._listen()
            count = 0 if self._idle and not self._resume else min(self._free(), CLAIMS)
            if count or self._settlements:
                await self._trip(count)
            if not self._settlements and done():  # also right after the last was said: nothing rings once more
                return

    # -- the trips

    async def _listen(self) -> None:
        if self._resume:
            self._hands.close()  # what is on its way there will be answered
            return
        try:
            await self._hands.open()
        except LinkError:
            self.ask_again()
            await self._rest()

    async def _trip(self, count: int) -> None:
        sent, self._settlements = self._settlements, []
        heard, resume = self._heard, self._resume
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, count, resume, sent)
        if answer is None:
            self._settlements[:0] = sent
            self.ask_again()
            await self._rest()
            return
        self._pause = _FIRST_PAUSE
        refused, change, again, *messages = answer
        for number, kind, *_ in sent:
            if kind in _LAST:
                self._page.said(number)
        for number in refused:
            sys.stderr.write(f"#{number} was given to another meanwhile: what it did here is not accepted\n")
        self._server.storage.cache.require(int(change))
        self._resume = self._resume and not resume
        if count:
            self._idle = not (messages or again or resume or heard != self._heard)
        for message in messages:
            self._take(message)
        if not self._idle and self._free():
            self.ring()

    def _ask(self, count: int, resume: bool, settlements: Sequence[Settlement]) -> Any:
        words: list[Word] = [word for settlement in settlements for word in settlement]
        prefix, claim = self._server.store.prefix, f"+{count}" if count else 0
        try:
            answer = self._link.run(self._script, prefix, self._holder, claim, int(resume), *self._words, *words)
        except LinkError:
            return None
        if settlements:
            crash_point("after_settle")
            self._recent.report()
            for settlement in settlements:
                self._recent.note(settlement[0])
        return answer

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _handed(self, words: Sequence[bytes]) -> None:
        *message, change = words
        self._heard += 1
        self._idle = False
        if message[0] != b"wake":
            self._server.storage.cache.require(int(change))
            self._take(message)
        self.ring()

    def _take(self, message: Sequence[bytes]) -> None:
        claim = Claim.read(message)
        if not self.settles(claim.number) and not self._begin(claim):
            self.ask_again()


def _raise(told: Future[None]) -> None:
    """What went wrong is logged: it ends no process."""
    told.result()
