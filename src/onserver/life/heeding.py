"""What the checkpoints of a program do that runs processes: raise when an abort is asked, wait while a pause is."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Final

from onserver.checkpoint import heed_by
from onserver.interrupt import Interrupted
from onserver.life.board import ABORT, PAUSE, Board
from onserver.server import Server
from onserver.session.running import Running, running

#: How soon the end of a pause is noticed, in seconds: a look at memory, without a trip to Redis.
_LOOK_SECONDS: Final = 0.05


class Heeding:
    """See the top of this module.

    Args:
        server: whose processes run here.
        board: what is asked of them.
        halt: told when a run begins and ceases to wait at a checkpoint.
        hold: told in how many blocks it may not be stopped where it is.
        wait: told when a run begins and ceases to wait for another process.
        error: makes what is raised in a run that is to stop.
    """

    def __init__(
        self,
        server: Server,
        board: Board,
        halt: Callable[[bool], None] | None = None,
        hold: Callable[[int], None] | None = None,
        wait: Callable[[bool], None] | None = None,
        error: Callable[[str], BaseException] = Interrupted,
    ) -> None:
        self._server = server
        self._board, self._words = board, board.words
        self._halt = halt
        self._hold, self._wait = hold, wait
        self._error = error

    def begin(self) -> None:
        """Let the checkpoints of this program do this."""
        heed_by(self._asked, self._heed, self._hold, self._wait)

    def _asked(self) -> bool:
        if not self._words[0]:
            return False  # mostly, and at each look into the storage
        run = running()
        what = 0 if run is None else self._board.asked(run.number)
        return bool(what & ABORT) or (what == PAUSE and run is not None and not self._server.storage.in_use(run))

    def _heed(self) -> None:
        run = running()
        if run is None:
            return
        what = self._board.asked(run.number)
        if what & ABORT:
            raise self._error("asked to stop")
        if what & PAUSE and not self._server.storage.in_use(run):
            self._pause(run)

    def _pause(self, run: Running) -> None:
        reach(self._server, run.holder, run.number, "paused", "at a checkpoint")
        if self._halt is not None:
            self._halt(True)
        try:
            while self._board.asked(run.number) == PAUSE:
                sleep(_LOOK_SECONDS)
        finally:
            if self._halt is not None:
                self._halt(False)
        if self._board.asked(run.number) & ABORT:
            raise self._error("asked to stop")
        reach(self._server, run.holder, run.number, "resumed")


def reach(server: Server, holder: str, number: int, state: str = "", why: str = "", level: str = "") -> bool:
    """Say how far what was asked of a process has come. False when the holder has it no longer.

    Raises:
        MemberFenced: ONS-2401, the holder was declared dead.
    """
    return bool(server.store.run("reach", holder, number, state, why, level))
