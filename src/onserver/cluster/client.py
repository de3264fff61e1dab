"""The membership of a program that is no worker: it joins when it first holds something, and leaves by itself.

A client needs no heartbeat to start processes or to read. When it takes a lock it must be known whether it still lives,
so it joins then, beats from a thread, and leaves when it has held nothing for 60 s. Its pid is checked at each use, and
a child made by fork forgets everything, so that forks of a web server (gunicorn with preload) are members of their own.

The thread shares its interpreter with the program: C code that keeps the interpreter lock for longer than the lease
stops the beat, and the member is declared dead; its next write is then refused, which is the promise.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from onserver.cluster.member import Member
from onserver.errors import BrokerUnavailable, MemberFenced
from onserver.redis.store import Store
from onserver.settings import Settings

#: Seconds without holding anything after which a client is no member any more.
IDLE_SECONDS = 60.0


class ClientMember:
    """Gives a holder to lock in; see the top of this module."""

    def __init__(self, store: Store, settings: Settings, node: str) -> None:
        self._store = store
        self._settings = settings
        self._node = node
        self._forget()
        _clients.add(self)

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._member: Member | None = None
        self._holder = ""
        self._uses = 0
        self._used = monotonic()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def holder(self) -> str:
        """The holder "member.incarnation" of this program, joining first if need be."""
        if self._pid != os.getpid():
            self._forget()
        with self._mutex:
            self._used = monotonic()
            if not self._holder:
                self._member = Member.join(self._store, self._settings, "client", self._node)
                self._holder = self._member.enlist()
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._beat, args=(self._member, self._stop), name="onserver-beat", daemon=True
                )
                self._thread.start()
            return self._holder

    @contextmanager
    def holding(self) -> Iterator[str]:
        """While the block lasts something is held: the program stays a member."""
        holder = self.holder()
        with self._mutex:
            self._uses += 1
        try:
            yield holder
        finally:
            with self._mutex:
                self._uses -= 1
                self._used = monotonic()

    def close(self) -> None:
        """Leave at once; what is still held falls."""
        if self._pid != os.getpid():
            self._forget()
            return
        self._leave(only_idle=False)

    def _leave(self, *, only_idle: bool) -> bool:
        with self._mutex:
            if only_idle and (self._uses or monotonic() - self._used < IDLE_SECONDS):
                return False
            member, holder, thread = self._member, self._holder, self._thread
            self._member, self._holder, self._thread = None, "", None
            self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._settings.member.lease_seconds)
        if member is not None:
            with suppress(MemberFenced, BrokerUnavailable):  # dead already, or soon: what it held falls either way
                member.bury(holder)
                member.leave()
        return True

    def _beat(self, member: Member, stop: threading.Event) -> None:
        pause = self._settings.member.beat_seconds
        while not stop.wait(pause):
            try:
                member.beat()
            except MemberFenced:
                with self._mutex:
                    if self._member is member:
                        self._member, self._holder, self._thread = None, "", None
                return
            except BrokerUnavailable:
                continue  # the next beat says whether this member still lives
            if self._leave(only_idle=True):
                return


_clients: weakref.WeakSet[ClientMember] = weakref.WeakSet()


def _forget_in_child() -> None:
    for client in list(_clients):
        client._forget()  # the child has its own mutex, number and thread


os.register_at_fork(after_in_child=_forget_in_child)
