"""What a file in `workers/` declares: which queues a worker listens on, and with how many executors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from onserver.errors import ConfigError


class Worker:
    """One worker of the project, started by `onserver worker FILE`.

    Args:
        queues: names of the queues it takes work from, the first one first. Default: `default`.
        executors: how many processes it runs at once, 0 or more; None: the setting `worker.executors`.
        grace_seconds: how long a stop waits for what runs; None: the setting `worker.grace_seconds`.

    Raises:
        ConfigError: a queue without a name, or with white space in it; fewer than 0 executors.

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
                raise ConfigError(f"{queue!r} cannot be the name of a queue: one word without `:`, `{{` and `}}`.")
        if not queues:
            raise ConfigError("A worker needs at least one queue to listen on: Worker(queues=['default']).")
        if executors is not None and executors < 0:
            raise ConfigError(f"A worker cannot have {executors} executors: give 0 or more.")
        self.queues = tuple(dict.fromkeys(queues))
        self.executors = executors
        self.grace_seconds = grace_seconds
