"""Following a process: `for p in handle.progress()`, in an event loop `async for p in handle.progress()`.

Each step asks for what is newer than what was seen, and is told when that comes, by the inbox of this program: several
may follow one process, and nobody polls. A follower that is slower than the reports gets the newest, not each.
"""

from collections.abc import AsyncIterator, Iterator
from time import monotonic

from onserver.errors import ProcessNotFound, ProcessTimeout
from onserver.process.hearing import Told, heard
from onserver.process.inbox import UNSAID_SECONDS, End
from onserver.process.progress import Progress
from onserver.process.waits import Wanted, said_while
from onserver.server import Server
from onserver.session.context import current_run
from onserver.session.steps import Step, Steps, adrive, drive, refuse_in_loop

_PROGRESS = "progress"


class Following:
    """What `Process.progress` answers: the reports of one process, from the present one to its last."""

    def __init__(self, server: Server, number: int, timeout: float | None) -> None:
        self._server = server
        self._number = number
        self._timeout = timeout

    def __iter__(self) -> Iterator[Progress]:
        refuse_in_loop("for … in process.progress()", "async for … in process.progress()")
        began, seen = monotonic(), b""
        while seen := drive(self._next(seen, began)):
            yield _read(seen)

    async def __aiter__(self) -> AsyncIterator[Progress]:
        began, seen = monotonic(), b""
        while seen := await adrive(self._next(seen, began)):
            yield _read(seen)

    def _next(self, seen: bytes, began: float) -> Steps[bytes]:
        """Answer what is newer than what was seen, and nothing when the process has ended without more."""
        left = None if self._timeout is None else began + self._timeout - monotonic()
        end = yield from self._told(seen, left)
        if end is None:
            raise ProcessTimeout(self._number, monotonic() - began if self._timeout is None else self._timeout)
        if end.state == "gone":
            raise ProcessNotFound(self._number)
        if end.state == _PROGRESS:
            return end.payload
        last = yield Step(lambda: self._server.store.run("watch_progress", self._number, seen, ""))
        return bytes(last[1]) if last is not None and last[0] == _PROGRESS.encode() else b""

    async def news(self, seen: bytes, seconds: float) -> End | None:
        """Answer what has come of the process, for who follows it step by step; None when nothing came in time.

        Args:
            seen: the report that was seen last, as it is kept; empty for none.
            seconds: how long to wait.

        Returns:
            `progress` and the newer report, or the state in which it has ended, or `gone`.
        """
        return await adrive(self._told(seen, seconds))

    def _told(self, seen: bytes, left: float | None) -> Steps[End | None]:
        told = Told(lambda address: self._server.store.run("watch_progress", self._number, seen, address))
        try:
            return (yield from self._hears(told, left))
        finally:
            if told.end is None and told._inbox is not None:
                self._forget(told._inbox.address(told))

    def _hears(self, told: Told, left: float | None) -> Steps[End | None]:
        """Wait until it reports or ends. In a run that is an edge to it: one that waits in its turn reports nothing."""
        run = current_run()
        if run is None:
            return (yield from heard(self._server, told, left))
        quick = UNSAID_SECONDS if left is None else min(left, UNSAID_SECONDS)
        end = yield from heard(self._server, told, quick)
        if end is not None or quick == left:
            return end
        rest = None if left is None else left - quick
        wanted = Wanted(f"p:{self._number}", f"progress of #{self._number}")
        return (yield from said_while(self._server, run, wanted, heard(self._server, told, rest)))

    def _forget(self, address: str) -> None:
        store = self._server.store
        keys = (store.key(f"pw:{self._number}"), store.key(f"w:{self._number}"))
        store.pipeline([("SREM", key, address) for key in keys])


def _read(kept: bytes) -> Progress:
    found = Progress.read(kept)
    if found is None:
        raise AssertionError("a report without a word")
    return found
