"""What a file in `workers/` declares: which queues a worker listens on, and with how many executors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from onserver.errors import BadDeclaration


class Worker:
    """One worker of the project, started by `onserver worker FILE`.

    Args:
        queues: names of the queues it takes work from, the first one first. Default: `default`.
        executors: how many processes it runs at once, 0 or more; None: the setting `worker.executors`.
        grace_seconds: how long a stop waits for what runs; None: the setting `worker.grace_seconds`.

    Raises:
        BadDeclaration: a queue without a name, or with white space in it; fewer than 0 executors.

    Example:
        >>> worker = Worker(queues=["default", "reports"], executors=4)
        >>> worker.queues
        ('default', 'reports')
    """

    def __init__(
        self, queues: Sequence[str] = ("default",), executors: int | None = None, grace_seconds: float | None = None
    ) -> None:
        if isinstance(queues, str):
            queues = (queues,)
        for queue in queues:
            if not re.fullmatch(r"[^\s:{}]+", queue):
                problem = f"has a queue named {queue!r}"
                raise BadDeclaration("Worker", problem, "The name of a queue is one word without `:`, `{` and `}`.")
        if not queues:
            raise BadDeclaration("Worker", "has no queue to listen on", "Worker(queues=['default'])")
        if executors is not None and executors < 0:
            raise BadDeclaration("Worker", f"has {executors} executors", "Give 0 or more.")
        self.queues = tuple(dict.fromkeys(queues))
        self.executors = executors
        self.grace_seconds = grace_seconds
