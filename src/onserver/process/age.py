"""The age of what is put: Redis refuses a message whose signature names a time too far from its own.

Mostly this program has a wrong idea of Redis' clock then, or was stopped between signing and sending. The age alone
does not tell one from the other: Redis is asked for the time, and the message is signed once more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from onserver.errors import BadSignature
from onserver.redis.answers import ScriptRefused
from onserver.redis.store import Store

T = TypeVar("T")


def by_redis_time(store: Store, procedure: str, put: Callable[[], T]) -> T:
    """Put what is signed with the time, and once more by the clock of Redis where it was refused for its age.

    Args:
        store: whose clock it goes by.
        procedure: its name, for the error; empty where there are several.
        put: signs, sends and answers; it is called twice at most.

    Raises:
        BadSignature: ONS-4106, it was refused once more.
        ScriptRefused: any other refusal.
    """
    try:
        return put()
    except ScriptRefused as refused:
        heed(store, refused)
    with too_late(procedure):
        return put()


def heed(store: Store, refused: ScriptRefused) -> None:
    """Ask Redis for the time when a message was refused for its age; any other refusal is raised.

    Raises:
        ScriptRefused: it was refused for something else.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.
    """
    if _age_ms(refused) is None:
        raise refused
    store.ask_clock()


@contextmanager
def too_late(procedure: str) -> Iterator[None]:
    """In the block a message is sent once more, which was refused for its age before.

    Raises:
        BadSignature: ONS-4106, it is refused for its age all the same.
    """
    try:
        yield
    except ScriptRefused as refused:
        age = _age_ms(refused)
        if age is None:
            raise
        problem = f"it reached Redis {age / 1000:.1f} s from the time at which it was signed"
        raise BadSignature(procedure, problem) from refused


def _age_ms(refused: ScriptRefused) -> int | None:
    """By how much the message was too old, from `ONS 4106 age N ms`."""
    words = refused.rest.split()
    return int(words[2]) if refused.word == "ONS" and words[:2] == ["4106", "age"] else None
