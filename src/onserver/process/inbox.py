"""How a program hears that its processes have ended: one connection for all of them, and no thread of ours.

A program has one inbox: a channel `c:CLIENT` that it subscribes to when somebody first waits. Whoever settles a process
publishes "TOKEN NUMBER STATE payload" there, for the token that `put` was given or that `await` registered later.

*Who reads.* Of the threads that wait, one reads for all: the one that gets `_reading`. It marks what has ended and
rings the watches of those who wait for it. When it has what it came for it leaves, and on leaving rings one other
waiting thread, which then finds `_reading` free. A thread enters `_waiting` before it tries to read, and whoever leaves
looks into `_waiting` after it has stopped reading; so of two threads one always sees the other. Coroutines cannot read
without blocking their loop, nor could all loops be asked to watch a socket that threads read as well: one thread
(`Pump`) waits on their behalf, started by the first `await` and gone after some seconds without one. A loop that awaits
one process after the other gets an inbox of its own besides, which it reads by itself (`Ear`).

*What can be missed.* A message published while the connection was away, or cut by Redis because nobody read for long.
After a reconnect all open waits are looked up again; besides, each is looked up every `LOOK_SECONDS`. A look is the
script `await`, which answers the end or registers the token, and may run any number of times.

*What it costs.* Tokens are given with `put` only in a program that waits: nobody has to publish to one that never
reads. A program that stops waiting and goes on starting stops giving tokens after `UNREAD` messages that nobody wanted.

*Fork.* The child has its own inbox, with its own channel; handles made before the fork are registered anew.
"""

import itertools
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from time import monotonic
from typing import Final, NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from onserver.checkpoint import SLICE_SECONDS, checkpoint
from onserver.errors import BrokerUnavailable
from onserver.redis.answers import LinkError, Lost, Silent
from onserver.redis.link import Link
from onserver.redis.store import Store
from onserver.server import Server
from onserver.session.running import running

#: How often the record of each awaited process is read again, in seconds.
LOOK_SECONDS: Final = 2.0
#: How long a process waits for others before it says so: shorter waits are not worth two round trips.
UNSAID_SECONDS: Final = 0.05
#: How long a wait goes on while Redis cannot be reached, in seconds.
PATIENCE_SECONDS: Final = 15.0
#: How many messages may arrive for handles that nobody has any more before tokens are given no longer.
UNREAD: Final = 256
#: How many processes one thread looks up in one turn, when it waits for many.
_LOOKS: Final = 100
_PAUSE_SECONDS: Final = 0.1


class End(NamedTuple):
    """How a process ended: its state and the bytes of its result or error. State `gone`: its record has expired."""

    state: str
    payload: bytes


class Awaited:
    """Something whose end can be waited for. A subclass says how to look it up."""

    __slots__ = ("__weakref__", "_end", "_inbox", "_looked", "_token", "_watches")

    def __init__(self) -> None:
        self._end: End | None = None
        self._inbox: Inbox | None = None
        self._token = ""
        self._looked = 0.0
        self._watches: tuple[Watch, ...] = ()

    def look(self, address: str) -> End | None:
        """Answer the end, or register `address` ("CLIENT TOKEN") to be told of it. May be called again and again."""
        raise NotImplementedError

    @property
    def end(self) -> End | None:
        """The end, as far as this program has heard of it."""
        return self._end


def withdraw(awaited: Awaited) -> None:
    """Forget its token: what was put had an owner already, who does not hear of it."""
    if awaited._inbox is not None:
        awaited._inbox._open.pop(awaited._token, None)
        awaited._inbox, awaited._token = None, ""


class Watch:
    """One who waits, for one or several: what has ended of them, and a bell."""

    def __init__(self, *, eager: bool = False) -> None:
        #: Who waits has nothing else to do: where it reads for itself alone, it may look instead of sleeping.
        self.eager = eager
        self.ended: deque[Awaited] = deque()
        self._bell = threading.Lock()
        self._bell.acquire()

    def sleep(self, seconds: float) -> None:
        """Wait until it rings, at most for `seconds`."""
        self._bell.acquire(timeout=max(seconds, 0.0))

    def ring(self) -> None:
        """Wake whoever sleeps, or who sleeps next."""
        with suppress(RuntimeError):  # it rings already: two were faster than the one who sleeps
            self._bell.release()


#: Makes a block that is entered while all of these are waited for.
Said: TypeAlias = Callable[[Collection[Awaited]], AbstractContextManager[None]]


class Inbox:
    """See the top of this module. Made by `server.part(Inbox)`, so that there is one for each server and process.

    Args:
        server: whose processes they are.
        read_by_owner: who has made it reads from `link` and calls `deliver`; nobody waits in it.
    """

    def __init__(self, server: Server, *, read_by_owner: bool = False) -> None:
        self._store: Store = server.store
        self._read_by_owner = read_by_owner
        self._client = secrets.token_hex(6)
        self._serial = itertools.count(1)
        self._open: WeakValueDictionary[str, Awaited] = WeakValueDictionary()
        self._reading = threading.Lock()
        self._waiting: dict[Watch, None] = {}
        self._link: Link | None = None
        self._connected_at = 0.0
        self._wanted = False
        self._given = self._unread = 0
        self._closed = False

    # -- tokens

    def address(self, awaited: Awaited) -> str:
        """Answer "CLIENT TOKEN", under which the end of this one will be published."""
        if awaited._inbox is not self:
            withdraw(awaited)  # what is told in another inbox may be old by the time that it is read there
            token = str(next(self._serial))
            self._open[token] = awaited
            awaited._inbox, awaited._token = self, token
        return f"{self._client} {awaited._token}"

    def early_address(self, awaited: Awaited) -> str:
        """Answer the address to pass to `put`, or "" where nobody seems to read: then `look` registers it later."""
        if not self._wanted or self._link is None:
            return ""
        self._given += 1
        if self._given % UNREAD == 0:
            if not self._read_by_owner:
                self._read_what_arrived()
            self._wanted = self._unread < UNREAD
        awaited._looked = monotonic()
        return self.address(awaited)

    # -- for a loop that reads by itself (see `ear`)

    @property
    def link(self) -> Link | None:
        """The connection on which it is told, while there is one."""
        return self._link

    def hang_up(self) -> None:
        """End the connection, also one that is just being made: nobody reads any more."""
        self._closed = True
        link, self._link = self._link, None
        if link is not None:
            link.close()

    # -- waiting

    def ends(
        self, awaited: Sequence[Awaited], timeout: float | None = None, said: Said | None = None
    ) -> Iterator[Awaited]:
        """Yield each of them as it ends; stop when all have ended or after `timeout` seconds.

        Args:
            awaited: what is waited for.
            timeout: seconds for all together; None waits as long as it takes.
            said: makes a block for what has not ended yet: entered for the time of each wait that is no short one.

        Raises:
            BrokerUnavailable: Redis could not be reached for `PATIENCE_SECONDS`, or until the timeout.
        """
        deadline = None if timeout is None else monotonic() + timeout
        watch, pending, looked = Watch(eager=True), dict.fromkeys(awaited), False
        for one in pending:
            self.attach(one, watch)
            if timeout == 0:
                one._looked = 0.0  # who only looks sees what is so now, and not what this program was told so far
        try:
            while True:
                while watch.ended:
                    one = watch.ended.popleft()
                    if one in pending:
                        del pending[one]
                        yield one
                if not pending or (looked and not _left(deadline)):
                    return
                longest = LOOK_SECONDS if said is None else UNSAID_SECONDS
                self._turn_for(watch, pending, _left(deadline), longest)
                looked = True
                if said is not None and not watch.ended and _left(deadline):
                    with said(pending):
                        while not watch.ended and _left(deadline):
                            self._turn_for(watch, pending, _left(deadline))
        finally:
            for one in pending:
                self.detach(one, watch)

    def want(self) -> None:
        """Give tokens from now on: somebody waits."""
        self._wanted, self._unread = True, 0

    def attach(self, awaited: Awaited, watch: Watch) -> None:
        """Let the watch ring when this one ends, at once if it has."""
        self.want()
        awaited._watches = (*awaited._watches, watch)
        if awaited._end is not None:
            watch.ended.append(awaited)
            watch.ring()

    def detach(self, awaited: Awaited, watch: Watch) -> None:
        """Ring no more."""
        awaited._watches = tuple(other for other in awaited._watches if other is not watch)

    def turn(self, watch: Watch, pending: Collection[Awaited], left: float, longest: float = LOOK_SECONDS) -> None:
        """Look up what is due of `pending` and wait for at most `longest` seconds, and `left`.

        Raises:
            BrokerUnavailable: for `left` seconds, or `PATIENCE_SECONDS`, Redis could not be reached.
        """
        until = monotonic() + min(left, PATIENCE_SECONDS)
        while True:
            try:
                if self._link is None:
                    self.connect()
                self.look_up(pending)
                if not watch.ended:
                    self._wait_heeding(watch, min(left, longest))
                return
            except BrokerUnavailable:
                if monotonic() >= until:
                    raise
                watch.sleep(_PAUSE_SECONDS)

    def _turn_for(self, watch: Watch, pending: Collection[Awaited], left: float, longest: float = LOOK_SECONDS) -> None:
        """A turn for what this watch is attached to."""
        self.turn(watch, pending, left, longest)
        if not watch.ended:  # another thread that attached its own at the same time may have left this one out
            watch.ended += [one for one in pending if one._end is not None]

    def look_up(self, pending: Collection[Awaited]) -> None:
        """Look up those of them that are due: never looked up, looked up long ago, or before the last reconnect."""
        looks = 0
        for one in list(pending):
            if one._end is None and (one._inbox is not self or self._is_due(one)):
                one._looked = monotonic()
                end = one.look(self.address(one))
                if end is not None:
                    self._mark(one, end)
                looks += 1
                if looks >= _LOOKS:
                    return

    def will_hear(self, one: Awaited) -> bool:
        """Whether this one is known by a token here: it was put with it, or looked up."""
        return one._inbox is self

    def first_look(self, one: Awaited) -> bool:
        """Look this one up now, unless its token is known. Answers whether it has ended."""
        if not self.will_hear(one):
            if self._link is None:
                self.connect()
            self.look_up((one,))
        return one._end is not None

    def wait(self, watch: Watch, seconds: float) -> None:
        """Wait until the watch rings, at most for `seconds`; meanwhile read for all if nobody else does."""
        self._waiting[watch] = None
        try:
            if self._reading.acquire(blocking=False):
                try:
                    self._read(watch, monotonic() + seconds)
                finally:
                    self._reading.release()
            else:
                watch.sleep(seconds)
        finally:
            del self._waiting[watch]
            self._pass_on()

    def _wait_heeding(self, watch: Watch, seconds: float) -> None:
        """Wait; in a run with a look now and then at what is asked of it."""
        if running() is None:
            self.wait(watch, seconds)
            return
        until = monotonic() + seconds
        while not watch.ended:
            began, now = min(SLICE_SECONDS, until - monotonic()), monotonic()
            if began <= 0:
                return
            self.wait(watch, began)
            checkpoint()
            if monotonic() - now < began:
                return  # rung

    def connect(self) -> None:
        """Subscribe, if that was not done yet."""
        with self._reading:
            self._subscribed()

    # -- the steps

    def _is_due(self, one: Awaited) -> bool:
        return one._looked < self._connected_at or one._looked + LOOK_SECONDS <= monotonic()

    def _pass_on(self) -> None:
        """Somebody has stopped reading, or will not: let another one find out."""
        if not self._reading.locked():
            for watch in tuple(self._waiting):
                watch.ring()
                return

    def _subscribed(self) -> Link:
        if self._link is None:
            link = self._store.link(eager=True)
            link.command("SUBSCRIBE", self._store.key(f"c:{self._client}"))
            self._link, self._connected_at = link, monotonic()
            if self._closed:
                self.hang_up()
                raise Lost(link.name, 1, 0.0, "is not listened to any more")
            for watch in tuple(self._waiting):
                watch.ring()
        return self._link

    def _read(self, watch: Watch, until: float) -> None:
        """Read messages until the watch has something, or the time is over."""
        while not watch.ended:
            if not self._receive(max(until - monotonic(), 0.0), alone=watch.eager and len(self._waiting) == 1):
                return

    def _receive(self, seconds: float, *, alone: bool = False) -> bool:
        """Read one message; False when none came, or the connection was lost and is a new one now."""
        link = self._link or self._subscribed()
        try:
            _, _, message = (link.hear if alone else link.receive)(seconds)
        except Silent:
            return False
        except LinkError:
            self._link = None
            self._subscribed()
            return False
        except BaseException:
            self._link = None
            raise
        self.deliver(message)
        return True

    def deliver(self, message: bytes) -> None:
        """Mark what a message says to have ended."""
        token, _, state, payload = message.split(b" ", 3)
        one = self._open.pop(token.decode(), None)
        if one is None:
            self._unread += 1
        else:
            self._mark(one, End(state.decode(), payload))

    def _mark(self, one: Awaited, end: End) -> None:
        # First the end, then the watches: `attach` does it the other way round, so one of the two sees the other.
        one._end = end
        if one._inbox is self:
            self._open.pop(one._token, None)
        for watch in one._watches:
            watch.ended.append(one)
            watch.ring()

    def _read_what_arrived(self) -> None:
        """Empty the socket without waiting, unless somebody reads: a program may start for hours before it waits."""
        if self._link is not None and self._reading.acquire(blocking=False):
            try:
                while self._receive(0):
                    pass
            finally:
                self._reading.release()
                self._pass_on()


def _left(deadline: float | None) -> float:
    return PATIENCE_SECONDS if deadline is None else max(deadline - monotonic(), 0.0)
