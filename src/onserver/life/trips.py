"""The trips of an executor to Redis: what has ended is said, and what comes next is claimed.

Settling one process and claiming the next are one round trip (`step`). With nothing to claim the executor is registered
as idle by that same script and waits on its hand-off list, where *put* leaves the next process whole. After a lost
reply it sends its settlements again, which are recognised, and asks what it holds (`resume`) before it claims anything
new.

Where processes are short and more of them wait, the trip is made *ahead*: it is sent before the process begins that was
claimed last, and heard when that has ended. So neither side waits for the other. What it claims has not begun until
then; if the process before it turns out to be long, the supervisor hands it back (`Crew.hand_back_late`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from time import monotonic, sleep
from typing import Any

from onserver.crash import crash_point
from onserver.interrupt import shielded
from onserver.life.page import Page
from onserver.process.claim import WIDTH, Claim, Settlement
from onserver.process.recent import Recent
from onserver.redis.answers import LinkError, NoScript
from onserver.redis.resp import Word
from onserver.redis.scripts import Script
from onserver.server import Server

#: Seconds after which an idle executor asks for its hand-off list again.
WAIT_SECONDS = 5
#: What a step is told besides: nothing, to say what is held first, or that whoever asks is not idle.
_PLAIN, _RESUME, _AHEAD = 0, 1, 2


class Trips:
    """See the top of this module.

    Args:
        server: the server, loaded before the fork; the connection is made anew here.
        holder: "member.incarnation", enlisted by the supervisor.
        page: shared with the supervisor.
        code: digest of what this program can run.
        queues: where to claim from, first one first.
    """

    def __init__(self, server: Server, holder: str, page: Page, code: str, queues: Sequence[str]) -> None:
        self._server = server
        self._holder = holder
        self._page = page
        self._link = server.store.link()
        self._script = server.store.script("step")
        self._prefix = server.store.prefix
        process = server.settings.process
        keep = (int(process.keep_seconds), int(process.keep_failed_seconds), process.deliveries)
        self._words: tuple[Word, ...] = (*keep, code, len(queues), *queues)
        self._inbox = server.store.key(f"x:{holder}")
        self._recent = server.part(Recent)
        self._settlements: list[Settlement] = []
        self._unsent_since = 0.0
        #: The script as it is run for a trip ahead, and the words before what is said.
        self._form: Script | None = None
        self._head: tuple[Word, ...] = ()
        #: Whether the supervisor knows that trips are made ahead.
        self._looks_ahead = False
        #: What is said with the trip ahead; None where none is under way.
        self._ahead: list[Settlement] | None = None
        #: What it claimed, where it had to be heard before its time.
        self._found: list[Claim] = []
        self._resume = False
        self._doubtful_until = 0.0

    # -- what there is to say

    def settle(self, settlement: Settlement) -> None:
        """Keep what is to be said with the next trip."""
        if not self._settlements:
            self._unsent_since = monotonic()
        self._settlements.append(settlement)
        self._page.unsent.add(settlement[0])

    @property
    def unsent(self) -> bool:
        """Whether there is something to say."""
        return bool(self._settlements)

    @property
    def unsent_seconds(self) -> float:
        """How long the first of it has waited."""
        return monotonic() - self._unsent_since

    def doubt(self) -> None:
        """What is held may be another's by now: the next trip asks, and until then nothing of it may begin."""
        self._resume = True

    @property
    def in_doubt(self) -> bool:
        """Whether the next trip asks what is held."""
        return self._resume

    # -- trips

    def step(self, claim: int) -> list[Claim]:
        """Say what has ended, and claim; tried until Redis answers.

        Args:
            claim: how many at most; with 0 what is in doubt stays so.

        Raises:
            MemberFenced: ONS-2401, the holder was declared dead.
        """
        pause = 0.02
        if self._doubtful_until and monotonic() > self._doubtful_until:
            self._resume, self._doubtful_until = True, 0.0
        if self._looks_ahead and claim:
            self._looks_ahead = self._page.ahead = False
        while True:
            try:
                if self._ahead is not None:
                    with shielded():
                        self._hear()
                how = _RESUME if self._resume and claim else _PLAIN
                answer = self._link.run(
                    self._script, self._prefix, self._holder, claim, how, *self._words, *self._said()
                )
            except LinkError:
                self._resume = True
                sleep(pause)
                pause = min(2 * pause, 0.5)
                continue
            settled, self._settlements = self._settlements, []
            if how == _RESUME:
                self._resume = False
                self._found.clear()  # it is among what is held
            claims = self._take(answer, settled)
            if claims or not (answer[2] and claim):
                return claims

    def look_ahead(self) -> bool:
        """Send the trip that claims one, and do not wait for its answer. False where it has to be made in its turn."""
        if self._resume or self._link.replicas:
            return False
        form = self._link.form(self._script)
        if form is not self._form:
            self._form = form
            self._head = (form.command, form.sha, 1, self._prefix, self._holder, 1, _AHEAD, *self._words)
        if not self._looks_ahead:
            self._looks_ahead = self._page.ahead = True
        try:
            self._link.send(*self._head, *self._said())
        except LinkError:
            self._resume = True
            return False
        self._ahead, self._settlements = self._settlements, []
        return True

    def collect(self) -> list[Claim]:
        """What the trip ahead has claimed; nothing where there was none, or where it is in doubt by now."""
        if self._ahead is not None:
            try:
                self._hear()
            except LinkError:
                self._resume = True
        found, self._found = self._found, []
        return [] if self._resume else found

    def wait(self) -> list[Claim]:
        """Wait for a hand-off, without asking. Returns nothing when there may be something to claim."""
        while not self._page.draining:
            try:
                self._link.send("BLMPOP", WAIT_SECONDS, 1, self._inbox, "LEFT", "COUNT", WIDTH + 1)
                answer = self._link.receive(WAIT_SECONDS + self._link.command_seconds)
            except LinkError:
                self._link.close()
                self._resume = True
                # Redis may not know yet that the old connection is gone, and hand something to its wait
                self._doubtful_until = monotonic() + WAIT_SECONDS + 1
                sleep(0.05)
                return []
            if answer is None and self._doubtful_until:
                self._resume = True
                return []
            if answer is not None:
                *message, change = answer[1]
                if message[0] == b"wake":
                    return []
                self._server.storage.cache.require(int(change))
                return [Claim.read(message)]
        return []

    def _said(self) -> Sequence[Word]:
        if len(self._settlements) == 1:
            return self._settlements[0]
        return [word for settlement in self._settlements for word in settlement]

    def _hear(self) -> None:
        """Hear what the trip ahead has brought. In a run it has to be shielded."""
        settled, self._ahead = self._ahead or [], None
        try:
            answer = self._link.receive(self._link.command_seconds)
        except NoScript:
            self._settlements[:0] = settled  # it has not run
            return
        except BaseException:
            self._settlements[:0] = settled
            self._resume = True
            self._link.close()  # what comes late is no answer to what is asked next
            raise
        self._found += self._take(answer, settled)

    def _take(self, answer: Sequence[Any], settled: Sequence[Settlement]) -> list[Claim]:
        refused, change, _again, *messages = answer
        if settled:
            crash_point("after_settle")
            self._recent.report()
            for settlement in settled:
                self._recent.note(settlement[0])
            self._page.unsent.keep(self._settlements)
        for number in refused:
            sys.stderr.write(f"#{number} was given to another meanwhile: what it did here is not accepted\n")
        self._server.storage.cache.require(change)
        return [Claim.read(message) for message in messages]
