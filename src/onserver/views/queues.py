"""Where processes wait: how many in each queue, for how long, for whom, and what holds them up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from onserver.process.gates import Gate, paused_on
from onserver.process.side import PREFIX
from onserver.server import Server

#: First letter of the queues of an application that keeps its broker.
_OF_BROKER: Final = "@"


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One queue.

    Attributes:
        name: of it; `!once` and `!7` are those of side runs, `@NAME` that of an application that keeps its broker.
        waiting: how many processes wait in it.
        since_ms: since when the first of them waits, milliseconds since 1970; 0 where none does.
        executors: how many take work from it.
        gates: the pauses that hold all that waits in it, that of everything first.
    """

    name: str
    waiting: int
    since_ms: int
    executors: int
    gates: tuple[Gate, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it is one in which projects put processes, and that can be paused and emptied."""
        return not self.name.startswith((PREFIX, _OF_BROKER))

    @property
    def own_gate(self) -> Gate | None:
        """The pause of this queue alone."""
        return next((gate for gate in self.gates if gate.kind == "queue"), None)

    @property
    def unserved(self) -> bool:
        """Whether something waits that nobody would take."""
        return bool(self.waiting and not self.executors and self.plain)

    def as_dict(self) -> dict[str, Any]:
        """The facts, ready for JSON."""
        return {**vars(self), "gates": [gate._asdict() for gate in self.gates]}


def queues(
    server: Server, names: Iterable[str] = (), *, word: str = "", after: str = "", limit: int = 200
) -> list[Queue]:
    """Look at the queues in which something waits, that are paused, that the settings name; and at these, by name.

    Args:
        server: which.
        names: of queues that workers listen on.
        word: only those that have it in their name.
        after: only those whose name comes later.
        limit: how many at most.
    """
    store, gates = server.store, paused_on(server.store)
    found = {name.decode() for name in store.command("SMEMBERS", store.key("queues"))}
    found.update(names, server.settings.queue, (gate.name for gate in gates if gate.kind == "queue"))
    wanted = word.casefold()
    chosen = [name for name in sorted(found) if wanted in name.casefold() and name > after][:limit]
    if not chosen:
        return []
    oldest = [int(ms) for ms in store.run("oldest", *chosen)]
    takers = store.pipeline([("SCARD", store.key(f"serve:{name}")) for name in chosen])
    return [
        Queue(
            name=name, waiting=int(store.run("depth", name)), since_ms=since, executors=int(takes),
            gates=tuple(gate for gate in gates if _holds(gate, name)),
        )
        for name, since, takes in zip(chosen, oldest, takers, strict=True)
    ]  # fmt: skip


def _holds(gate: Gate, queue: str) -> bool:
    if queue.startswith(PREFIX):
        return False
    return gate.kind == "all" or (gate.kind == "queue" and gate.name == queue.removeprefix(_OF_BROKER))
