"""The storage of a session: a shared mapping. Reading is free, writing is a transaction.

Reading takes no lock and comes from a cache that Redis itself empties (see `cache`). Changing happens inside `use`: a
fair lock on one top-level entry or on the root (see `lock`), edits on a copy, and one script at the end that writes all
of them or none (see `block`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar, cast, overload

from onserver.checkpoint import acheckpoint, checkpoint
from onserver.errors import SyncInAsyncError
from onserver.redis.store import Store
from onserver.session.block import Block, Blocks
from onserver.session.cache import Cache
from onserver.session.counter import Counter
from onserver.session.entry import Entry, Reads
from onserver.session.lock import Locks
from onserver.session.root import Root, check_name
from onserver.session.running import Running
from onserver.session.steps import adrive, drive
from onserver.settings import Settings

T = TypeVar("T")

_CHUNK = 200


class Use(Generic[T]):
    """The block in which storage may be changed: for `with`, and for `async with` in a running loop."""

    def __init__(self, blocks: Blocks, key: str, kind: Any, timeout: float | None) -> None:
        self._blocks = blocks
        self._key = key
        self._kind = kind
        self._timeout = timeout
        self._block: Block | None = None

    def __enter__(self) -> T:
        if _in_loop():
            raise SyncInAsyncError("with storage.use(…)", "async with storage.use(…)")
        self._block = drive(self._blocks.enter(self._key, self._kind, self._timeout))
        return cast("T", self._block.value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._block is not None:
            drive(self._blocks.leave(self._block, self._timeout, failed=kind is not None))

    async def __aenter__(self) -> T:
        await acheckpoint()
        self._block = await adrive(self._blocks.enter(self._key, self._kind, self._timeout))
        return cast("T", self._block.value)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._block is not None:
            await adrive(self._blocks.leave(self._block, self._timeout, failed=kind is not None))


class Storage(Mapping[str, Any]):
    """The shared storage of a session.

    It reads as a mapping of read-only values. There is no `storage[key] = value`: everything is changed inside
    `with storage.use(…)`, or by a counter.

    Args:
        store: the Redis of the server.
        space: prefix of its keys.
        settings: of the project.
        hold: gives the holder of a program outside of runs.
        holding: entered while something is held outside of runs.
        cache: that it reads from; None for one of its own.

    Example:
        >>> storage = Server.current().storage  # in a procedure: session().storage
        >>> with storage.use("rates") as rates:
        ...     rates["EUR"] = 1.0
        >>> storage["rates"]["EUR"]
        1.0

    4D: `Session.storage`, a shared object (specification 2.4 and 4).
    """

    def __init__(
        self,
        store: Store,
        space: str,
        settings: Settings,
        hold: Callable[[], str],
        holding: Callable[[], AbstractContextManager[object]],
        cache: Reads | None = None,
    ) -> None:
        beat = settings.member.beat_seconds
        self._store = store
        self._space = space
        #: Called before something is to be changed: the session of a guest is opened then.
        self.before_use: Callable[[], object] | None = None
        self.cache: Reads = cache or Cache(store, space, beat)
        self._locks = Locks(store, space, beat)
        limits = (settings.storage.client_hold_seconds, settings.storage.max_entry_bytes)
        self._blocks = Blocks(store, space, self._locks, self.cache, hold, holding, *limits)

    # -- reading

    def __getitem__(self, key: str) -> Any:
        entry = self._entry(key)
        if entry.version == 0:
            raise KeyError(key)
        return entry.value

    def get(self, key: str, default: Any = None, /) -> Any:
        """The value of an entry, read-only; `default` where there is none."""
        entry = self._entry(key)
        return default if entry.version == 0 else entry.value

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._entry(key).version > 0

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names()))

    def __len__(self) -> int:
        return len(self._names())

    def read(self, key: str, kind: type[T]) -> T:  # noqa: ARG002  # for the checker
        """The value of an entry, as a checker knows it: of type `kind`, which is not tested at run time.

        Args:
            key: the entry.
            kind: a `TypedDict`, `list[str]` or the like.

        Raises:
            KeyError: there is no such entry.
        """
        return cast("T", self[key])

    async def aget(self, key: str, default: Any = None) -> Any:
        """The same as `get`; a read that misses the cache does not block the running loop."""
        await acheckpoint()
        found = self.cache.cached(key)
        if found is None:
            found = await asyncio.get_running_loop().run_in_executor(None, self.cache.entry, key)
        return default if found.version == 0 else found.value

    def version(self, key: str) -> int:
        """How often an entry has been written since it was made; 0 where there is none."""
        return self._entry(key).version

    # -- changing

    @overload
    def use(self, key: None = None, /, *, timeout: float | None = None) -> Use[Root]: ...
    @overload
    def use(self, key: str, /, *, timeout: float | None = None) -> Use[Any]: ...
    @overload
    def use(self, key: str, kind: type[T], /, *, timeout: float | None = None) -> Use[T]: ...
    def use(self, key: str | None = None, kind: Any = None, /, *, timeout: float | None = None) -> Use[Any]:
        """Lock an entry, or the root, and change it.

        What the block does is written whole when it ends, in one step, or not at all: when it raises, when the lock was
        lost, when this member was declared dead. First come, first served; re-entrant for its owner (the process;
        outside of processes the thread or task).

        Args:
            key: the entry to edit, a dict or a list; an absent one begins empty. None: the root, to add, replace and
                remove entries, not to edit inside them.
            kind: what a checker is to take the value for; `list[…]` makes an absent entry begin as a list.
            timeout: seconds to wait for the lock; None waits for as long as it takes, but never for a dead holder.

        Raises:
            LockTimeout: ONS-3101. The error tells who has the lock, and for how long.
            DeadlockDetected: ONS-2301, two blocks would wait for each other.
            LockLost: ONS-3104, on leaving: the lock was taken away. Nothing was written.
            MemberFenced: ONS-2401, this member was declared dead. Nothing was written.
            NotShareable: ONS-3106, something cannot be stored, or the entry has no lock of its own.
            TooLarge: ONS-3107, the entry is larger than `storage.max_entry_bytes`.
            VersionConflict: ONS-3108, the root's block has read an entry that was changed meanwhile.
            SyncInAsyncError: ONS-2302, `with` in a running loop: it is `async with` there.

        Example:
            >>> storage = Server.current().storage
            >>> with storage.use("stock", timeout=5) as stock:
            ...     stock["chair"] = stock.get("chair", 0) + 2
            >>> with storage.use() as root:  # the root: entries are put and removed, not edited inside
            ...     root["closing"] = True
            >>> sorted(storage)
            ['closing', 'stock']

        4D: `Use … End use` (specification 4.3), with time-outs, deadlock detection and all or nothing as ours.
        """
        name = "" if key is None else check_name(key)
        if self.before_use is not None:
            self.before_use()
        return Use(self._blocks, name, kind, timeout)

    def counter(self, key: str) -> Counter:
        """A counter: `counter("readings").add(1)` is one atomic trip and needs no `use`.

        Raises:
            NotShareable: ONS-3106, the key is no name of an entry.

        Example:
            >>> Server.current().storage.counter("readings").add(3)
            3
        """
        if self.before_use is not None:
            self.before_use()
        return Counter(self._store, self._space, key, self.cache)

    def unlock(self, key: str | None = None) -> str | None:
        """Take a lock from whoever has it, alive or not: its commit will be refused with `LockLost`.

        Returns:
            The owner from whom it was taken, or None: it was free.
        """
        return self._locks.unlock_by_force("" if key is None else check_name(key))

    # -- for the runner and the server

    def in_use(self, run: Running) -> bool:
        """Whether a run is inside a block of `use`, with its lock."""
        return self._blocks.in_use(run)

    def left(self, run: Running) -> None:
        """Give up the locks that a run which has ended still holds."""
        self._blocks.left(run)

    def close(self) -> None:
        """Drop the cache's connection."""
        self.cache.close()

    def _entry(self, key: str) -> Entry:
        checkpoint()
        return self.cache.entry(key)

    def _names(self) -> Collection[str]:
        checkpoint()
        return self.cache.names()

    def __repr__(self) -> str:
        return f"<Storage of {self._store.name}, {len(self)} entries>"


def empty_storage(store: Store, space: str, epoch: int | None = None) -> None:
    """Remove all entries of a storage, in chunks that others can work between.

    Args:
        store: the Redis of the server.
        space: prefix of the storage's keys.
        epoch: only while this epoch is still being opened with an empty storage.
    """
    while store.run("empty_storage", space, _CHUNK, "" if epoch is None else epoch):
        pass


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
