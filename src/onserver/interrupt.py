"""Interruptions that never land inside our own calls.

The supervisor interrupts what an executor runs by a signal. Its handler calls `interrupt`, which raises in the running
code; but while the main thread is inside `shielded()` (a command that is being exchanged with Redis, a commit) the
interruption is kept and raised when the outermost shield is left. Python runs signal handlers in the main thread only,
so a shield in any other thread costs its owner nothing and delays nobody.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final

#: Why a run is interrupted that has reached its time limit.
TIME_IS_UP: Final = "its time is up"


class Interrupted(BaseException):
    """The supervisor, or Redis' silence, ends what runs here.

    Not an `Exception`, so that no body swallows it by habit.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _State(threading.local):
    depth = 0
    pending: Interrupted | None = None


_state = _State()


class shielded:  # noqa: N801  # used as a `with` statement's word
    """Keep an interruption until the block is left.

    Example:
        >>> with shielded():
        ...     interrupt(Interrupted("later"))
        ...     print("undisturbed")
        Traceback (most recent call last):
        onserver.interrupt.Interrupted: later
    """

    __slots__ = ()

    def __enter__(self) -> None:
        _state.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state = _state
        state.depth -= 1
        if state.depth == 0 and state.pending is not None:
            pending, state.pending = state.pending, None
            raise pending


class postponed(shielded):  # noqa: N801  # as `shielded`
    """The same in what an event loop calls, where it would only be logged: the next shield raises it."""

    __slots__ = ()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _state.depth -= 1


def is_shielded() -> bool:
    """Whether this thread is inside a shield."""
    return _state.depth > 0


def interrupt(reason: Interrupted) -> None:
    """Raise in the running code, or on leaving the shield that it is in. Called by signal handlers."""
    if _state.depth:
        _state.pending = reason
    else:
        raise reason


def forget() -> None:
    """Drop an interruption that is still kept: what it was meant for has ended."""
    _state.pending = None
