"""The clock of Redis' scripts, which tests move."""

from onserver.redis.store import Store


def advance(store: Store, seconds: float) -> None:
    """Move the clock that every script of this server reads, back where `seconds` is negative.

    It is moved once, even where Redis has to be told twice.
    """
    key = store.key("clock")
    store.command("SET", key, int(store.command("GET", key) or 0) + int(seconds * 1000))
