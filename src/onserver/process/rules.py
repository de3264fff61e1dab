"""What a procedure asks of those who run it: how long, how often, how many at once, when.

These are facts of a declaration and nothing more. Who keeps each of them is said beside it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from onserver.errors import BadDeclaration

PauseWay = Literal["stop", "checkpoint"]
Missed = Literal["skip", "once", "all"]

LONGEST_SECONDS: Final = 366 * 86_400.0


class Retry:
    """Which errors run a process again, how often, and after how long.

    Args:
        errors: exception classes; without any, every `Exception`.
        times: how often it is run again, 1 or more; a list of `delays` says so by its length.
        delay: seconds before the first retry.
        backoff: factor from one delay to the next, 1 or more.
        longest: seconds that no delay exceeds.
        jitter: share of each delay, 0 to 1, that is drawn at random and taken off, so that many do not come together.
        delays: a fixed list of seconds instead of `delay` and `backoff`.

    Raises:
        BadDeclaration: ONS-1009, one of them is out of range.

    Example:
        >>> Retry(OSError, times=5)
        Retry(OSError, times=5, delay=1.0, backoff=2.0, longest=600.0, jitter=0.5)
        >>> Retry(OSError, delays=[1, 10, 60]).times
        3
    """

    __slots__ = ("backoff", "delay", "delays", "errors", "jitter", "longest", "times")

    def __init__(
        self,
        *errors: type[BaseException],
        times: int = 3,
        delay: float = 1.0,
        backoff: float = 2.0,
        longest: float = 600.0,
        jitter: float = 0.5,
        delays: Sequence[float] = (),
    ) -> None:
        self.errors = errors or (Exception,)
        self.delays = tuple(float(seconds) for seconds in delays)
        self.times = len(self.delays) or times
        self.delay, self.backoff, self.longest, self.jitter = float(delay), float(backoff), float(longest), jitter
        for problem, good in (
            (f"{list(errors)!r} among its errors", all(map(_is_exception, errors))),
            (f"times={times!r}", self.times >= 1),
            (f"delay={delay!r}", 0 <= self.delay <= LONGEST_SECONDS),
            (f"backoff={backoff!r}", self.backoff >= 1),
            (f"longest={longest!r}", 0 < self.longest <= LONGEST_SECONDS),
            (f"jitter={jitter!r}", 0 <= self.jitter <= 1),
            (f"delays={list(delays)!r}", all(0 <= seconds <= LONGEST_SECONDS for seconds in self.delays)),
        ):
            if not good:
                raise BadDeclaration("Retry", f"has {problem}", "See `help(onserver.Retry)` for the ranges.")

    def delay_after(self, error: BaseException, failed: int) -> float | None:
        """Answer after how many seconds the next attempt is due; None where there is none.

        Args:
            error: what the last one raised.
            failed: how many attempts have failed by now, 1 or more.

        Example:
            >>> policy = Retry(OSError, times=2, delay=5, jitter=0)
            >>> [policy.delay_after(OSError(), failed) for failed in (1, 2, 3)]
            [5.0, 10.0, None]
        """
        if failed > self.times or not isinstance(error, self.errors):
            return None
        whole = self.delays[failed - 1] if self.delays else self._grown(failed)
        return whole * (1 - self.jitter * random.random())

    def _grown(self, failed: int) -> float:
        try:
            return min(self.delay * self.backoff ** (failed - 1), self.longest)
        except OverflowError:
            return self.longest

    def __repr__(self) -> str:
        names = ", ".join(error.__name__ for error in self.errors)
        if self.delays:
            return f"Retry({names}, delays={list(self.delays)}, jitter={self.jitter})"
        return (
            f"Retry({names}, times={self.times}, delay={self.delay}, backoff={self.backoff}, "
            f"longest={self.longest}, jitter={self.jitter})"
        )


def _is_exception(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, BaseException)


class Limit:
    """How many processes run at once, or how many begin in a time, in the whole cluster.

    Args:
        at_once: how many may run at the same time, 1 or more; None for no such limit.
        rate: how many may begin within `per` seconds, 1 or more; None for no such limit.
        per: seconds.
        key: one limit for each key: the name of a parameter, or a function of the arguments that gives a text or a
            number; without it there is one limit for the procedure.

    Raises:
        BadDeclaration: ONS-1009, neither limit is given, or one is out of range.

    Example:
        >>> Limit(2, key="customer")
        Limit(2, key='customer')
        >>> Limit(rate=10, per=60)
        Limit(rate=10, per=60.0)
    """

    __slots__ = ("at_once", "key", "per", "rate")

    def __init__(
        self,
        at_once: int | None = None,
        *,
        rate: int | None = None,
        per: float = 1.0,
        key: str | Callable[..., Any] | None = None,
    ) -> None:
        self.at_once, self.rate, self.per, self.key = at_once, rate, float(per), key
        for problem, good in (
            ("neither `at_once` nor `rate`", at_once is not None or rate is not None),
            (f"at_once={at_once!r}", at_once is None or at_once >= 1),
            (f"rate={rate!r}", rate is None or rate >= 1),
            (f"per={per!r}", 0 < self.per <= LONGEST_SECONDS),
        ):
            if not good:
                raise BadDeclaration("Limit", f"has {problem}", "See `help(onserver.Limit)` for the ranges.")

    def __repr__(self) -> str:
        parts = [] if self.at_once is None else [str(self.at_once)]
        parts += [] if self.rate is None else [f"rate={self.rate}, per={self.per}"]
        parts += [] if self.key is None else [f"key={self.key!r}"]
        return f"Limit({', '.join(parts)})"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is asked of those who run a procedure.

    Attributes:
        timeout: seconds that one run may take, 0 for no limit; then it is interrupted.
        grace: seconds between the interruption and the kill.
        expires: seconds after its start within which it must begin, 0 for no limit.
        pause: what a pause does to a run: stop its executor where it is, or wait for its next checkpoint.
        retry: which errors run it again.
        dead_letter: with its retries used up it ends `DEAD` and not `FAILED`.
        limit: how many at once, or how often.
        schedule: cron text (five fields, or six with seconds), or empty.
        timezone: IANA name in which the schedule is read.
        missed: what becomes of the times that passed while no worker was up.
    """

    timeout: float = 0.0
    grace: float = 5.0
    expires: float = 0.0
    pause: PauseWay = "stop"
    retry: Retry | None = None
    dead_letter: bool = False
    limit: Limit | None = None
    schedule: str = ""
    timezone: str = "UTC"
    missed: Missed = "once"

    def check(self, name: str) -> None:
        """Refuse what cannot be kept.

        Raises:
            BadDeclaration: ONS-1009.
        """
        for option, seconds in (("timeout", self.timeout), ("grace", self.grace), ("expires", self.expires)):
            if not (isinstance(cast("object", seconds), int | float) and 0 <= seconds <= LONGEST_SECONDS):
                raise BadDeclaration(name, f"has {option}={seconds!r}", "Give seconds, 0 for no limit.")
        if self.pause not in {"stop", "checkpoint"}:
            raise BadDeclaration(name, f"has pause={self.pause!r}", "It is `stop` or `checkpoint`.")
        if self.retry is not None and not isinstance(cast("object", self.retry), Retry):
            raise BadDeclaration(name, f"has retry={self.retry!r}", "It is `Retry(ERROR, …, times=N)`.")
        if self.missed not in {"skip", "once", "all"}:
            raise BadDeclaration(name, f"has missed={self.missed!r}", "It is `skip`, `once` or `all`.")


#: The options of `@procedure` that are rules.
RULES: Final = tuple(Rules.__dataclass_fields__)
