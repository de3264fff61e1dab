"""The blocks of `use` that are open in this program: entered, left, committed, given up.

A block belongs to an owner and a key; entering it again deeper inside only counts. The outermost exit encodes what was
edited, and one script writes all of it and frees the lock, or, when the lock is no longer this block's, nothing. A
block that changed nothing only unlocks.

The commit of the root also writes entries that others may have in use. If one of them is locked by somebody else, the
script writes nothing and names it; the block then waits in that entry's line like everybody else, and commits again.
An entry whose value (or absence) the root's block has read must not have changed meanwhile: `VersionConflict`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, get_origin

from onserver.checkpoint import count_unstoppable
from onserver.crash import crash_point
from onserver.errors import BrokerUnavailable, LockLost, MemberFenced, NotShareable, VersionConflict
from onserver.redis.store import Store
from onserver.session.draft import Pen, draft
from onserver.session.entry import Reads
from onserver.session.facts import who
from onserver.session.lock import Granted, Locks, Ticket, new_ticket
from onserver.session.root import Root, Write, encode_entry
from onserver.session.running import Running, running, strand
from onserver.session.sender import next_nonce
from onserver.session.steps import Step, Steps
from onserver.values import decode, thaw

Holding = AbstractContextManager[object]


class Block:
    """One owner's use of one entry, or of the root (key '')."""

    def __init__(self, key: str, ticket: Ticket, holding: Holding | None) -> None:
        self.key = key
        self.ticket = ticket
        self.holding = holding
        self.depth = 0
        self.pen = Pen(key)
        #: What the block edits, once the lock is there.
        self.value: Any = None
        #: The entry's bytes when the lock came; None where there was no entry.
        self.original: bytes | None = None
        self.version = 0
        self.snapshots: list[Any] = []
        self.leaving = False
        self.gone = threading.Event()

    @property
    def id(self) -> tuple[str, str]:
        """Whose block of what."""
        return self.ticket.owner, self.key

    def open(self, granted: Granted, kind: Any, root: Callable[[Granted, Pen], Root]) -> None:
        """Take what came with the lock."""
        if self.value is not None:  # another thread of the same run was faster
            return
        if not self.key:
            self.value = root(granted, self.pen)
            return
        if granted.kind == "c":
            advice = f'`storage.counter("{self.key}").add()` changes it; `storage.use()` replaces or removes it.'
            raise NotShareable(self.key, "int", "is a counter", advice)
        self.version = granted.version
        if granted.kind:
            self.original = bytes(granted.value)
            self.value = draft(decode(self.original), self.pen)
        else:
            self.value = draft([] if _is_list(kind) else {}, self.pen)
        self.check(kind)

    def check(self, kind: Any) -> None:
        """Refuse a value that has no lock of its own, or that is not of the kind asked for."""
        value: object = self.value
        if isinstance(value, Root):
            return
        found = type(value).__name__.removeprefix("Draft").lower()
        if not isinstance(value, dict | list):
            problem = f"holds a `{found}`; only a dict or a list can be used by itself"
            raise NotShareable(self.key, found, problem, "Replace it inside `storage.use()`.")
        if kind is not None and _is_list(kind) != (found == "list"):
            problem = f"holds a {found}, not a {'list' if _is_list(kind) else 'dict'}"
            raise NotShareable(self.key, found, problem, "Ask for the type that it has.")

    def snapshot(self) -> None:
        """Remember the value at the entry of an inner block."""
        inner = self.value.snapshot() if isinstance(self.value, Root) else thaw(self.value)
        self.snapshots.append(inner)

    def restore(self, *, failed: bool) -> None:
        """Leave an inner block; if it failed, what it edited is undone."""
        snapshot = self.snapshots.pop()
        if not failed:
            return
        if isinstance(self.value, Root):
            self.value.restore(snapshot)
            return
        self.value.clear()
        add: Callable[[Any], None] = getattr(self.value, "extend" if hasattr(self.value, "extend") else "update")
        add(draft(snapshot, self.pen))

    def writes(self, limit: int) -> list[Write]:
        """What the block has changed."""
        if isinstance(self.value, Root):
            return self.value.writes()
        if self.original is None and not self.value:
            return []
        data = encode_entry(self.key, thaw(self.value), limit)
        return [] if data == self.original else [Write(self.key, data, "", self.version)]


def _is_list(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, list)


class Blocks:
    """See the top of this module.

    Args:
        store: where.
        space: prefix of the storage's keys, as "st:".
        locks: its locks.
        cache: its cache.
        hold: gives the program's holder, outside of runs.
        holding: entered while a block is open outside of runs.
        hold_seconds: how long a block may have a lock outside of runs when others wait.
        limit: bytes that an entry may take.
    """

    def __init__(
        self,
        store: Store,
        space: str,
        locks: Locks,
        cache: Reads,
        hold: Callable[[], str],
        holding: Callable[[], Holding],
        hold_seconds: float,
        limit: int,
    ) -> None:
        self._store = store
        self._space = space
        self._locks = locks
        self._cache = cache
        self._hold = hold
        self._holding = holding
        self._hold_seconds = hold_seconds
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Know no block any more: what a child does after a fork."""
        self._guard = threading.Lock()
        self._open: dict[tuple[str, str], Block] = {}
        self._owed: list[tuple[str, Ticket]] = []

    # -- in

    def enter(self, key: str, kind: Any, timeout: float | None) -> Steps[Block]:
        """Enter the block of this run, thread or task for `key`; see `Storage.use`."""
        block = yield from self._block(key, running(), strand)
        if block.value is not None:
            try:
                block.check(kind)
            except NotShareable:
                block.depth -= 1
                raise
            block.snapshot()
            return block
        try:
            granted = yield from self._locks.acquire(key, block.ticket, timeout)
            self._cache.require(granted.change)
            block.open(granted, kind, self._root)
        except GeneratorExit:
            raise
        except BaseException:
            yield from self.give_up(block)
            raise
        crash_point("in_use")
        return block

    def _block(self, key: str, run: Running | None, name: Callable[[], str]) -> Steps[Block]:
        part = "" if run is not None else name()
        while self._owed:
            yield from self._pay()
        holding = None if run is not None else self._holding()
        if holding is not None:
            yield Step(holding.__enter__)
        holder = "" if run is not None else (yield Step(self._hold))
        owner = run.owner if run is not None else f"{holder}/{part}"
        while True:
            with self._guard:
                block = self._open.get((owner, key))
                if block is None:
                    ticket = new_ticket(owner, 0.0 if run is not None else self._hold_seconds)
                    block = self._open[owner, key] = Block(key, ticket, holding)
                    block.depth = 1
                    count_unstoppable(1)
                    return block
                if not block.leaving:
                    block.depth += 1
                    break
            leaving = block  # another thread of the same run is committing it
            yield Step(lambda: leaving.gone.wait(1.0), idle=True)  # noqa: B023  # called at once
        if holding is not None:
            holding.__exit__(None, None, None)
        return block

    def _root(self, granted: Granted, pen: Pen) -> Root:
        names = frozenset(name.decode() for name in granted.value)
        return Root(names, self._cache.entry, pen, self._limit)

    # -- out

    def leave(self, block: Block, timeout: float | None, *, failed: bool) -> Steps[None]:
        """Leave the block; the outermost exit commits, unless the block failed."""
        if block.depth > 1:
            block.depth -= 1
            block.restore(failed=failed)
            return
        block.leaving = True
        block.pen.down = True
        held = [(block.key, block.ticket)]
        try:
            writes = [] if failed else block.writes(self._limit)
            if writes:
                crash_point("before_commit")
                yield from self._commit(block, held, writes, timeout)
                crash_point("after_commit")
                held = []
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._close(block, held)
            raise
        yield from self._close(block, held)

    def give_up(self, block: Block) -> Steps[None]:
        """Leave a block whose lock did not come, or whose entry is of the wrong kind."""
        with self._guard:
            block.depth -= 1
            if block.depth > 0:
                return
            block.leaving = True
        yield from self._close(block, [(block.key, block.ticket)])

    def in_use(self, run: Running) -> bool:
        """Whether a run has the lock of a block that it is in."""
        with self._guard:
            return any(owner == run.owner and block.value is not None for (owner, _), block in self._open.items())

    def left(self, run: Running) -> None:
        """Give up what a run that has ended still holds."""
        if not self._open:
            return  # mostly
        with self._guard:
            found = [block for block in self._open.values() if block.ticket.owner == run.owner]
            for block in found:
                del self._open[block.id]
                block.pen.down = True
                count_unstoppable(-1)
        if found:
            words = [word for block in found for word in (block.key, str(block.ticket))]
            with suppress(BrokerUnavailable, MemberFenced):  # its holder is dead, or will be: burying drops its locks
                self._store.run("unlock", self._space, *words)

    def _close(self, block: Block, held: list[tuple[str, Ticket]]) -> Steps[None]:
        if held:
            self._owed += held
            with suppress(BrokerUnavailable):  # the next `use` pays, or the beat that does not come
                yield from self._pay()
        with self._guard:
            if self._open.pop(block.id, None) is not None:
                count_unstoppable(-1)
        block.gone.set()
        if block.holding is not None:
            block.holding.__exit__(None, None, None)

    def _pay(self) -> Steps[None]:
        owed = list(self._owed)
        yield from self._locks.unlock(owed)
        self._owed = [debt for debt in self._owed if debt not in owed]

    def _commit(
        self, block: Block, held: list[tuple[str, Ticket]], writes: list[Write], timeout: float | None
    ) -> Steps[None]:
        while True:
            words = [word for key, ticket in held for word in (key, str(ticket))]
            answer = yield Step(lambda: self._send(block.ticket.owner, len(held), words, writes))  # noqa: B023
            if answer[0] != b"held":
                break
            ticket = new_ticket(block.ticket.owner, block.ticket.limit_ms / 1000)
            held.append((answer[1].decode(), ticket))
            yield from self._locks.acquire(held[-1][0], ticket, timeout)
        if answer[0] == b"lost":
            raise (yield from self._lost(answer[1].decode(), answer[2].decode()))
        if answer[0] == b"changed":
            key = answer[1].decode()
            expected = next(write.expected for write in writes if write.key == key)
            raise VersionConflict(key, expected or 0, int(answer[2]))
        versions = {write.key: int(version) for write, version in zip(writes, answer[2:], strict=True)}
        self._cache.wrote(versions, int(answer[1]))
        outer = self._open.get((block.ticket.owner, ""))
        if outer is not None and isinstance(outer.value, Root):
            for key, version in versions.items():
                outer.value.note(key, version)

    def _send(self, owner: str, count: int, held: list[str], writes: list[Write]) -> Any:
        words: list[str | bytes] = []
        for key, data, number, expected in writes:
            expectation = "" if expected is None else str(expected)
            words += ["del" if data is None else "put", key, data or b"", number, expectation]
        try:
            return self._store.run("commit", self._space, owner, next_nonce(), count, *held, *words)
        finally:
            # even where the answer was lost
            self._cache.wrote({write.key: 0 for write in writes}, 0)

    def _lost(self, key: str, owner: str) -> Steps[LockLost]:
        if not owner:
            return LockLost(key, "it was taken away")
        holder = yield Step(lambda: who(self._store, owner))
        return LockLost(key, f"it is now held by {holder}")
