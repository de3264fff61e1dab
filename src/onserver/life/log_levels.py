"""Other log levels for a while: what somebody wants to know who looks for a fault, and nobody wants for ever.

They are kept in Redis, so that a worker that starts meanwhile has them too, and each has an end. A worker that is told
sets them in itself and has its executors forked anew, which begin with what it has: what runs goes on as it began. When
the time is over it puts back what was before. Handlers are the project's; where it has set up none, records of these
levels are written to the standard error, and so into the log of the process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct, json

from onserver.process.log import LEVELS
from onserver.redis.store import Store

#: What the order is called.
ORDER: Final = "levels"
#: A level lasts so long at most.
LONGEST_SECONDS: Final = 86_400
#: Loggers that may have one at a time.
MOST: Final = 50
_KEY: Final = "levels"


class LogLevel(Struct, frozen=True, kw_only=True):
    """A level that a logger has for a while.

    Attributes:
        logger: its name; empty for the root, and so for all that have none of their own.
        level: one of `onserver.process.log.LEVELS`.
        until_ms: when it ends, milliseconds since 1970 by the clock of Redis.
        by: who asked for it.
    """

    logger: str
    level: str
    until_ms: int
    by: str


def ordered(store: Store) -> Sequence[LogLevel]:
    """Return the levels that hold, by the names of their loggers."""
    found = [json.decode(value, type=LogLevel) for value in store.command("HVALS", store.key(_KEY))]
    return sorted((one for one in found if one.until_ms > store.now_ms()), key=lambda one: one.logger)


def order(store: Store, logger: str, level: str, seconds: float, by: str) -> int:
    """Have all workers log from a level on, for a while; answer how many were told.

    Args:
        store: of the server.
        logger: name of the logger; empty for the root.
        level: one of `onserver.process.log.LEVELS`.
        seconds: how long, a day at most.
        by: who asks for it.

    Raises:
        ValueError: there are as many already as there may be, or the level is none.
    """
    held = ordered(store)
    if level not in LEVELS:
        raise ValueError(f"`{level}` is no level: {', '.join(LEVELS)}")
    if len(held) >= MOST and logger not in {one.logger for one in held}:
        raise ValueError(f"{MOST} loggers have a level of their own already")
    until_ms = store.now_ms() + int(min(seconds, LONGEST_SECONDS) * 1000)
    one = LogLevel(logger=logger, level=level, until_ms=until_ms, by=by)
    last = max((until_ms, *(other.until_ms for other in held)))
    store.pipeline([("HSET", store.key(_KEY), logger, json.encode(one)), ("PEXPIREAT", store.key(_KEY), last)])
    return _tell(store)


def reset(store: Store, logger: str) -> int | None:
    """Let a logger have the level again that it had; answer how many workers were told, None where it has no other."""
    return _tell(store) if store.command("HDEL", store.key(_KEY), logger) else None


def _tell(store: Store) -> int:
    """Tell all workers that have executors of their own: those of Celery's pools are not ours to fork."""
    workers = [number.decode() for number in store.command("SMEMBERS", store.key("workers"))]
    asked = [("HEXISTS", store.key(f"member:{number}"), "pool") for number in workers]
    pools = store.pipeline(asked) if asked else []
    told = [number for number, pool in zip(workers, pools, strict=True) if not pool]
    if told:
        store.pipeline([("RPUSH", store.key(f"orders:{number}"), ORDER) for number in told])
    return len(told)


class LogLevels:
    """The levels that this program has for a while.

    Args:
        store: of the server, with deadlines that a beat can afford.
        say: told what changes.
    """

    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self._store, self._say = store, say
        self._now: Mapping[str, LogLevel] = {}
        self._before: dict[str, int] = {}

    def take(self) -> bool:
        """Read what was ordered, and have it. Returns whether anything is another than before.

        Raises:
            BrokerUnavailable: ONS-1201, nothing has changed.
        """
        return self._have({one.logger: one for one in ordered(self._store)})

    def turn(self) -> bool:
        """Put back what is over. Returns whether anything was."""
        now = self._store.now_ms() if self._now else 0
        return self._have({name: one for name, one in self._now.items() if one.until_ms > now})

    @property
    def due_seconds(self) -> float | None:
        """Seconds until the first one is over; None where there is none."""
        ends = [one.until_ms for one in self._now.values()]
        return max(0.0, (min(ends) - self._store.now_ms()) / 1000) if ends else None

    def _have(self, wanted: Mapping[str, LogLevel]) -> bool:
        changed = {name: one.level for name, one in wanted.items()} != {
            name: one.level for name, one in self._now.items()
        }
        for name in self._now.keys() - wanted.keys():
            before = self._before.pop(name)
            logging.getLogger(name or None).setLevel(before)
            self._say(f"log level of {name or 'all'}: {logging.getLevelName(before)} again")
        for name, one in wanted.items():
            logger = logging.getLogger(name or None)
            self._before.setdefault(name, logger.level)
            if logging.getLevelName(logger.level) != one.level:
                logger.setLevel(one.level)
                self._say(f"log level of {name or 'all'}: {one.level}, by {one.by}")
        self._now = dict(wanted)
        _shown.clear()
        _shown.extend(logging.getLevelNamesMapping()[one.level] for one in wanted.values())
        return changed


_shown: Final[list[int]] = []


def shown_from() -> int:
    """The level from which on records are shown that no handler of the project takes: WARNING, or lower for a while."""
    return min((logging.WARNING, *_shown))
