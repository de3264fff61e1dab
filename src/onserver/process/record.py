"""A process as its record has it: what `ps`, handles and the admin page read."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from onserver.process.attempts import Attempt, read_attempts
from onserver.process.progress import Progress
from onserver.redis.store import Store


class State(StrEnum):
    """What a process is doing, or how it ended."""

    #: Waits in its queue.
    QUEUED = "queued"
    #: Waits for its time.
    DELAYED = "delayed"
    RUNNING = "running"
    #: Runs, and waits for a lock or for another process.
    WAITING = "waiting"
    PAUSED = "paused"
    #: Returned; its result is kept.
    DONE = "done"
    #: Raised; its error is kept.
    FAILED = "failed"
    ABORTED = "aborted"
    #: Its worker died, and it may not be run again (`rerun=False`).
    LOST = "lost"
    #: Dead-lettered: its workers died too often, or it raised with `dead_letter=True`. Kept, to be replayed.
    DEAD = "dead"

    @property
    def ended(self) -> bool:
        """Whether it will not run any more by itself."""
        return self in _ENDED

    @property
    def code_4d(self) -> int | None:
        """The code of the original's `Process info` and `Process state` (specification 5.5); None where it has none.

        A process that has ended well or badly does not exist there any more, and one that waits in a queue not yet.

        Example:
            >>> State.PAUSED.code_4d
            5
        """
        return _CODES_4D.get(self)


_CODES_4D: Final = {State.RUNNING: 0, State.DELAYED: 1, State.WAITING: 4, State.PAUSED: 5, State.ABORTED: -1}
_ENDED: Final = frozenset({State.DONE, State.FAILED, State.ABORTED, State.LOST, State.DEAD})
#: States of the records that end a wait, as the scripts answer them.
ENDED_BYTES: Final = frozenset(state.value.encode() for state in _ENDED)

_FIELDS: Final = (
    "s", "t", "n", "q", "d", "a", "g", "f", "o", "l", "x", "k", "hk", "why", "lv", "pb", "sk", "st", "rb", "ra", "rc",
)  # fmt: skip
#: Fields that are no text.
_RAW: Final = ("pr", "ta")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the record of one process says. Times are milliseconds since 1970 by the clock of Redis, 0 for not yet."""

    number: int
    state: State
    procedure: str
    name: str
    queue: str
    #: Deliveries that were begun and ended with their worker.
    deliveries: int
    accepted_ms: int
    claimed_ms: int
    ended_ms: int
    #: Who holds it, or held it last, "member.incarnation".
    holder: str
    #: The hook's process from which it descends, or None.
    root: int | None
    key: str
    #: "EPOCH NAME" of a hook, or empty.
    hook: str
    #: What it waits for, or how it is paused, in words.
    why: str
    #: How far an abort has come: `asked`, `interrupted`, `killed`, or empty.
    level: str
    #: Who asked for its pause, or empty.
    paused_by: str
    #: The schedule for which it was started, or empty.
    schedule: str
    #: The time of that schedule for which it is; 0 for none, or where somebody started it by hand.
    scheduled_ms: int
    #: Who asked last that it runs again after it had ended, or empty; when; and how often that was done.
    replayed_by: str
    replayed_ms: int
    replays: int
    #: How far it is, as it said last; None when it said nothing.
    progress: Progress | None = None
    #: The runs that raised and were followed by another, the last 20 of them.
    attempts: tuple[Attempt, ...] = ()


def read_record(store: Store, number: int) -> Record | None:
    """Read a record; None for a number that is unknown, or whose record has expired."""
    return _read(number, store.command("HMGET", store.key(f"p:{number}"), *_FIELDS, *_RAW))


def read_records(store: Store, numbers: Sequence[int]) -> list[Record]:
    """Read several records in one trip; those that are unknown, or have expired, are left out."""
    if not numbers:
        return []
    found = store.pipeline([("HMGET", store.key(f"p:{number}"), *_FIELDS, *_RAW) for number in numbers])
    records = (_read(number, answer) for number, answer in zip(numbers, found, strict=True))
    return [record for record in records if record is not None]


def _read(number: int, answer: Sequence[bytes | None]) -> Record | None:
    texts = (value.decode() if value else "" for value in answer[: len(_FIELDS)])
    fields = dict(zip(_FIELDS, texts, strict=True))
    if not fields["t"]:
        return None
    progress, attempts = answer[len(_FIELDS) :]
    return Record(
        number=number,
        state=State(fields["s"]),
        procedure=fields["t"],
        name=fields["n"],
        queue=fields["q"],
        deliveries=int(fields["d"] or 0),
        accepted_ms=int(fields["a"] or 0),
        claimed_ms=int(fields["g"] or 0),
        ended_ms=int(fields["f"] or 0),
        holder=fields["o"] or fields["l"],
        root=int(fields["x"]) if fields["x"] else None,
        key=fields["k"],
        hook=fields["hk"],
        why=fields["why"],
        level=fields["lv"],
        paused_by=fields["pb"],
        schedule=fields["sk"],
        scheduled_ms=int(fields["st"] or 0),
        replayed_by=fields["rb"],
        replayed_ms=int(fields["ra"] or 0),
        replays=int(fields["rc"] or 0),
        progress=Progress.read(progress),
        attempts=read_attempts(attempts),
    )
