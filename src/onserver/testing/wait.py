"""Tests wait for what happened, never for time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.005
_LONGEST_LOOK_SECONDS = 0.1


def wait_for(fact: Callable[[], T | None], timeout: float = 30.0, what: str = "") -> T:
    """Return what `fact()` returns as soon as it is true.

    Args:
        fact: asked again and again, in the caller's thread. What it raises is raised here at once.
        timeout: seconds to go on asking.
        what: the fact in words, for the text of the error.

    Raises:
        AssertionError: it did not come true in time; the text has `what` and the last answer.

    Example:
        >>> wait_for(lambda: 42, what="an answer")
        42
    """
    deadline, pause = time.monotonic() + timeout, _LOOK_SECONDS
    while True:
        found = fact()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"waited {timeout:.1f} s in vain for {what or _name(fact)}; the last answer was {found!r}"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)


def _name(fact: Callable[[], object]) -> str:
    return f"{getattr(fact, '__qualname__', repr(fact))}()"
