"""Who has a lock, waits for one, or wrote an entry last: a run of a process, or a thread or task of a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from onserver.process.record import Record, read_records
from onserver.redis.resp import Word
from onserver.redis.store import Store

Kind = Literal["process", "thread", "task", "member", "nobody"]
#: So many are described in one trip.
_SOME: Final = 500


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Somebody who has something, or waits for it.

    Attributes:
        id: as Redis has it: `member.incarnation/number.delivery`, or `member.incarnation/tSERIAL` outside of runs.
        kind: a run of a process, a thread or a task of a program outside of runs, whatever runs in a member, or nobody
            who is known.
        process: its number; 0 outside of runs.
        name: of the process, or of its procedure; empty where its record has expired.
        session: id of the session that asked for the process, or empty.
        member: number of the member; 0 where it has none.
        node: name of the worker or program; empty where nobody knows it any more.
        alive: whether its holder lives: nobody waits for the dead.
    """

    id: str
    kind: Kind = "nobody"
    process: int = 0
    name: str = ""
    session: str = ""
    member: int = 0
    node: str = ""
    alive: bool = False

    @property
    def text(self) -> str:
        """Who it is, in few words of English: `#1042 nightly on web-2`."""
        place = self.node or (f"member {self.member}" if self.member else "")
        if self.kind == "process":
            return f"#{self.process} {self.name}".rstrip() + (f" on {place}" if place else "")
        if self.kind in ("thread", "task"):
            return f"a {self.kind} of {place}"
        return place or "nobody"

    def as_dict(self) -> dict[str, Any]:
        """Answer it ready for JSON."""
        return asdict(self)


NOBODY: Final = Owner(id="")


def owners(store: Store, names: Iterable[str]) -> Mapping[str, Owner]:
    """Describe owners, each once, in few trips.

    Args:
        store: the Redis of the server.
        names: as Redis has them; an empty one is nobody.
    """
    wanted = list(dict.fromkeys(name for name in names if name))
    found: dict[str, Owner] = {"": NOBODY}
    for start in range(0, len(wanted), _SOME):
        found |= _some(store, wanted[start : start + _SOME])
    return found


def _some(store: Store, names: Sequence[str]) -> Mapping[str, Owner]:
    commands: list[Sequence[Word]] = []
    for name in names:
        holder, member, _, _ = _parts(name)
        commands += [("HGET", store.key(f"member:{member}"), "node"), ("SISMEMBER", store.key("live"), holder)]
    answers = store.pipeline(commands)
    numbers = {number for name in names if (number := _parts(name)[2])}
    records = {record.number: record for record in read_records(store, sorted(numbers))}
    return {
        name: _owner(name, answers[2 * at], answers[2 * at + 1], records.get(_parts(name)[2]))
        for at, name in enumerate(names)
    }


def _owner(name: str, node: bytes | None, alive: int, record: Record | None) -> Owner:
    _, member, number, kind = _parts(name)
    return Owner(
        id=name, kind=kind, process=number, name=record.name or record.procedure if record else "",
        session=record.session if record else "", member=member,
        node=node.decode(errors="replace") if node else "", alive=bool(alive),
    )  # fmt: skip


def _parts(name: str) -> tuple[str, int, int, Kind]:
    """Return holder, member, number of the process, and kind."""
    holder, slash, part = name.partition("/")
    member, number = holder.partition(".")[0], part.partition(".")[0]
    whose = int(member) if member.isdecimal() else 0
    if number.isdecimal():
        return holder, whose, int(number), "process"
    if not slash:
        return holder, whose, 0, "member" if whose else "nobody"
    return holder, whose, 0, "task" if part.startswith("a") else "thread"
