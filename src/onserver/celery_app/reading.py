"""What a channel reads from Redis: three conversations, each on a connection of its own.

All are driven by an event loop: `begin` only sends, `readable` takes what has arrived, neither waits. A conversation
that is broken closes its link and raises; Celery then makes a new connection, and the seat asks what it holds.

    Claims    task processes, for a worker that has a seat: `step` settles and claims; when nothing was there the holder
              is registered as idle, and BLMPOP waits on its hand-off list
    Lists     messages that are no tasks (replies to remote control): BLMPOP on their lists
    Fanout    broadcast (remote control, events): pattern subscriptions
"""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Final, Protocol

from onserver.celery_app.seat import Seat
from onserver.process.claim import WIDTH, Claim, Settlement
from onserver.redis.answers import LinkError, NoScript, Silent
from onserver.redis.link import Link
from onserver.redis.resp import Word
from onserver.redis.store import Store

#: Seconds that Redis lets a blocked read wait. Anything put meanwhile ends it at once; it is a sign of life.
WAIT_SECONDS: Final = 5
#: Seconds of silence on a subscription after which it is asked for a sign of life, and again until it counts as broken.
SILENCE_SECONDS: Final = 15.0


class Conversation(Protocol):
    """One connection of a channel, driven by an event loop."""

    def begin(self) -> None:
        """Send what is to be sent, if anything."""
        ...

    def fileno(self) -> int | None:
        """What to poll, or None."""
        ...

    def readable(self) -> int:
        """Take what has arrived; answers how many messages were delivered."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class _Asking:
    """A link on which one question at a time is open."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.link: Link | None = None
        self.asked_at: float | None = None
        self._patience = 0.0

    @property
    def asking(self) -> bool:
        return self.asked_at is not None

    def ask(self, patience: float, *words: Word) -> None:
        """Send a command; `patience` is for how many seconds its answer may take."""
        if self.link is None:
            self.link = self.store.link()
        self.link.send(*words)
        self.asked_at, self._patience = monotonic(), patience

    def check(self) -> None:
        """Raise `Silent` when the answer is overdue: the other side may be gone without a word."""
        if self.asked_at is None or monotonic() - self.asked_at < self._patience + self.store.command_seconds:
            return
        waited = monotonic() - self.asked_at
        self.close()
        raise Silent(self.store.address.describe(), 1, waited, "gave no answer")

    def answer(self) -> Any:
        """The answer, if it has arrived whole; raises `Silent` while it has not."""
        assert self.link is not None
        try:
            reply = self.link.receive(0)
        except Silent:
            raise
        except BaseException:
            self.asked_at = None
            raise
        self.asked_at = None
        return reply

    def fileno(self) -> int | None:
        return self.link.fileno() if self.link is not None and self.link.connected else None

    def close(self) -> None:
        self.asked_at = None
        if self.link is not None:
            self.link.close()


class Claims(_Asking):
    """Task processes for the pool of this worker."""

    def __init__(self, seat: Seat, free: Callable[[], int], deliver: Callable[[Claim], None]) -> None:
        super().__init__(seat.store)
        self.seat = seat
        self._free = free
        self._deliver = deliver
        self._claim = 0
        self._carried: list[Settlement] | None = None
        seat.idle = False
        seat.resume = True

    def begin(self) -> None:
        for late in self.seat.released():
            self._deliver(late)
        if self.asking:
            self.check()
            if self._carried is None:  # waiting for a hand-over: what ended meanwhile is said at once
                self.seat.flush()
            return
        claim = 0 if self.seat.retired else max(0, self._free())
        if self.seat.unsent or (claim and not self.seat.idle):
            self._step(claim if not self.seat.idle else 0)
        elif self.seat.idle:
            self.ask(WAIT_SECONDS, "BLMPOP", WAIT_SECONDS, 1, self._list, "LEFT", "COUNT", WIDTH + 1)

    @property
    def _list(self) -> str:
        return self.store.key(f"x:{self.seat.holder}")

    def _step(self, claim: int) -> None:
        words, carried = self.seat.step(claim)
        script = self.store.script("step") if self.link is None else self.link.form(self.store.script("step"))
        try:
            self.ask(0.0, script.command, script.sha, 1, self.store.prefix, *words)
        except BaseException:
            self.seat.unsend(carried)
            raise
        self._claim, self._carried = claim, carried

    def readable(self) -> int:
        try:
            reply = self.answer()
        except Silent:
            return 0
        except NoScript:
            assert self.link is not None
            self.link.load(self.store.script("step"))
            self._undo()
            return 0
        except LinkError:
            self._undo()
            raise
        if self._carried is None:
            claims = [] if reply is None else self.seat.handed(reply[1])
        else:
            claims = self.seat.answered(reply, self._claim)
        self._carried = None
        for claim in claims:
            self._deliver(claim)
        return len(claims)

    def _undo(self) -> None:
        if self._carried is not None:
            self.seat.unsend(self._carried)
            self._carried = None

    def close(self) -> None:
        self._undo()
        super().close()


class Lists(_Asking):
    """Messages that are no processes."""

    def __init__(self, store: Store, keys: Callable[[], Iterable[str]], deliver: Callable[[str, bytes], None]) -> None:
        super().__init__(store)
        self._keys = keys
        self._deliver = deliver
        self._reading: list[str] = []

    def begin(self) -> None:
        keys = list(self._keys())
        if self.asking and keys != self._reading:
            self.close()  # what it would still have popped is for nobody
        if self.asking:
            self.check()
        elif keys:
            self._reading = keys
            self.ask(WAIT_SECONDS, "BLMPOP", WAIT_SECONDS, len(keys), *keys, "LEFT", "COUNT", 10)

    def readable(self) -> int:
        try:
            reply = self.answer()
        except Silent:
            return 0
        if reply is None:
            return 0
        key, texts = reply
        for text in texts:
            self._deliver(key.decode(), text)
        return len(texts)


class Fanout:
    """Pattern subscriptions."""

    def __init__(
        self, store: Store, patterns: Callable[[], Iterable[str]], deliver: Callable[[str, bytes], None]
    ) -> None:
        self.store = store
        self._patterns = patterns
        self._deliver = deliver
        self._link: Link | None = None
        self._subscribed: set[str] = set()
        self._heard = monotonic()
        self._pinged = False

    def begin(self) -> None:
        wanted = set(self._patterns())
        if self._link is None:
            if not wanted:
                return
            self._link, self._heard = self.store.link(), monotonic()
        for word, patterns in (("PSUBSCRIBE", wanted - self._subscribed), ("PUNSUBSCRIBE", self._subscribed - wanted)):
            if patterns:
                self._link.send(word, *sorted(patterns))
        self._subscribed = wanted
        self._check(self._link)

    def _check(self, link: Link) -> None:
        silence = monotonic() - self._heard
        if silence > 2 * SILENCE_SECONDS:
            self.close()
            raise Silent(self.store.address.describe(), 1, silence, "gave no sign of life")
        if silence > SILENCE_SECONDS and not self._pinged:
            link.send("PING")
            self._pinged = True

    def fileno(self) -> int | None:
        return self._link.fileno() if self._link is not None and self._link.connected else None

    def readable(self) -> int:
        assert self._link is not None
        count = 0
        for kind, *rest in self._link.arrived():
            self._heard, self._pinged = monotonic(), False
            if kind == b"pmessage":
                self._deliver(rest[0].decode(), rest[2])
                count += 1
        return count

    def close(self) -> None:
        self._subscribed = set()
        if self._link is not None:
            self._link.close()
            self._link = None
