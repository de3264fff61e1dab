"""Attempts: runs of a process that raised and are followed by another, under the same number.

How often a process is tried is decided where it has run, by the `Retry` of its procedure and the attempts that its
claim counts; what was tried is kept in its record, by the script that lets it wait for the next attempt. A run that
ended with its worker is a delivery and no attempt.
"""

from dataclasses import dataclass
from typing import Any

from onserver.process.failure import summary_of
from onserver.process.rules import Retry
from onserver.values import decode

#: What stands for the milliseconds until the next attempt where Celery has said when it is, by sending it.
_SAID_BEFORE = "-"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One run that raised and was followed by another.

    Attributes:
        number: which attempt it was, from 1 on.
        type: name of the class that it raised.
        error: the text of that.
        at_ms: when it ended, milliseconds since 1970 by the clock of Redis.
        delay_seconds: after which the next one was due.
        holder: who ran it, "member.incarnation".
    """

    number: int
    type: str
    error: str
    at_ms: int
    delay_seconds: float
    holder: str


def read_attempts(kept: bytes | None) -> tuple[Attempt, ...]:
    """Read the attempts that a record keeps: the last 20."""
    attempts: list[dict[str, Any]] = decode(kept) if kept else []
    return tuple(
        Attempt(
            number=int(facts["n"]),
            type=str(facts["type"]),
            error=str(facts["error"]),
            at_ms=int(facts["at_ms"]),
            delay_seconds=float(facts["delay_ms"]) / 1000,
            holder=str(facts["holder"]),
        )
        for facts in attempts
    )


def say_attempt(number: int, error: BaseException | None, delay_seconds: float | None) -> str:
    """Put into words, for the script `step`, that an attempt has failed and another one follows.

    Args:
        number: which attempt it was, from 1 on.
        error: what it raised; None where it asked for another one without an error.
        delay_seconds: until the next; None where its message was sent already, by Celery.
    """
    kind, text = ("Retry", "") if error is None else summary_of(error)
    due = _SAID_BEFORE if delay_seconds is None else str(int(delay_seconds * 1000))
    return f"{number} {due} {kind} {text}"


def next_attempt(retry: Retry | None, failed_before: int, error: BaseException) -> str:
    """Answer what is said of an attempt that raised: as `say_attempt` puts it, or "" where none follows.

    Args:
        retry: the policy of its procedure.
        failed_before: how many attempts failed before this one.
        error: what it raised.
    """
    delay = None if retry is None else retry.delay_after(error, failed_before + 1)
    return "" if delay is None else say_attempt(failed_before + 1, error, delay)
