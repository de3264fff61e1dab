"""The lock of one top-level entry, or of the root: first come, first served.

Who is authoritative: Redis. A lock is a hash there, its line a sorted set by arrival; only scripts change them, and a
script that frees a lock gives it to the next in line in the same step. So a lock is never free while somebody waits,
and nobody can overtake.

States of a block, as its owner sees them:

    asked ── yours ─────────────────────────────► held ── commit ──► done
      └──── wait ── woken, or asked again ──────────┘ └── unlock ──► given up
             └───── time-out: leave_line ──► LockTimeout, or held after all ("you have it")
             └───── deadlock ──► DeadlockDetected

*Waking.* Whoever frees the lock pushes the entry's value onto the next one's own list (`wake:TOKEN`), on which that one
blocks: three trips for a use that had to wait, two for one that had not. A push may be lost with the connection, or a
lock's owner may die; so a waiter blocks for one beat at most, and then asks again. Asking is the script `lock` itself:
with the same ticket it answers how things stand now, and on its way lets a lock fall whose owner is dead or, outside of
processes, has had it for longer than `storage.client_hold_seconds`.

*Owner.* "member.incarnation/process.delivery" in a run, "member.incarnation/tSERIAL" or "/aSERIAL" in a thread or task
outside of runs. A ticket is "TOKEN OWNER LIMIT"; the token is new for each use, so that a commit can prove that the
lock was never lost in between. Burying a holder drops all its locks and places (`drop_locks`), before anybody else can
be given its processes.

| failure | outcome |
|---|---|
| owner killed | its holder is buried, the lock goes to the next; nothing of the block is written |
| owner stopped and woken | the same; its commit is refused, `MemberFenced` |
| waiter killed | skipped when its turn comes, or removed with its holder |
| waiter stopped | given the lock in its turn; holds the others up until it is buried |
| reply of `lock` lost | the same ticket is sent again: "yours", or the same place in line |
| reply of `commit` lost | the same nonce is sent again: the first answer |
| lock taken by `storage unlock` | commit finds another token: `LockLost` |
| two wait for each other | the second to wait closes the circle, sees it in `waits`, and does not begin to wait |
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple

from onserver.checkpoint import SLICE_SECONDS, asked
from onserver.errors import DeadlockDetected, LockTimeout
from onserver.redis.answers import LinkError, Silent
from onserver.redis.link import Link
from onserver.redis.store import Store
from onserver.session.facts import entry_of, who
from onserver.session.sender import next_nonce
from onserver.session.steps import HEED, Step, Steps

_MARGIN = 1.0


class Granted(NamedTuple):
    """What comes with a lock: the entry as it is now."""

    #: Encoded value, the text of a counter, or empty when there is no entry. For the root: the names of all entries.
    value: Any
    version: int
    #: "v" a value, "c" a counter, "root", or empty when there is no entry.
    kind: str
    #: The newest change of all at that moment.
    change: int


class Ticket(NamedTuple):
    """A place in a line, and later the proof of having the lock."""

    token: str
    owner: str
    limit_ms: int

    def __str__(self) -> str:
        return f"{self.token} {self.owner} {self.limit_ms}"


def new_ticket(owner: str, limit_seconds: float) -> Ticket:
    """A ticket that nobody had before.

    Args:
        owner: who will have the lock.
        limit_seconds: after which the next in line may take it away; 0 for never.
    """
    return Ticket(next_nonce(), owner, int(limit_seconds * 1000))


class Locks:
    """The locks of one storage.

    Args:
        store: where.
        space: prefix of the storage's keys, as "st:".
        beat_seconds: how long a waiter may rely on being woken.
    """

    def __init__(self, store: Store, space: str, beat_seconds: float) -> None:
        self._store = store
        self._space = space
        self._beat = beat_seconds
        self._own = threading.local()

    def acquire(self, key: str, ticket: Ticket, timeout: float | None) -> Steps[Granted]:
        """Take the lock, waiting in line for it for at most `timeout` seconds (None: for as long as it takes).

        Raises:
            LockTimeout: ONS-3101.
            DeadlockDetected: ONS-2301, the wait would close a circle.
            MemberFenced: ONS-2401.
        """
        started = monotonic()
        while True:
            answer = yield Step(lambda: self._store.run("lock", self._space, key, str(ticket)))
            if answer[0] == b"yours":
                return _granted(answer)
            if answer[0] == b"deadlock":
                raise (yield from self._deadlock(key, ticket, answer))
            seconds = self._wait_seconds(answer, started, timeout)
            if seconds <= 0:
                granted = yield from self._leave(key, ticket, timeout or 0.0, answer)
                return granted
            woken = yield Step(lambda: self._wait(ticket.token, seconds), idle=True)  # noqa: B023  # called at once
            if woken and woken[0] == b"yours":
                return _granted(woken)
            if asked():  # whoever is to pause does not stand in the way meanwhile
                left = yield Step(lambda: self._store.run("leave_line", self._space, key, str(ticket)))
                if left[0] == b"yours":
                    return _granted(left)
                yield HEED

    def unlock(self, held: Sequence[tuple[str, Ticket]]) -> Steps[int]:
        """Give locks, or places in line, up; the answer is how many locks were held."""
        words = [word for key, ticket in held for word in (key, str(ticket))]
        count = yield Step(lambda: self._store.run("unlock", self._space, *words))
        return int(count)

    def unlock_by_force(self, key: str) -> str | None:
        """Take a lock from its owner, who may be alive: its commit will be refused. Answers the owner, if any."""
        owner = self._store.run("unlock_by_force", self._space, key)
        return None if owner is None else owner.decode()

    def _wait_seconds(self, answer: list[Any], started: float, timeout: float | None) -> float:
        seconds = self._beat
        if answer[4] >= 0:  # a client has it: when its time is over it may be taken
            seconds = min(seconds, answer[4] / 1000 + 0.001)
        if timeout is not None:
            seconds = min(seconds, started + timeout - monotonic())
        return seconds

    def _wait(self, token: str, seconds: float) -> list[bytes] | None:
        """Block until woken, for at most so many seconds; None when not. Not shielded: an interruption ends it."""
        link = self._waiting_link()
        key = self._store.key(f"wake:{token}")
        try:
            link.send("BLMPOP", f"{seconds:.3f}", 1, key, "LEFT", "COUNT", 5)
            popped = _popped(link, monotonic() + seconds + _MARGIN)
        except Silent:
            link.close()  # the answer may still come, to nobody
            return None
        except LinkError:
            return None  # a wake-up may be lost with the connection: the next `lock` tells, and has the deadline
        except BaseException:
            link.close()
            raise
        return None if popped is None else popped[1]

    def _waiting_link(self) -> Link:
        """This thread's link for blocking reads, apart from that of its commands."""
        link: Link | None = getattr(self._own, "link", None)
        if link is None:
            link = self._own.link = self._store.link()
        return link

    def _leave(self, key: str, ticket: Ticket, seconds: float, last: list[Any]) -> Steps[Granted]:
        answer = yield Step(lambda: self._store.run("leave_line", self._space, key, str(ticket)))
        if answer[0] == b"yours":
            return _granted(answer)
        holder = yield Step(lambda: who(self._store, last[2].decode()))
        raise LockTimeout(key, seconds, holder, int(last[3]) / 1000, int(last[1]))

    def _deadlock(self, key: str, ticket: Ticket, answer: list[Any]) -> Steps[DeadlockDetected]:
        chain = [part.decode() for part in answer[1:]]
        holder = yield Step(lambda: who(self._store, chain[0]))
        me = yield Step(lambda: who(self._store, ticket.owner))
        error = DeadlockDetected(key, holder, entry_of(chain[1]), me)
        for owner, wanted in zip(chain[2::2], chain[3::2], strict=True):
            described = yield Step(lambda: who(self._store, owner))  # noqa: B023  # called at once
            error.add_note(f"{described} waits for {entry_of(wanted)}")
        return error


def _popped(link: Link, until: float) -> Any:
    """The answer of the wait; `Silent` when there is none by then, or when the one who waits is asked for something."""
    while True:
        try:
            return link.receive(SLICE_SECONDS)
        except Silent:
            if asked() or monotonic() > until:
                raise


def _granted(answer: Sequence[Any]) -> Granted:
    return Granted(answer[1], int(answer[2]), answer[3].decode(), int(answer[4]))
