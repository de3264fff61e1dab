"""Dead letters, and what else has ended badly: kept with their last error, to be looked at and replayed."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from onserver.process.record import Record, State, read_records
from onserver.redis.store import Store
from onserver.values import decode

_PAGE: Final = 200
#: What may be replayed, or dropped.
LETTERS: Final = frozenset({State.DEAD, State.FAILED, State.LOST})


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A process that ended badly.

    Attributes:
        record: its record.
        facts: of its error: `type`, `message`, `traceback` of what it raised, or `deliveries` and `worker` of a death.
    """

    record: Record
    facts: Mapping[str, Any] = field(repr=False)

    @property
    def error(self) -> str:
        """Name of the class that it raised, or of the error that tells of the death of its worker."""
        return str(self.facts.get("type") or "")

    @property
    def message(self) -> str:
        """The text of its error; of a death what has happened."""
        if self.raised:
            return str(self.facts.get("message") or "")
        times = self.record.deliveries
        died = f"its worker died {times} times while it ran" if times > 1 else "its worker died while it ran"
        return str(self.facts.get("reason") or died)

    @property
    def traceback(self) -> str:
        """The traceback of what it raised, or empty."""
        return str(self.facts.get("traceback") or "")

    @property
    def raised(self) -> bool:
        """Whether it raised something; else its worker died."""
        return "traceback" in self.facts


def dead_letters(store: Store, *, failed: bool = False) -> Iterator[Letter]:
    """Yield what is dead, the last first; then what has failed, or was lost with its worker.

    Args:
        store: of the server.
        failed: those as well.
    """
    for kind in ("dead", "failed") if failed else ("dead",):
        seen: set[int] = set()
        for start in itertools.count(0, _PAGE):
            page: list[bytes] = store.command("ZREVRANGE", store.key(kind), start, start + _PAGE - 1)
            fresh = [number for number in map(int, page) if number not in seen]  # they move up while others are dropped
            seen.update(fresh)
            yield from read_letters(store, fresh)
            if len(page) < _PAGE:
                break


def read_letters(store: Store, numbers: Sequence[int]) -> list[Letter]:
    """Read those of these processes that are dead, have failed or were lost."""
    records = [record for record in read_records(store, numbers) if record.state in LETTERS]
    if not records:
        return []
    errors = store.pipeline([("HGET", store.key(f"p:{record.number}"), "e") for record in records])
    return [
        Letter(record=record, facts=decode(error) if error else {})
        for record, error in zip(records, errors, strict=True)
    ]
