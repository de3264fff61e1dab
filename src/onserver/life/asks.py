"""What is asked of what the children of one supervisor run, and how far that has come.

Each beat tells all that is asked (`Beat.asks`), and an order makes the supervisor beat at once. From then on this looks
every `LOOK_SECONDS` at the pages of the children concerned, until everything has been done:

- *abort*: on the child's board, for its next checkpoint; a second later the running code is interrupted; the executor
  is killed where that was asked for. What was claimed and not begun, the executor gives up when it comes to it.
- *pause*: the executor is stopped (SIGSTOP) if what is to pause runs there, may be stopped where it is, and is in no
  block of `use` and in no line: looked at after it has stopped, so that it cannot change any more. What it has claimed
  and not begun is handed back, and it no longer counts as one that takes work: another is forked beside it. Else it is
  left to the board.
- *resume*: a stopped executor goes on when its pause is no longer asked.

An async executor runs many: its loop is told that the board has changed, and does all of it by itself (see
`async_orders`), but for the kill.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Final

from onserver.cluster.member import Ask
from onserver.life.board import ABORT, PAUSE
from onserver.life.child import Child
from onserver.life.crew import Crew
from onserver.life.heeding import reach
from onserver.server import Server

#: How often what is under way is looked at, in seconds.
LOOK_SECONDS: Final = 0.05
#: Seconds between the asking and the interruption.
INTERRUPT_SECONDS: Final = 1.0

_WHAT: Final[Mapping[str, int]] = {"abort": ABORT, "pause": PAUSE}


class Asks:
    """See the top of this module."""

    def __init__(self, server: Server, crew: Crew) -> None:
        self._server = server
        self._crew = crew
        self._asked: dict[str, dict[int, Ask]] = {}
        self._since: dict[tuple[str, int], float] = {}
        self._kill_at: dict[tuple[str, int], float] = {}
        self._interrupted: set[tuple[str, int]] = set()

    def hear(self, asks: Sequence[Ask]) -> None:
        """Take what a beat told: all that is asked now."""
        if not asks and not self._asked:
            return  # mostly
        now = monotonic()
        self._asked = {}
        for ask in asks:
            self._asked.setdefault(ask.holder, {})[ask.number] = ask
            one = (ask.holder, ask.number)
            self._since.setdefault(one, now)
            if ask.kill_seconds is not None:
                self._kill_at[one] = min(self._kill_at.get(one, now + ask.kill_seconds), now + ask.kill_seconds)
        known = {(ask.holder, ask.number) for ask in asks}
        self._since = {one: at for one, at in self._since.items() if one in known}
        self._kill_at = {one: at for one, at in self._kill_at.items() if one in known}
        self._interrupted &= known
        for child in self._crew.children.values():
            asked = self._asked.get(child.holder, {})
            child.page.board.write({number: _WHAT[ask.what] for number, ask in asked.items()})

    def follow(self) -> None:
        """Do what is due now."""
        for child in tuple(self._crew.children.values()):
            if child.role == "async":
                self._follow_loop(child)
                continue
            ask = self._asked.get(child.holder, {}).get(child.page.current)
            if child.stopped_at and not (ask is not None and ask.what == "pause"):
                self._go_on(child)
            if ask is not None and not child.ended:
                if ask.what == "abort":
                    self._abort(child, ask.number)
                elif not child.stopped_at:
                    self._pause(child, ask.number)

    @property
    def pending(self) -> bool:
        """Whether something is under way that must be looked at again soon."""
        return any(self._unfinished(child) for child in self._crew.children.values())

    def _unfinished(self, child: Child) -> bool:
        if child.role == "async":
            return bool(self._to_kill(child)) and not child.ended
        ask = self._asked.get(child.holder, {}).get(child.page.current)
        if child.stopped_at:
            return ask is None or ask.what == "abort"
        return ask is not None and not child.ended and not (child.halted and child.page.halted)

    # -- async executors: what is asked their loop does by itself, but for the kill

    def _to_kill(self, child: Child) -> dict[int, float]:
        """The processes for which it is killed if they still run at a time."""
        begun = child.page.begun if child.holder in self._asked else ()
        ones = {number: self._kill_at.get((child.holder, number)) for number in begun}
        return {number: at for number, at in ones.items() if at is not None}

    def _follow_loop(self, child: Child) -> None:
        due = [number for number, at in self._to_kill(child).items() if monotonic() >= at]
        asked = {number: ask.what for number, ask in self._asked.get(child.holder, {}).items()}
        if due and not child.ended:
            for number in due:
                reach(self._server, child.holder, number, level="killed")
            child.kill("abort")
        elif child.asked != asked:
            child.asked = asked
            os.kill(child.pid, signal.SIGUSR2)  # its loop looks at once

    # -- abort

    def _abort(self, child: Child, number: int) -> None:
        one, now = (child.holder, number), monotonic()
        if now >= self._kill_at.get(one, now + 1):
            reach(self._server, child.holder, number, level="killed")
            child.kill("abort")
        elif now - self._since[one] >= INTERRUPT_SECONDS and one not in self._interrupted:
            reach(self._server, child.holder, number, level="interrupted")
            self._interrupted.add(one)
            if child.page.current == number:
                child.interrupt_run()

    # -- pause

    def _pause(self, child: Child, number: int) -> None:
        if child.page.halted:
            if not child.halted:
                child.halted = True
                self._crew.hand_back(child)
            return
        child.halted = False
        if child.role != "executor" or self._left_to_board(child):
            return  # at its next checkpoint
        if not self._crew.stop_where_it_is(child):
            return
        if child.page.current != number or self._left_to_board(child):
            os.kill(child.pid, signal.SIGCONT)  # it went on in the meantime: the board tells it
            return
        child.stopped_at = monotonic()
        if not reach(self._server, child.holder, number, "paused", "its executor is stopped"):
            os.kill(child.pid, signal.SIGCONT)  # settled while it was stopped
            child.stopped_at = 0.0
            return
        self._crew.hand_back(child)

    @staticmethod
    def _left_to_board(child: Child) -> bool:
        return child.page.by_checkpoint or child.page.holds > 0 or child.page.halted or child.looks_ahead

    def _go_on(self, child: Child) -> None:
        if child.page.current:
            reach(self._server, child.holder, child.page.current, "resumed")
        child.page.excuse(monotonic() - child.stopped_at)
        child.stopped_at = 0.0
        os.kill(child.pid, signal.SIGCONT)
