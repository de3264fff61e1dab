"""What a file in `workers/` declares: which queues a worker listens on, and with how many executors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from onserver.errors import BadDeclaration

_MOST_SLOTS: Final = 10_000


class Worker:
    """One worker of the project, started by `onserver worker FILE`.

    Args:
        queues: names of the queues it takes work from, the first one first. Default: `default`.
        executors: how many processes of plain functions it runs at once, 0 or more; None: the setting
            `worker.executors`.
        grace_seconds: how long a stop waits for what runs; None: the setting `worker.grace_seconds`.
        async_executors: how many executors run `async def` procedures, 0 or more; None: one where the project has any.
        async_slots: how many processes each of these runs at once on its loop, 1 to 10,000. Those that wait for another
            process are not counted.

    Raises:
        BadDeclaration: a queue without a name, or with white space in it; fewer than 0 executors, or slots out of
            range.

    Example:
        >>> worker = Worker(queues=["default", "reports"], executors=4)
        >>> worker.queues
        ('default', 'reports')
    """

    def __init__(
        self,
        queues: Sequence[str] = ("default",),
        executors: int | None = None,
        grace_seconds: float | None = None,
        *,
        async_executors: int | None = None,
        async_slots: int = 100,
    ) -> None:
        if isinstance(queues, str):
            queues = (queues,)
        for queue in queues:
            if not re.fullmatch(r"[^\s:{}]+", queue):
                problem = f"has a queue named {queue!r}"
                raise BadDeclaration("Worker", problem, "The name of a queue is one word without `:`, `{` and `}`.")
        if not queues:
            raise BadDeclaration("Worker", "has no queue to listen on", "Worker(queues=['default'])")
        for count, kind in ((executors, "executors"), (async_executors, "async executors")):
            if count is not None and count < 0:
                raise BadDeclaration("Worker", f"has {count} {kind}", "Give 0 or more.")
        if not 1 <= async_slots <= _MOST_SLOTS:
            raise BadDeclaration("Worker", f"has async_slots={async_slots!r}", "Give 1 to 10,000.")
        self.queues = tuple(dict.fromkeys(queues))
        self.executors = executors
        self.grace_seconds = grace_seconds
        self.async_executors = async_executors
        self.async_slots = async_slots

    def but(
        self,
        *,
        queues: Sequence[str] | None = None,
        async_executors: int | None = None,
        async_slots: int | None = None,
    ) -> Worker:
        """Answer the same worker, but for what is given."""
        return Worker(
            self.queues if queues is None else queues,
            self.executors,
            self.grace_seconds,
            async_executors=self.async_executors if async_executors is None else async_executors,
            async_slots=self.async_slots if async_slots is None else async_slots,
        )
