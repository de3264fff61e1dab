"""A process as its record has it: what `ps`, handles and the admin page read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, Literal, TypeAlias

from onserver.process.attempts import Attempt, read_attempts
from onserver.process.caller import Caller
from onserver.process.progress import Progress
from onserver.process.side import PREFIX
from onserver.process.signing import Signer
from onserver.redis.resp import Word
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


class Code(IntEnum):
    """The original's codes of what a process is doing (specification 5.5)."""

    ABORTED = -1
    EXECUTING = 0
    DELAYED = 1
    WAITING_FOR_USER_EVENT = 2
    WAITING_FOR_INPUT_OUTPUT = 3
    WAITING_FOR_INTERNAL_FLAG = 4
    PAUSED = 5


_CODES_4D: Final = {
    State.DELAYED: Code.DELAYED.value,
    State.RUNNING: Code.EXECUTING.value,
    State.WAITING: Code.WAITING_FOR_INTERNAL_FLAG.value,
    State.PAUSED: Code.PAUSED.value,
    State.ABORTED: Code.ABORTED.value,
}
#: What a process waits for, as its record says it, where that is no lock, signal, semaphore or other process.
_WAITS_4D: Final = {"sleep": Code.DELAYED.value, "calls": Code.WAITING_FOR_USER_EVENT.value}
_ENDED: Final = frozenset({State.DONE, State.FAILED, State.ABORTED, State.LOST, State.DEAD})
#: States of the records that end a wait, as the scripts answer them.
ENDED_BYTES: Final = frozenset(state.value.encode() for state in _ENDED)

_FIELDS: Final = (
    "s", "t", "n", "q", "d", "a", "g", "f", "o", "l", "x", "k", "hk", "why", "lv", "pz", "pb", "sk", "st", "lk",
    "rb", "ra", "rc", "sb", "sa", "h", "v", "pa", "hc",
)  # fmt: skip
#: The letter in the flags of what runs in the session of who asked: see `in_session`.
_IN_SESSION: Final = "S"
#: Fields that are no text.
_RAW: Final = ("pr", "ta", "c")

Kind: TypeAlias = Literal["procedure", "task", "hook", "side"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the record of one process says. Times are milliseconds since 1970 by the clock of Redis, 0 for not yet."""

    number: int
    state: State
    #: Of a procedure, of a task that came with a message of Celery's, or of a hook.
    kind: Kind
    procedure: str
    #: The name that it was started under, or empty.
    name: str
    queue: str
    #: Who asked for it, for people: a schedule, a user of a session, or the login of a program. It is not verified.
    caller: str
    #: Deliveries that were begun and ended with their worker.
    deliveries: int
    accepted_ms: int
    claimed_ms: int
    ended_ms: int
    #: Who holds it, or held it last, "member.incarnation".
    holder: str
    #: The hook's process from which it descends, or None.
    root: int | None
    #: The run that started it, or None where none did; it is not verified. And how many it has started itself.
    parent: int | None
    children: int
    key: str
    #: "EPOCH NAME" of a hook, or empty.
    hook: str
    #: What it waits for, or how it is paused, in words.
    why: str
    #: How far an abort has come: `asked`, `interrupted`, `killed`, or empty.
    level: str
    #: Whether a pause is asked of it, or in force; and who asked for that.
    pausing: bool
    paused_by: str
    #: The schedule for which it was started, or empty.
    schedule: str
    #: The time of that schedule for which it is; 0 for none, or where somebody started it by hand.
    scheduled_ms: int
    #: Which of the limits with keys counts it, or empty.
    limit_key: str
    #: Who asked last that it runs again after it had ended, or empty; when; and how often that was done.
    replayed_by: str
    replayed_ms: int
    replays: int
    #: Id of the session that asked for it, or empty; not verified either. And whether it runs in that session.
    session: str
    in_session: bool
    #: Who signed it again last, with another key, or empty; and when.
    signed_by: str
    signed_ms: int
    #: How far it is, as it said last; None when it said nothing.
    progress: Progress | None = None
    #: The runs that raised and were followed by another, the last 20 of them.
    attempts: tuple[Attempt, ...] = ()

    @property
    def code_4d(self) -> int | None:
        """The original's code (specification 5.5), which tells what it waits for as well; see `State.code_4d`."""
        if self.state == State.WAITING:
            return _WAITS_4D.get(self.why, self.state.code_4d)
        return self.state.code_4d


def read_record(store: Store, number: int, deadline: float | None = None) -> Record | None:
    """Read a record within so many seconds; None for a number that is unknown, or whose record has expired."""
    return read_answer(number, store.command(*reading(store, number), deadline=deadline))


def read_records(store: Store, numbers: Sequence[int]) -> list[Record]:
    """Read several records in one trip; those that are unknown, or have expired, are left out."""
    if not numbers:
        return []
    found = store.pipeline([reading(store, number) for number in numbers])
    records = (read_answer(number, answer) for number, answer in zip(numbers, found, strict=True))
    return [record for record in records if record is not None]


def reading(store: Store, number: int) -> Sequence[Word]:
    """Answer the command that reads a record, for who reads other things in the same trip."""
    return ("HMGET", store.key(f"p:{number}"), *_FIELDS, *_RAW)


def read_answer(number: int, answer: Sequence[Any]) -> Record | None:
    """Make a record of what Redis answers to `reading`; None for a number that is unknown."""
    texts = (value.decode(errors="replace") if value else "" for value in answer[: len(_FIELDS)])
    fields: dict[str, str] = dict(zip(_FIELDS, texts, strict=True))
    if not fields["t"]:
        return None
    progress, attempts, envelope = answer[len(_FIELDS) :]
    who = Signer.shown(envelope or b"")
    return Record(
        number=number,
        state=State(fields["s"]),
        kind=_kind(fields),
        procedure=fields["t"],
        name=fields["n"],
        queue=fields["q"],
        caller="schedule" if fields["st"] else _in_words(who),
        deliveries=int(fields["d"] or 0),
        accepted_ms=int(fields["a"] or 0),
        claimed_ms=int(fields["g"] or 0),
        ended_ms=int(fields["f"] or 0),
        holder=fields["o"] or fields["l"],
        root=int(fields["x"]) if fields["x"] else None,
        parent=int(fields["pa"]) if fields["pa"] else None,
        children=int(fields["hc"] or 0),
        key=fields["k"],
        hook=fields["hk"],
        why=fields["why"],
        level=fields["lv"],
        pausing=bool(fields["pz"]),
        paused_by=fields["pb"],
        schedule=fields["sk"],
        scheduled_ms=int(fields["st"] or 0),
        limit_key=fields["lk"],
        replayed_by=fields["rb"],
        replayed_ms=int(fields["ra"] or 0),
        replays=int(fields["rc"] or 0),
        session=who.session if who else "",
        in_session=_IN_SESSION in fields["v"],
        signed_by=fields["sb"],
        signed_ms=int(fields["sa"] or 0),
        progress=Progress.read(progress),
        attempts=read_attempts(attempts),
    )


def _kind(fields: Mapping[str, str]) -> Kind:
    if fields["hk"]:
        return "hook"
    return "side" if fields["q"].startswith(PREFIX) else "task" if fields["h"] else "procedure"


def _in_words(caller: Caller | None) -> str:
    if caller is None:
        return ""
    return caller.os_user or caller.user if caller.is_server else f"{caller.user} ({caller.kind})"
