"""Waiting for tasks by their ids, through the one inbox of this program.

All that one caller waits for is looked up in one trip: when it begins to wait, and from time to time after, since what
is published may be missed. An id that nobody has put yet can be waited for as well (the end of a chain).
"""

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Final

from onserver.celery_app.desk import Desk
from onserver.celery_app.meta import Row
from onserver.process.inbox import Awaited, End, Inbox

#: A look is one trip for all; within so many seconds of it the others need none.
_FRESH_SECONDS: Final = 1.0


class AwaitedTask(Awaited):
    """One task of a batch."""

    __slots__ = ("batch", "identifier")

    def __init__(self, batch: "Batch", identifier: str) -> None:
        super().__init__()
        self.batch = batch
        self.identifier = identifier

    def look(self, address: str) -> End | None:
        """Look up the whole batch, unless that was done just now."""
        del address  # the batch asks the inbox for each
        return self.batch.look(self)


class Batch:
    """Tasks that one caller waits for together."""

    def __init__(self, desk: Desk, identifiers: Sequence[str]) -> None:
        self._desk = desk
        self._inbox = desk.server.part(Inbox)
        self._tasks = {identifier: AwaitedTask(self, identifier) for identifier in identifiers}
        self._rows: dict[str, Row] = {}
        self._looked = float("-inf")
        self._untold = dict(self._tasks)

    def ends(self, timeout: float | None) -> Iterator[tuple[str, End, int]]:
        """Yield id, end and number of each task as it ends, each once in all; stop after `timeout` seconds."""
        for task in self._inbox.ends(list(self._untold.values()), timeout):
            assert isinstance(task, AwaitedTask)
            assert task.end is not None
            del self._untold[task.identifier]
            row = self._rows.get(task.identifier)
            yield task.identifier, task.end, row.number if row else 0

    def look(self, task: AwaitedTask) -> End | None:
        """Answer the end of a task, or see to it that this program is told."""
        if monotonic() - self._looked > _FRESH_SECONDS:
            self._look()
        row = self._rows.get(task.identifier)
        return row.end if row else None

    def _look(self) -> None:
        open_tasks = [task for task in self._tasks.values() if task.end is None]
        words: list[str] = []
        client = ""
        for task in open_tasks:
            client, token = self._inbox.address(task).split(" ")
            words += [self._desk.key_of(task.identifier), token]
        rows = self._desk.store.run("celery_results", client, *words)
        self._looked = monotonic()
        for task, row in zip(open_tasks, rows, strict=True):
            self._rows[task.identifier] = Row.read(row)
