"""Who started a process, and which it has started itself: the newest of these, as the server keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from onserver.process.record import Record, read_records
from onserver.redis.store import Store

#: How many that it has started are shown.
SHOWN: Final = 50


class Relative(NamedTuple):
    """A process that started another, or was started by it; name and state are empty once its record has expired."""

    number: int
    name: str = ""
    state: str = ""


@dataclass(frozen=True)
class Family:
    """See the top of this module.

    Attributes:
        parent: the process whose run has started this one; None where none has.
        children: those that it has started, the last first.
        more: how many it has started besides.
    """

    parent: Relative | None = None
    children: Sequence[Relative] = ()
    more: int = 0


def family_of(store: Store, record: Record, limit: int = SHOWN) -> Family:
    """Read the relatives of a process: two trips, and none for one that has none."""
    kept: list[bytes] = []
    if record.children:
        kept = store.command("LRANGE", store.key(f"kids:{record.number}"), -limit, -1)
    numbers = [int(number) for number in reversed(kept)]
    asked = numbers if record.parent is None else [record.parent, *numbers]
    found = {one.number: one for one in read_records(store, asked)}
    relatives = [_relative(number, found.get(number)) for number in asked]
    parent = None if record.parent is None else relatives[0]
    return Family(parent, relatives[len(relatives) - len(numbers) :], max(0, record.children - len(numbers)))


def _relative(number: int, record: Record | None) -> Relative:
    if record is None:
        return Relative(number)
    return Relative(number, record.name or record.procedure, record.state.value)
