"""The trips of an executor to Redis: what has ended is said, and what comes next is claimed.

Settling one process and claiming the next are one round trip (`step`). With nothing to claim the executor is registered
as idle by that same script and waits on its hand-off list, where *put* leaves the next process whole. After a lost
reply it sends its settlements again, which are recognised, and asks what it holds (`resume`) before it claims anything
new.

Where processes are short and more of them wait, trips are made *ahead*: one is sent before a process begins, and heard
when those before it have ended. So neither side waits for the other, and where both are busy several are read and
answered at once. What they claim has not begun until then; if the process before it turns out to be long, the
supervisor hands it back (see `late`), and where a trip has not even reached Redis by then it has the executor make
it again (`catch_up`).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

from onserver.crash import crash_point
from onserver.interrupt import is_shielded, shielded
from onserver.life.page import Page
from onserver.process.claim import WIDTH, Claim, Settlement
from onserver.process.recent import Recent
from onserver.redis.answers import LinkError, Lost, NoScript
from onserver.redis.resp import Word
from onserver.redis.scripts import Script
from onserver.server import Server

#: Seconds after which an idle executor asks for its hand-off list again.
WAIT_SECONDS = 5
#: How long what a signal asks for may hold up what runs.
_CATCH_UP_SECONDS = 0.5
#: How often at most a supervisor is woken because trips are made ahead, in seconds.
_WAKE_SECONDS = 0.05
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
        wake: has the supervisor look at the page.
    """

    def __init__(
        self, server: Server, holder: str, page: Page, code: str, queues: Sequence[str], wake: Callable[[], object]
    ) -> None:
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
        #: The script as it is run for a trip ahead, and the words before what is said: to claim nothing, or one.
        self._form: Script | None = None
        self._heads: tuple[tuple[Word, ...], tuple[Word, ...]] = ((), ())
        #: Whether the supervisor knows that trips are made ahead, and when it was woken for that.
        self._looks_ahead, self._wake, self._woken = False, wake, 0.0
        #: Whether a trip is being made or prepared: a signal must not make another in the middle of it.
        self._busy = False
        #: What a trip that a signal asked for has met with: raised by the next.
        self._error: Exception | None = None
        #: What is said with each of the trips ahead that are under way, the first one first, and how many it claims.
        self._ahead: deque[tuple[list[Settlement], int]] = deque()
        #: How many all of them claim.
        self._asked = 0
        #: What they claimed and has not begun.
        self._found: deque[Claim] = deque()
        #: Whether one of them found nothing; whoever heeds it says that it did.
        self.in_vain = False
        #: What was refused and is still to be told.
        self._refused: list[int] = []
        #: What is held may be another's by now: the next trip asks, and until then nothing of it may begin.
        self.in_doubt = False
        self._doubtful_until = 0.0

    # -- what there is to say

    def settle(self, settlement: Settlement) -> None:
        """Keep what is to be said with the next trip."""
        self._busy = True
        if not self._settlements:
            self._unsent_since = monotonic()
        self._settlements.append(settlement)
        self._page.unsent.add(settlement[0])
        self._busy = False

    @property
    def unsent(self) -> bool:
        """Whether there is something to say."""
        return bool(self._settlements)

    @property
    def under_way(self) -> bool:
        """Whether trips ahead are."""
        return bool(self._ahead)

    @property
    def is_ahead(self) -> bool:
        """Whether something was claimed ahead, or may have been."""
        return bool(self._ahead or self._found)

    @property
    def unsent_seconds(self) -> float:
        """How long the first of it has waited."""
        return monotonic() - self._unsent_since

    # -- trips

    def step(self, claim: int) -> list[Claim]:
        """Say what has ended, and claim; tried until Redis answers.

        Args:
            claim: how many at most; with 0 what is in doubt stays so.

        Raises:
            MemberFenced: ONS-2401, the holder was declared dead.
        """
        pause = 0.02
        if self._error is not None:
            raise self._error
        if self._doubtful_until and monotonic() > self._doubtful_until:
            self.in_doubt, self._doubtful_until = True, 0.0
        if self._looks_ahead and claim:
            self._looks_ahead = self._page.ahead = False
        self._busy = True
        try:
            while True:
                try:
                    if self._ahead:
                        with shielded():
                            self._hear_all()
                    how = _RESUME if claim and (self.in_doubt or self._doubtful_until) else _PLAIN
                    answer = self._ask(claim, how)
                except LinkError:
                    self._lost()
                    sleep(pause)
                    pause = min(2 * pause, 0.5)
                    continue
                settled, self._settlements = self._settlements, []
                if how == _RESUME:
                    self.in_doubt = False
                    self._found.clear()  # it is among what is held
                claims = self._take(answer, settled)
                if claims and claim and (self._doubtful_until or len(claims) > claim == 1):
                    self._say_ahead()  # what is found to be held, or may be yet, waits for the first of them
                if claims or not (answer[2] and claim):
                    return claims
        finally:
            self._busy = False

    def _ask(self, claim: int, how: int, timeout: float | None = None) -> Any:
        words = (self._holder, claim, how, *self._words, *self._said())
        before = self._link.connections
        answer = self._link.run(self._script, self._prefix, *words, timeout=timeout)
        if before not in (0, self._link.connections):  # the master is another now: it may not know what was claimed
            self._lost()
        return answer

    def look_ahead(self, most: int) -> bool:
        """Send trips that claim one each, and do not wait for the answers. False where one has to be made in its turn.

        That is so also where it could claim anew what it settles: what the supervisor reads as ended, and not said yet,
        must be nothing that is held to be begun.

        Args:
            most: how many may then be under way, and claimed and not begun, together; 1 at least.
        """
        if self.in_doubt or self._doubtful_until or self._link.replicas:
            return False
        for _, kind, _, _, extra in self._settlements:
            if kind != "end" or extra[:1] == "#":  # of a mailbox, this was one call
                return False
        form = self._link.form(self._script)
        if form is not self._form:
            self._form = form
            start, rest = (form.command, form.sha, 1, self._prefix, self._holder), (_AHEAD, *self._words)
            self._heads = ((*start, 0, *rest), (*start, 1, *rest))
        if not self._looks_ahead:
            self.in_vain = False
            self._say_ahead()
        missing = most - self._asked - len(self._found)
        try:
            if missing > 0 or self._settlements:
                self._send_ahead(1 if missing > 0 else 0)
            for _ in range(1, missing):
                self._send_ahead(1)
        except LinkError:
            self._lost_ahead()
            return False
        return True

    def _send_ahead(self, claim: int) -> None:
        if self._ahead and not self._link.connected:  # a new one would have no answers to those
            raise Lost(self._link.address.describe(), 1, 0.0, "closed the connection")
        self._link.send(*self._heads[claim], *self._said())
        self._ahead.append((self._settlements, claim))
        self._asked += claim
        self._settlements = []

    def collect(self) -> list[Claim]:
        """What comes first of what was claimed ahead; nothing where there was none, or where it is in doubt by now."""
        if self._error is not None:
            raise self._error
        try:
            while self._ahead and not self._found:
                self._hear()
        except LinkError:
            self._lost()
        return [self._found.popleft()] if self._found and not self.in_doubt else []

    def rest(self) -> list[Claim]:
        """Hear all trips ahead. Answers what was claimed and is not to begin here any more."""
        try:
            self._hear_all()
        except LinkError:
            self._lost()
        rest = [] if self.in_doubt else list(self._found)  # of what is in doubt the next trip says what is ours
        self._found.clear()
        return rest

    def catch_up(self) -> None:
        """Hear the trips ahead while something runs, and say once more what did not get through.

        For the handler of a signal, in the thread that makes the trips: nothing of this is raised in what runs there,
        nor is anything touched that it may be in the middle of. While it talks to Redis it is left alone.
        """
        if self._busy or is_shielded() or not self._page.current or not (self._ahead or self._settlements):
            return
        self._busy = True
        try:
            with shielded():
                if self._ahead:
                    with suppress(LinkError):  # it is said below, then
                        self._hear_all(_CATCH_UP_SECONDS, report=False)
                if self._settlements:
                    answer = self._ask(0, _PLAIN, _CATCH_UP_SECONDS)
                    settled, self._settlements = self._settlements, []
                    self._take(answer, settled, report=False)
        except LinkError:
            self._lost()  # the supervisor asks again
        except Exception as error:  # noqa: BLE001  # raised by the next trip, where nobody else's code runs
            self._error = error
        finally:
            self._busy = False

    def wait(self) -> list[Claim]:
        """Wait for a hand-off, without asking. Returns nothing when there may be something to claim."""
        while not self._page.draining:
            try:
                self._link.send("BLMPOP", WAIT_SECONDS, 1, self._inbox, "LEFT", "COUNT", WIDTH + 1)
                answer = self._link.receive(WAIT_SECONDS + self._link.command_seconds)
            except LinkError:
                self._link.close()
                self._lost()
                sleep(0.05)
                return []
            if self._doubtful_until:
                self.in_doubt = True
                return []
            if answer is not None:
                *message, change = answer[1]
                if message[0] == b"wake":
                    return []
                self._server.storage.cache.require(int(change))
                return [Claim.read(message)]
        return []

    def _say_ahead(self) -> None:
        self._looks_ahead = self._page.ahead = True
        now = monotonic()
        if now - self._woken > _WAKE_SECONDS:
            self._woken = now
            self._wake()

    def _lost(self) -> None:
        """The connection was lost: what is held is in doubt, and is so once more a while later.

        Redis may not know yet that the old connection is gone: it may carry out what came through it, and hand
        something to whoever waits there.
        """
        self.in_doubt = True
        self._doubtful_until = monotonic() + WAIT_SECONDS + 1

    def _under_way(self) -> list[Settlement]:
        return [settlement for said, _ in self._ahead for settlement in said]

    def _said(self) -> Sequence[Word]:
        if len(self._settlements) == 1:
            return self._settlements[0]
        return [word for settlement in self._settlements for word in settlement]

    def _lost_ahead(self) -> None:
        """The connection was lost, and with it the answers to all that are under way."""
        self._settlements[:0] = self._under_way()
        self._ahead.clear()
        self._asked = 0
        self._lost()

    def _hear_all(self, seconds: float | None = None, *, report: bool = True) -> None:
        """Hear all trips ahead; for so many seconds together."""
        until = None if seconds is None else monotonic() + seconds
        while self._ahead:
            self._hear(None if until is None else max(0.0, until - monotonic()), report=report)

    def _hear(self, seconds: float | None = None, *, report: bool = True) -> None:
        """Hear what the first of the trips ahead has brought. In a run it has to be shielded."""
        try:
            answer = self._link.receive(self._link.command_seconds if seconds is None else seconds)
        except NoScript:
            said, claim = self._ahead.popleft()
            self._asked -= claim
            self._settlements[:0] = said  # it has not run
            return
        except BaseException:
            self._lost_ahead()
            self._link.close()  # what comes late is no answer to what is asked next
            raise
        said, claim = self._ahead.popleft()
        self._asked -= claim
        claims = self._take(answer, said, report=report)
        if claims:
            self._found += claims
        elif claim:
            self.in_vain = True

    def _tell_refused(self, report: bool) -> None:
        if report:
            for number in self._refused:
                sys.stderr.write(f"#{number} was given to another meanwhile: what it did here is not accepted\n")
            self._refused.clear()

    def _take(self, answer: Sequence[Any], settled: Sequence[Settlement], *, report: bool = True) -> list[Claim]:
        refused, change, _again, *messages = answer
        if settled:
            crash_point("after_settle")
            if report:
                self._recent.report()
            for settlement in settled:
                self._recent.note(settlement[0])
            self._page.unsent.keep([*self._under_way(), *self._settlements] if self._ahead else self._settlements)
        if refused or self._refused:
            self._refused += refused
            self._tell_refused(report)
        self._server.storage.cache.require(change)
        return [Claim.read(message) for message in messages]
