"""What has been read of a storage, kept in this program, and emptied entry by entry by Redis itself.

One connection of its own (RESP3, CLIENT TRACKING) does the reading that misses, and gets the invalidations; so a value
and the word that it has changed come in order, on one stream. A read looks at that stream first, without waiting. In
programs with a watch thread (`watch`, or whoever calls `pump`), the thread reads the stream and the readers do not
look.

How old may a value be? At most one beat: when nothing was heard for longer, the reader asks (a ping on the same stream:
its answer comes behind all invalidations before it). Two readers must not wait that long:

* what was committed before a process was started is seen by it: `require(change)`. The start carries the number of the
  newest change; if it moved, the stream is caught up with once, before the next read;
* what this program committed itself is dropped at once (`wrote`).

With the connection lost everything is dropped and the cache is off until there is a new one: reads then go to Redis.
A child forgets everything after a fork.
"""

from __future__ import annotations

import os
import select
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, Final, cast

from hiredis import PushNotification

from onserver.interrupt import shielded
from onserver.redis.answers import LinkError, ScriptRefused, Silent
from onserver.redis.link import Link
from onserver.redis.store import Store
from onserver.session.entry import Entry, read_entry

_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_ENTRIES: Final = 100_000


class Cache:
    """See the top of this module.

    Args:
        store: where.
        space: prefix of the storage's keys, as "st:".
        beat_seconds: how old a value may be.
    """

    def __init__(self, store: Store, space: str, beat_seconds: float) -> None:
        self._store = store
        self._beat = beat_seconds
        self._entry_prefix = store.key(f"{space}e:")
        self._index = store.key(f"{space}index")
        self._tracked = True
        self._forget()
        _caches.add(self)

    def _forget(self) -> None:
        self._io = threading.Lock()
        self._link: Link | None = None
        self._entries: dict[str, Entry] = {}
        self._names: frozenset[str] | None = None
        self._bytes = 0
        self._pings: deque[float] = deque()
        self._heard = 0.0
        self._behind = False
        self._reached = 0
        self._watcher: threading.Thread | None = None
        self._watched = False
        self._look: Any = None

    # -- reading

    def entry(self, key: str) -> Entry:
        """The entry as last committed, `ABSENT` if there is none."""
        if self._behind or monotonic() - self._heard > self._beat or (self._look is not None and self._look(0)):
            self._catch_up()
        found = self._entries.get(key)
        return found if found is not None else self._fetch(key)

    def cached(self, key: str) -> Entry | None:
        """The entry if it is here and new enough, without ever waiting."""
        if self._behind or monotonic() - self._heard > self._beat or (self._look is not None and self._look(0)):
            return None
        return self._entries.get(key)

    def names(self) -> frozenset[str]:
        """The names of all entries."""
        self.look()
        found = self._names
        if found is None:
            with shielded(), self._io:
                reply = self._read("SMEMBERS", self._index)
                found = frozenset(name.decode() for name in reply)
                if self._link is not None:
                    self._names = found
        return found

    def look(self) -> None:
        """Hear what has changed, if that is due."""
        if self._behind or monotonic() - self._heard > self._beat or (self._look is not None and self._look(0)):
            self._catch_up()

    def require(self, change: int) -> None:
        """Have the next read see everything up to this change."""
        if change > self._reached:
            self._reached = change
            self._behind = True

    def wrote(self, versions: Mapping[str, int], change: int) -> None:
        """This program has committed `change`: these entries, which now have these versions (0: removed)."""
        with self._io:
            for key, version in versions.items():
                self._entries.pop(key, None)
                if version < 2:  # new, or gone
                    self._names = None
            if change == self._reached + 1:
                self._reached = change

    # -- for a watch thread

    def pump(self) -> None:
        """Read what has arrived, and ask when nothing was heard for half a beat. Never waits; never raises."""
        if self._link is None or not self._io.acquire(blocking=False):
            return
        try:
            self._drain()
            link = self._link_now()  # draining may have lost it
            if link is not None and link.connected and not self._pings and monotonic() - self._heard > self._beat / 2:
                self._ping()
        except LinkError:
            self._lose()
        finally:
            self._io.release()

    def _link_now(self) -> Link | None:
        return self._link

    def fileno(self) -> int | None:
        """What a poll loop may wait on before it calls `pump`; None while there is no connection."""
        with suppress(LinkError):
            return None if self._link is None or not self._link.connected else self._link.fileno()
        return None

    def watch(self) -> None:
        """Start a daemon thread that pumps, if there is none yet; readers then need not look for themselves."""
        if self._watcher is None or not self._watcher.is_alive():
            self.watched()
            self._watcher = threading.Thread(target=self._watch, name="onserver-storage-cache", daemon=True)
            self._watcher.start()

    def watched(self) -> None:
        """Say that somebody calls `pump` whenever something arrives, so that readers need not look."""
        self._watched = True
        self._look = None

    def close(self) -> None:
        """Drop the connection and everything that was read."""
        with self._io:
            self._lose()

    # -- the stream

    def _watch(self) -> None:
        me = threading.current_thread()
        while self._watcher is me:
            fd = self.fileno()
            if fd is None:
                threading.Event().wait(self._beat / 4)
                continue
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(self._beat * 250)
            self.pump()

    def _catch_up(self) -> None:
        with shielded(), self._io:
            try:
                if self._link is None or not self._link.connected:
                    self._lose()
                    return
                if self._behind or monotonic() - self._heard > self._beat:
                    self._behind = False
                    sent = self._ping()
                    while self._heard < sent:
                        self._take(self._link.receive(self._store.command_seconds))
                self._drain()
            except LinkError:
                self._lose()

    def _fetch(self, key: str) -> Entry:
        with shielded(), self._io:
            reply = self._read("HMGET", self._entry_prefix + key, "v", "n", "k")
            found = read_entry(self._name_of(key), reply)
            if self._link is not None:
                self._bytes += len(reply[0] or b"") + 200
                if self._bytes > _MOST_BYTES or len(self._entries) > _MOST_ENTRIES:
                    self._entries.clear()
                    self._bytes = 0
                self._entries[key] = found
            return found

    def _name_of(self, key: str) -> str:
        """The name by which people know it."""
        return key

    def _read(self, *words: str) -> Any:
        """Read on the tracked connection; where there can be none, on an ordinary one, and nothing is kept."""
        try:
            if self._tracked and self._connected():
                assert self._link is not None
                sent = monotonic()
                self._link.send(*words)
                reply = self._take(self._link.receive(self._store.command_seconds))
                while reply is _NOTHING:
                    reply = self._take(self._link.receive(self._store.command_seconds))
                self._heard = max(self._heard, sent)
                return reply
        except LinkError:
            self._lose()
        return self._store.command(*words)

    def _connected(self) -> bool:
        if self._link is not None and self._link.connected:
            return True
        self._lose()
        link = self._store.link()
        link.connect()
        started = monotonic()
        try:
            for words in (("HELLO", "3"), ("CLIENT", "TRACKING", "ON")):
                link.send(*words)
                link.receive(self._store.command_seconds)
        except ScriptRefused:  # a Redis, or an ACL, without tracking: every read is a trip
            self._tracked = False
            link.close()
            return False
        poll = select.poll()
        poll.register(link.fileno(), select.POLLIN)
        self._link, self._heard, self._behind = link, started, False
        self._look = None if self._watched else poll.poll
        return True

    def _ping(self) -> float:
        assert self._link is not None
        self._link.send("PING")
        self._pings.append(monotonic())
        return self._pings[-1]

    def _drain(self) -> None:
        if self._link is None:
            return
        if not self._link.connected:
            self._lose()
            return
        with suppress(Silent):
            while self._link_now() is not None:
                self._take(self._link.receive(0))

    def _take(self, reply: Any) -> Any:
        """An invalidation, the answer to a ping (`_NOTHING` for both), or the answer to a read."""
        if isinstance(reply, PushNotification):
            if reply[0] == b"invalidate":
                self._invalidate(cast("list[bytes] | None", reply[1]))
            return _NOTHING
        if self._pings:
            self._heard = max(self._heard, self._pings.popleft())
            return _NOTHING
        return reply

    def _invalidate(self, keys: list[bytes] | None) -> None:
        if keys is None:  # everything was flushed
            self._entries.clear()
            self._names = None
            return
        for key in keys:
            name = key.decode()
            if name == self._index:
                self._names = None
            else:
                self._entries.pop(name.removeprefix(self._entry_prefix), None)

    def _lose(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = self._look = None
        self._entries.clear()
        self._names = None
        self._bytes = 0
        self._pings.clear()


_NOTHING: Final = object()
_caches: weakref.WeakSet[Cache] = weakref.WeakSet()


def _forget_in_child() -> None:
    for cache in list(_caches):
        cache._forget()


os.register_at_fork(after_in_child=_forget_in_child)
