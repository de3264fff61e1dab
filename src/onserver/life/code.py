"""The code that a worker runs: which names it can run, and a digest that tells two versions apart."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from onserver.life.hook import described_sides
from onserver.planned import QueueSettings
from onserver.process.limits import rules_of
from onserver.process.procedure import Procedure
from onserver.process.rules import Limit
from onserver.process.schedule import Entry, schedules_of
from onserver.server import Server


@dataclass(frozen=True, kw_only=True)
class Code:
    """What a worker can run.

    Attributes:
        digest: 12 hex digits over the names and the project's task files.
        described: name to description (JSON) of its procedures, "=NAME" for an alias; "" for what is only runnable.
        schedules: what is started at its times.
        awaited: the names whose function is `async def`.
        limits: field to rule of every limit, as `set_limits` wants them; "" for a name that has none.
        files: 12 hex digits over the project's task files alone, which is what a program without workers can compare.
    """

    digest: str
    described: dict[str, str]
    schedules: tuple[Entry, ...] = ()
    awaited: frozenset[str] = frozenset()
    limits: Mapping[str, str] = field(default_factory=dict[str, str])
    files: str = ""

    @classmethod
    def of(
        cls,
        server: Server,
        tasks: Iterable[str] = (),
        entries: Iterable[Entry] = (),
        queues: Mapping[str, QueueSettings] | None = None,
    ) -> Code:
        """The code that this program has loaded.

        Args:
            server: the loaded project.
            tasks: names of Celery's own and other tasks that can be run besides.
            entries: what Celery's beat would start; what has the same name elsewhere takes its place.
            queues: the queues' settings as they are now, where they may have changed since the server was loaded.

        Raises:
            BadDeclaration: ONS-1009, a procedure has a schedule, and cannot be called without arguments.
            BadSetting: ONS-1007, a schedule of the settings cannot be kept.
        """
        described = dict.fromkeys(tasks, "")
        described.update(server.registry.described())
        digest = hashlib.sha256("\n".join(sorted(described)).encode())
        files = hashlib.sha256()
        for path in _files(server):
            files.update(path.read_bytes())
        digest.update(files.digest())
        planned = {entry.name: entry for entry in (*entries, *schedules_of(server, described))}
        limits = {name: _limit_of(server, name) for name in described}
        return cls(
            digest=digest.hexdigest()[:12],
            described=described | described_sides(server),
            schedules=tuple(planned.values()),
            awaited=frozenset(name for name in server.registry.names() if _is_awaited(server, name)),
            limits=rules_of(limits, server.settings.queue if queues is None else queues),
            files=files.hexdigest()[:12],
        )

    @property
    def facts(self) -> Mapping[str, str]:
        """What the record of a member says of it."""
        return {"code": self.digest, "files": self.files}

    @cached_property
    def plain(self) -> Code:
        """What executors can run that run one process at a time: all but coroutines."""
        if not self.awaited:
            return self
        described = {name: text for name, text in self.described.items() if name not in self.awaited}
        return Code(digest=f"{self.digest}-plain", described=described)

    @cached_property
    def coroutines(self) -> Code | None:
        """What async executors can run; None where there is nothing."""
        if not self.awaited:
            return None
        described = {name: text for name, text in self.described.items() if name in self.awaited}
        return Code(digest=f"{self.digest}-async", described=described)


def _is_awaited(server: Server, name: str) -> bool:
    found = server.registry.find(name)
    return found is not None and inspect.iscoroutinefunction(found.function)


def _limit_of(server: Server, name: str) -> tuple[Limit | None, str]:
    """Answer the limit of a name, and under which name it is counted."""
    found = server.registry.find(name)
    return (found.rules.limit, found.name) if isinstance(found, Procedure) else (None, name)


def _files(server: Server) -> list[Path]:
    if server.project is None:
        return []
    folders = [component.tasks for component in server.components()]
    return [path for folder in (*folders, server.project / "tasks") for path in sorted(folder.rglob("*.py"))]
