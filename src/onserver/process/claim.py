"""One process as a holder gets it: claimed or handed over, in the order in which the scripts answer.

A *lean* claim was put by `execute_on_server`: its body is `values.encode([arguments, keyword arguments])` and it has no
headers. Everything else came through Celery and is run by Celery's tracer.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from onserver.process.side import IN_EXECUTORS, PREFIX
from onserver.redis.store import Store

#: What is said of a process that ended: number, kind (`end`, `retry`, …), state, payload, extra. See `lua/step.lua`.
Settlement: TypeAlias = tuple[int, str, str, bytes, str]

_REPLAYED: Final = re.compile(r"Y\d+")
#: How many texts one claim is in the answers of the scripts.
WIDTH = 19
_ABSENT: Final = (b"",) * WIDTH


class Claim(NamedTuple):
    """What a holder needs to run one process; absent fields are empty."""

    number: int
    #: Full name of the procedure or task.
    procedure: str
    body: bytes
    #: JSON of the message headers that differ from the defaults; empty: lean.
    headers: bytes
    #: Task id given by Celery; empty: it follows from the number.
    task_id: str
    #: Signed envelope of the caller.
    caller: bytes
    #: Deliveries begun before this one.
    deliveries: int
    #: The hook's process from which this one descends, or None.
    root: int | None
    #: Name that the process was started under, or empty.
    name: str
    #: One letter each: R not rerun, F finish when cut, B batch, D redact, L dead-lettered when retries are used up,
    #: P paused at a checkpoint only, E has begun before or may begin at any time, S runs in its caller's session, Y and
    #: a number: replayed so often, M and a number: which call of a mailbox it is; and t with the traceparent behind it.
    flags: str
    queue: str
    score: str
    #: When it was accepted, milliseconds since 1970 by Redis' clock.
    accepted_ms: int
    #: "EPOCH NAME" for a hook, or empty.
    hook: str
    #: Time limit in milliseconds, or 0.
    timeout_ms: int
    #: "CLIENT TOKEN" of who waits, or empty.
    inbox: str
    #: Milliseconds between the interruption at the time limit and the kill, or 0.
    grace_ms: int
    #: How many attempts have failed and are retried by this one.
    attempts: int
    #: Which limit counts it, or empty.
    limit: str

    @property
    def lean(self) -> bool:
        """Whether it was put by `execute_on_server` and not by Celery."""
        return not self.headers

    @property
    def side(self) -> bool:
        """Whether it is a side run, or else of the framework or of a hook, and no procedure of the project."""
        return self.queue.startswith(PREFIX) or self.procedure in IN_EXECUTORS

    @property
    def begun(self) -> bool:
        """Whether it may begin at any time, since it has begun before, or was asked for again."""
        return self.deliveries > 0 or self.attempts > 0 or "E" in self.flags

    @property
    def call(self) -> str:
        """Which call of its mailbox this is, "#7" for the seventh; empty for a process that was put for itself."""
        _, mark, number = self.flags.partition("M")
        return f"#{number}" if mark else ""

    @property
    def mark(self) -> str:
        """What tells this run from others under its number: `call`, or, replayed for the second time, "Y2"."""
        replayed = _REPLAYED.search(self.flags)
        return self.call or (replayed[0] if replayed else "")

    @classmethod
    def read(cls, texts: Sequence[bytes]) -> "Claim":
        """Read the `WIDTH` texts of one message, of which those that are empty may be missing at the end."""
        if len(texts) < WIDTH:
            texts = (*texts, *_ABSENT[len(texts) :])
        number, t, b, c, q, z, a, v, n, i, d, x, u, h, hk, to, tg, tr, lk = texts
        return cls(
            int(number), t.decode(), b, h, u.decode(), c, int(d or 0), int(x) if x else None, n.decode(),
            v.decode(), q.decode(), z.decode(), int(a or 0), hk.decode(), int(to or 0), i.decode(), int(tg or 0),
            int(tr or 0), lk.decode(),
        )  # fmt: skip


_FIELDS = ("t", "b", "c", "q", "z", "a", "v", "n", "i", "d", "x", "u", "h", "hk", "to", "tg", "tr", "lk")


def read_claim(store: Store, number: int) -> Claim | None:
    """Read what a holder got when it claimed this process; None where it is unknown."""
    found: list[bytes | None] = store.command("HMGET", store.key(f"p:{number}"), *_FIELDS)
    return Claim.read([b"%d" % number, *(text or b"" for text in found)]) if found[0] else None
