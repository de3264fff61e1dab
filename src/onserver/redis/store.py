"""The Redis of one server, for any thread of any process: one link each, and the same bytes again after a lost reply.

`run` sends a script. When no answer comes (the reply was lost, Redis is away, loading, failing over) it connects anew
and sends *the same bytes* again until its deadline, because it cannot know whether the first ones were carried out:
every script must therefore be safe to be sent twice (a nonce, or an effect that is the same the second time).

| what happens | what `run` does |
|---|---|
| refused, no route | again after a pause, for `connect_seconds` and three tries at least |
| silence on a connection that was idle before | after 0.6 of the deadline again on a new one: it may be half open |
| silence on a new connection | the rest of the deadline |
| connection lost, loading, replica, busy | again until the deadline |
| out of memory, disk full, wrong password, not confirmed by replicas | raised at once |

In the end it is `BrokerUnavailable`, whose cause is the last `LinkError`: `answered` says whether Redis spoke at all.

The first thing on every new connection is the script `greet`: it notices that Redis is not the one it was (another run
id), moves the numbers on, and tells the clock. `on_changed` functions are then called, in the thread that noticed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, sleep, time
from typing import Any, Self

from onserver.errors import BrokerUnavailable, WrongLayout
from onserver.redis.address import Address
from onserver.redis.answers import LinkError, Moved, NoScript, Refused, Silent, Unreachable
from onserver.redis.link import Link
from onserver.redis.relay import Relay
from onserver.redis.resp import Word
from onserver.redis.scripts import Script, script

#: The key layout of this release; `greet` stores it at the birth of a server.
LAYOUT = 1

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25
_FEWEST_TRIES = 3
#: How much of a deadline the first try has, over a connection that may be dead.
REUSED_SHARE = 0.6
#: What is left at least for a try, in seconds.
LEAST_SECONDS = 0.05


class Store:
    """The keys of the server `name` in the Redis at `address`. See the top of this module.

    Args:
        address: where Redis is.
        name: the server's name, part of every key.
        connect_seconds: deadline of connecting; also for how long a refused connection is tried again.
        command_seconds: deadline of a command or script, all its tries together.
        wait_for_replicas: how many replicas must confirm what a script writes.
        testing: let tests move the clock that scripts read.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        *,
        connect_seconds: float = 3.0,
        command_seconds: float = 5.0,
        wait_for_replicas: int = 0,
        testing: bool = False,
    ) -> None:
        self.address = address
        self.name = name
        self.prefix = f"{{onserver:{name}}}:"
        self.connect_seconds = connect_seconds
        self.command_seconds = command_seconds
        self.wait_for_replicas = wait_for_replicas
        self.testing = testing
        #: Called without arguments when a new connection finds that Redis' run id changed.
        self.on_changed: list[Callable[[], object]] = []
        #: Called without arguments, once a command, when nobody listens at the address: `Embedded.revive` goes here.
        self.on_refused: list[Callable[[], object]] = []
        self._scripts: dict[str, Script] = {}
        self._born = ""
        self._layout = 0
        #: Whether keys of another layout than that of this release are worked with: by who brings them into it.
        self.any_layout = False
        self._ahead = 0.0
        self.forget()
        _stores.add(self)

    # -- scripts and commands

    def run(self, script: str | Script, *arguments: Word, deadline: float | None = None) -> Any:
        """Run a script and return its answer; send the same bytes again when the reply is lost.

        Args:
            script: its name, or the script itself.
            arguments: ARGV of the script.
            deadline: seconds for all tries together; `command_seconds` when None.

        Raises:
            BrokerUnavailable: no usable answer before the deadline.
            MemberFenced: the script was to write in the name of a holder that is dead.
            ScriptRefused: the script answered with another refusal of its own.
        """
        known = self.script(script) if isinstance(script, str) else script
        link = self._link()
        packed = link.pack(known, self.prefix, arguments)
        return self._insist(lambda timeout: link.run_packed(known, packed, timeout), link, deadline)

    async def arun(self, script: str | Script, *arguments: Word) -> Any:
        """`run` for a coroutine, whose loop goes on meanwhile; the bytes are sent again in a thread where need be."""
        known = self.script(script) if isinstance(script, str) else script
        began = monotonic()
        if self._relays:
            with suppress(NoScript, Moved):  # it is sent whole below, or to another node
                try:
                    return await self._relay().run(known, self.prefix, arguments)
                except LinkError as error:
                    if not error.again:
                        raise
        return await asyncio.to_thread(self._run_until, began + self.command_seconds, known, arguments)

    def _run_until(self, until: float, script: Script, arguments: Sequence[Word]) -> Any:
        # some of its time is over, or all: a thread comes late where many wait for one
        return self.run(script, *arguments, deadline=max(until - monotonic(), LEAST_SECONDS))

    def command(self, *words: Word, deadline: float | None = None) -> Any:
        """Send one command, again if need be: for reading, and for what may happen twice. Keys in full."""
        link = self._link()
        return self._insist(lambda timeout: link.command(*words, timeout=timeout), link, deadline)

    def pipeline(self, commands: Sequence[Sequence[Word]], deadline: float | None = None) -> list[Any]:
        """Send several commands in one trip, again if need be: for reading. Keys in full."""
        link = self._link()
        answers: list[Any] = self._insist(lambda timeout: link.pipeline(commands, timeout), link, deadline)
        return answers

    def pipeline_at(self, commands: Sequence[Sequence[Word]]) -> tuple[int, list[Any]]:
        """As `pipeline`, and the time at which Redis answered: milliseconds since 1970 by the clock of its scripts."""
        clock: list[Sequence[Word]] = [("TIME",), ("GET", self.key("clock"))] if self.testing else [("TIME",)]
        (seconds, micros), *rest = self.pipeline([*clock, *commands])
        offset = int(rest.pop(0) or 0) if self.testing else 0
        return int(seconds) * 1000 + int(micros) // 1000 + offset, rest

    def script(self, name: str) -> Script:
        """The script of that name."""
        found = self._scripts.get(name)
        if found is None:
            found = self._scripts[name] = script(name, testing=self.testing)
        return found

    # -- names

    def key(self, suffix: str) -> str:
        """The full name of a key of this server."""
        return self.prefix + suffix

    def nonce(self) -> str:
        """A text that no program has used or will use, for a write that may be sent twice."""
        return f"{self._random}:{next(self._sequence)}"

    @property
    def birth(self) -> str:
        """The 60 random bits, as 15 hex digits, that the server got when Redis first heard of it."""
        if not self._born:
            self.command("PING")
        return self._born

    @property
    def is_met(self) -> bool:
        """Whether this program has heard from the server before, so that its clock and birth are known."""
        return bool(self._born)

    @property
    def layout(self) -> int:
        """The number of the key layout in which the server's data is."""
        return self._layout if self.birth else 0

    def now_ms(self) -> int:
        """Milliseconds since 1970 by the clock of Redis, as well as this program knows it, without a trip."""
        return int((time() + self._ahead) * 1000) if self.birth else 0

    def ask_clock(self) -> None:
        """Ask Redis what time it is: what this program knows of it has turned out wrong."""
        asked = time()
        now_ms, _ = self.pipeline_at([])
        self.note_clock(now_ms, asked, time())

    def note_clock(self, now_ms: int, asked: float, heard: float) -> None:
        """Learn from what Redis has said of its clock, to the millisecond, at some time between these two of ours.

        What is known of it is changed no more than that proves: it does not jump to and fro with every slow answer, and
        is exact where Redis goes by the clock of this machine.

        Args:
            now_ms: milliseconds since 1970 by the clock of Redis.
            asked: seconds since 1970 by ours, before Redis was asked.
            heard: the same when the answer was there.
        """
        seconds = now_ms / 1000
        self._ahead = min(max(self._ahead, seconds - heard), seconds + 0.001 - asked)

    # -- connections

    def link(self, *, eager: bool = False) -> Link:
        """A new link of the caller's own, greeted when it connects: for blocking reads and subscriptions.

        `eager`: it may look for its answers instead of sleeping (see `streak`).
        """
        deadlines = (self.connect_seconds, self.command_seconds)
        return Link(self.address, *deadlines, self._greet, self.wait_for_replicas, eager=eager)

    def close(self) -> None:
        """Close all links that `run`, `arun` and `command` have made in this process, in whatever thread."""
        for link in list(self._open):
            link.close()
        for loop in self._by_loop.keyrefs():
            if (relay := self._relay_of(loop())) is not None:
                relay.close()
        self.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _link(self) -> Link:
        link: Link | None = getattr(self._local, "link", None)
        if link is None:
            link = self._local.link = self.link(eager=True)
            self._open.add(link)
        return link

    @property
    def _relays(self) -> bool:
        return not self.wait_for_replicas and self.address.kind in ("tcp", "unix")

    def _relay(self) -> Relay:
        loop = asyncio.get_running_loop()
        relay = self._relay_of(loop)
        if relay is None:
            relay = Relay(self.link(), loop)
            self._by_loop[loop] = weakref.ref(relay)  # the loop keeps it, which must not be kept by it in turn
        relay.seconds = self.command_seconds * REUSED_SHARE
        return relay

    def _relay_of(self, loop: asyncio.AbstractEventLoop | None) -> Relay | None:
        found = None if loop is None else self._by_loop.get(loop)
        return None if found is None else found()

    def forget(self) -> None:
        """Know no link any more and draw new random bits: what a child does after a fork."""
        self._local = threading.local()
        self._open: weakref.WeakSet[Link] = weakref.WeakSet()
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Relay]]
        self._by_loop = weakref.WeakKeyDictionary()
        self._random = secrets.token_hex(8)
        self._sequence = itertools.count(1)

    def _greet(self, link: Link) -> None:
        replicas, link.replicas = link.replicas, 0  # what is said here need not be confirmed by anybody
        try:
            words = (secrets.token_hex(8)[:15], LAYOUT, 1 if replicas else 0)
            asked = time()
            changed, now_ms, birth, layout = link.run(self.script("greet"), self.prefix, *words)
            self.note_clock(int(now_ms), asked, time())
        finally:
            link.replicas = replicas
        self._born = birth.decode()
        self._layout = int(layout)
        if self._layout != LAYOUT and not self.any_layout:
            raise WrongLayout(self.name, self._layout, LAYOUT)
        if changed:
            for told in list(self.on_changed):
                told()

    def _insist(self, attempt: Callable[[float], Any], link: Link, seconds: float | None) -> Any:
        seconds = self.command_seconds if seconds is None else seconds
        started = monotonic()
        try:
            return attempt(seconds * REUSED_SHARE if link.connected else seconds)
        except LinkError as error:
            if not error.again:
                raise
            return self._try_again(attempt, error, started, seconds)

    def _try_again(self, attempt: Callable[[float], Any], error: LinkError, started: float, seconds: float) -> Any:
        tries, pause = 1, _FIRST_PAUSE
        # a try with less time than this would say that Redis is silent, whatever it has said before
        least = min(LEAST_SECONDS, seconds / 10)
        told = False
        while not self._given_up(error, tries, monotonic() - started, seconds, least):
            if isinstance(error, Refused) and not told:
                told = True
                for revive in list(self.on_refused):
                    revive()
            if not isinstance(error, Silent):
                sleep(min(pause, max(0.0, started + seconds - least - monotonic())))
                pause = min(pause * 2, _LONGEST_PAUSE)
            tries += 1
            try:
                return attempt(max(started + seconds - monotonic(), 0.001))
            except LinkError as again:
                error = again
                if not error.again:
                    raise
        name, after = self.address.describe(), monotonic() - started
        raise BrokerUnavailable(name, tries, after, error.reason, error.remedy) from error

    def _given_up(self, error: LinkError, tries: int, after: float, seconds: float, least: float) -> bool:
        if isinstance(error, Refused | Unreachable):
            return tries >= _FEWEST_TRIES and after >= min(self.connect_seconds, seconds)
        return after >= seconds - least


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _forget_in_child() -> None:
    for store in list(_stores):
        store.forget()


os.register_at_fork(after_in_child=_forget_in_child)
