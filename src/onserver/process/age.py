"""The age of what is put: Redis refuses a message whose signature names a time too far from its own.

Where a program has a wrong idea of Redis' clock, the refusal says by how much; then that is corrected and the message
is signed once more. What was known when the message was made is what counts: others that were made with it are refused
as well, and somebody else may have corrected it meanwhile.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from onserver.errors import BadSignature
from onserver.redis.answers import ScriptRefused
from onserver.redis.store import Store

T = TypeVar("T")


def by_redis_time(store: Store, procedure: str, put: Callable[[], T]) -> T:
    """Put what is signed with the time; the second time with what the refusal of the first has taught.

    Args:
        store: whose clock it goes by.
        procedure: its name, for the error; empty where there are several.
        put: signs, sends and answers; it is called twice at most.

    Raises:
        BadSignature: ONS-4106, it was refused once more.
        ScriptRefused: any other refusal.
    """
    ahead = store.clock_ahead
    try:
        return put()
    except ScriptRefused as refused:
        heed(store, refused, ahead)
    with too_late(procedure):
        return put()


def heed(store: Store, refused: ScriptRefused, ahead: float) -> None:
    """Correct what is known of Redis' clock by what it says of a message's age; any other refusal is raised.

    Args:
        store: whose clock it is.
        refused: what Redis said.
        ahead: `Store.clock_ahead` as it was before the message was made.
    """
    age = _age_ms(refused)
    if age is None:
        raise refused
    store.correct_clock(age, ahead)


@contextmanager
def too_late(procedure: str) -> Iterator[None]:
    """In the block a message is sent once more, whose age was just corrected.

    Raises:
        BadSignature: ONS-4106, it is refused for its age all the same.
    """
    try:
        yield
    except ScriptRefused as refused:
        age = _age_ms(refused)
        if age is None:
            raise
        raise BadSignature(
            procedure, f"it reached Redis {age / 1000:.1f} s from the time at which it was signed"
        ) from refused


def _age_ms(refused: ScriptRefused) -> int | None:
    """By how much the message was too old, from `ONS 4106 age N ms`."""
    words = refused.rest.split()
    return int(words[2]) if refused.word == "ONS" and words[:2] == ["4106", "age"] else None
