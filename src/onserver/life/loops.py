"""The async executors among the children of a supervisor.

They need no stand-ins: a run that waits for another process gives its place away, and one that is paused takes none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onserver.cluster.member import Member
from onserver.life.async_executor import PLACES_A_SLOT, AsyncExecutor
from onserver.life.async_page import AsyncPage
from onserver.life.code import Code
from onserver.life.crew import Crew
from onserver.life.executor import Tracer
from onserver.life.recycling import is_worn
from onserver.life.worker import Worker
from onserver.server import Server


class Loops:
    """Keeps as many async executors as are wanted.

    Args:
        server: the loaded project.
        member: this worker's membership.
        crew: whose children they are.
        worker: what is declared: how many there are, with how many slots, and for which queues.
        tracer: handed to them.
    """

    def __init__(self, server: Server, member: Member, crew: Crew, worker: Worker, tracer: Tracer | None) -> None:
        self._server, self._member, self._crew = server, member, crew
        self._worker, self._tracer = worker, tracer

    def fill(self, code: Code) -> None:
        """Fork until there are enough; with no coroutines in the code, one that was not asked for is none."""
        found, count = code.coroutines, wanted(self._worker, code)
        if found is None:
            return
        for _ in range(count - len(self._crew.loops())):
            if not self._crew.may_fork:
                return
            places = self._worker.async_slots * PLACES_A_SLOT
            holder = self._member.enlist(found.digest, self._worker.queues, places)
            page = AsyncPage(places)
            self._crew.add("async", holder, page, self._body(holder, page, found.digest, self._worker.queues))

    def recycle(self, code: Code) -> None:
        """Replace one that has done enough: its successor is forked before it leaves."""
        for child in self._crew.loops():
            if is_worn(child, self._server.settings.worker):
                child.draining = True
                self.fill(code)
                child.draining = False
                self._crew.drain([child])
                return

    def _body(self, holder: str, page: AsyncPage, code: str, queues: Sequence[str]) -> Callable[[], int]:
        slots = self._worker.async_slots
        return lambda: AsyncExecutor(self._server, holder, page, code, queues, slots, self._tracer).run()


def wanted(worker: Worker, code: Code) -> int:
    """How many async executors a worker has: as many as it says; by default one where there are coroutines."""
    if worker.async_executors is not None:
        return worker.async_executors
    return int(code.coroutines is not None)
