"""Sleep that can be cut short, and delays that can be changed.

A process that sleeps holds its executor, and is registered under the address of its inbox in `sl:N`; whoever wakes it
says so there and publishes it. A process that waits for its time in Redis is found by the same call.
"""

from math import inf
from time import monotonic, sleep
from typing import Any, Final

from onserver.checkpoint import checkpoint
from onserver.process.hearing import Told, heard
from onserver.server import Server
from onserver.session.running import Running
from onserver.session.steps import Step, Steps

#: Shorter sleeps are not worth two round trips, and cannot be woken.
SHORTEST_SECONDS: Final = 0.05
_LONGEST_MS: Final = 10 * 365 * 86_400_000


def sleeping(server: Server, run: Running, seconds: float) -> Steps[bool]:
    """Sleep in the process of `run`; True when it was woken before the time was over.

    Raises:
        MemberFenced: ONS-2401, its holder was declared dead.
    """
    if seconds < SHORTEST_SECONDS:
        checkpoint()
        yield Step(lambda: sleep(max(seconds, 0.0)), idle=True)
        return False
    sleeper = _Sleeper(server, run, monotonic() + seconds)
    try:
        while sleeper.until > monotonic():
            left = None if sleeper.until == inf else sleeper.until - monotonic()
            end = yield from heard(server, Told(sleeper.look), left)
            if end is None or sleeper.moved(end.payload):
                break
    except GeneratorExit:
        raise
    except BaseException:
        yield Step(sleeper.rise)
        raise
    yield Step(sleeper.rise)
    return sleeper.woken


def delay(server: Server, number: int, seconds: float) -> bool:
    """Change how long a process still sleeps, or waits for its time. False when it does neither."""
    store = server.store
    return bool(store.run("delay", store.nonce(), number, min(max(0, int(seconds * 1000)), _LONGEST_MS)))


class _Sleeper:
    """One sleep: until when, and which change of that it has heard of."""

    def __init__(self, server: Server, run: Running, until: float) -> None:
        self.until = until
        self.woken = False
        self._store = server.store
        self._run = run
        self._name = self._store.nonce()
        self._serial = 0

    def look(self, address: str) -> Any:
        """Sleep, or hear that the time was changed."""
        left_ms = _LONGEST_MS if self.until == inf else max(0, int((self.until - monotonic()) * 1000))
        words = (self._run.holder, self._run.number, self._name, self._serial, address, left_ms)
        return self._store.run("sleep", *words)

    def moved(self, change: bytes) -> bool:
        """Somebody has changed the time; True when it was ended."""
        serial, left_ms = change.split()
        self._serial, self.until = int(serial), monotonic() + int(left_ms) / 1000
        self.woken = left_ms == b"0"
        return self.woken

    def rise(self) -> None:
        """Sleep no longer."""
        self._store.run("rise", self._run.holder, self._run.number, self._name)
