"""The session of one request of the web, as `session()` answers it there.

It is read when something is first asked of it, in one round trip; its use is noted in the background. A request that
never looks at its session makes none.

Where the cookie leads nowhere, the session is a *guest's*: a session as any other, with an id, a storage and no
privileges. Nothing of it is in Redis until something is to be kept: its id is told, its storage is used, privileges are
set, a token is made, a process is started. So what only looks (a crawler, a health check) leaves nothing behind.

Whoever signs in, or gets privileges that the session had not, gets a new id: an id that somebody has planted or seen
before leads nowhere afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from onserver.session.context import Served
from onserver.session.given import Given
from onserver.session.info import Info
from onserver.session.promotions import Place, place
from onserver.session.record import SessionRecord, kept_in, signed_in
from onserver.session.records import Message
from onserver.session.roles import Roles
from onserver.session.session import Session
from onserver.session.sessions import Sessions, new_identity
from onserver.session.storage import Storage

#: What `Session` has once it was read.
_READ: Final = frozenset({"_record", "_storage", "_read_at", "_over"})


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who sends a request.

    Attributes:
        identity: the id that the cookie has; empty for none.
        ip: the address that the request is from.
        agent: what the browser says that it is.
        type: `web` or `rest`.
    """

    identity: str = ""
    ip: str = ""
    agent: str = ""
    type: str = "web"


class Host(Protocol):
    """The web server that received the request, as a session needs to know it."""

    @property
    def sessions(self) -> Sessions:
        """The sessions of its server."""
        ...

    def roles(self) -> Roles:
        """Return the privileges and roles in force."""
        ...

    def take(self, visitor: Visitor) -> SessionRecord | None:
        """Return the record of the session of a visitor, and note that it is used; None where there is none."""
        ...

    def blank(self, visitor: Visitor, identity: str) -> SessionRecord:
        """Return what the record of a new session will be."""
        ...

    def open(self, visitor: Visitor, identity: str, data: Mapping[str, bytes] | None = None) -> SessionRecord:
        """Open a session, with what a web framework keeps in it."""
        ...


class WebSession(Session):
    """The session of one request. See the top of this module.

    Args:
        host: the web server.
        visitor: who sends the request.
    """

    def __init__(self, host: Host, visitor: Visitor) -> None:
        # what `Session` is made of comes when it is first asked for, see `__getattr__`
        self._host = host
        self._visitor = visitor
        self._sessions = host.sessions
        self._records = host.sessions.records
        self._roles = host.roles
        self._reading = threading.RLock()
        self._guest = False
        self._fresh = self._left = self._looked = False
        self._before: SessionRecord | None = None

    def __getattr__(self, name: str) -> Any:
        if name not in _READ:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        with self._reading:
            if "_record" not in self.__dict__:
                self._load()
            if name == "_storage" and name not in self.__dict__:
                self._storage = self._host.sessions.storage_of(self._record)
                self._storage.before_use = self._keep if self._guest else None
        return self.__dict__[name]

    # -- for who serves the request

    @property
    def touched(self) -> bool:
        """Whether anything was asked of it yet."""
        return "_record" in self.__dict__

    @property
    def kept(self) -> bool:
        """Whether there is, or was when it was read, something of it in Redis."""
        return self.touched and not self._guest

    @property
    def left(self) -> bool:
        """Whether it was closed in this request."""
        return self._left

    @property
    def looked(self) -> bool:
        """Whether the application has asked something of it, so that its answer may depend on it."""
        return self._looked

    def look(self) -> None:
        """Note that the answer may depend on it."""
        self._looked = True

    def load(self) -> None:
        """Read it, if it was not read yet. One round trip, none where the request has no cookie."""
        _ = self._record

    @property
    def data(self) -> Mapping[str, bytes]:
        """What a web framework keeps in it, as it was read last."""
        return self._record.data

    def refresh(self) -> None:
        """Have it read anew when it is asked next: somebody else may have changed it just now."""
        self._read_at = float("-inf")

    def settle(self) -> str:
        """Return the id that the browser is to have from now on; a new one where somebody has signed in meanwhile."""
        if not self.kept:
            return ""
        record = self.record
        if not self._over and self._signed_in(record):
            self.rotate()
        return "" if self._over else self._record.id

    # -- what is different from any session

    @property
    def id(self) -> str:
        """Its identifier: 32 upper-case hexadecimal digits. Asked for, a guest's session is kept."""
        self._keep()
        return self._record.id

    @property
    def storage(self) -> Storage:
        """The storage that everything in the session shares; a guest's is kept from its first use."""
        self._looked = True
        return super().storage

    @property
    def record(self) -> SessionRecord:
        """What is kept of it: as it was read last, at most a beat ago."""
        self._looked = True
        return self._record if self.touched and self._guest else super().record

    @property
    def info(self) -> Info:
        """Facts about the session, taken anew at each read."""
        self._keep()
        return super().info

    @property
    def expiration_date(self) -> str:
        """When it ends if it is not used again, as `2026-11-26T12:30:00.000Z`; empty for never."""
        self._keep()
        return super().expiration_date

    def set_privileges(self, given: Given) -> bool:
        """Give the session privileges, and a new id where somebody signs in by that; see `Session.set_privileges`."""
        done = super().set_privileges(given)
        if self._signed_in(self._record):
            self.rotate()
        return done

    def rotate(self) -> None:
        """Give it a new id: the old one leads nowhere from now on. Its storage and all else stay.

        Raises:
            SessionExpired: ONS-4102.
        """
        with self._reading:
            self._keep()
            self._note(self._host.sessions.rotate(self._record.id).record)
            self._before = self._record

    def keep_data(self, changed: Mapping[str, bytes | None], **facts: Any) -> None:
        """Write what a web framework keeps in it: the keys that have changed, None for those to be removed.

        Raises:
            SessionExpired: ONS-4102.
        """
        with self._reading:
            if self._guest:
                self._keep({key: value for key, value in changed.items() if value is not None})
                changed = {}
        if facts:
            self._note(self._records.write(self._record.id, data=changed, **facts))
        elif changed:
            told = self._records.keep(self._record.id, changed)
            self._record = kept_in(self._record, changed, told)  # read anew when it would have been

    def close(self) -> bool:
        """End it, as when its user logs out: what it has asked for runs on. `session()` is a new guest's afterwards."""
        self.load()
        with self._reading:
            ended = self.kept and self._sessions.close(self._record.id)
            self._left = self._left or self.kept
            self._become_guest()
        return ended

    def messages(self) -> list[Message]:
        """Take the messages that were left for it, the oldest first."""
        self.load()
        return list(super().messages()) if self.kept else []

    # -- inside

    def _load(self) -> None:
        found = self._host.take(self._visitor) if self._visitor.identity else None
        if found is None:
            self._become_guest()
            return
        self._over = False
        self._before = found
        self._note(found)

    def _become_guest(self) -> None:
        record = self._host.blank(self._visitor, new_identity())
        self._guest, self._fresh, self._over = True, False, False
        self.__dict__.pop("_storage", None)
        self._before = record
        self._note(record)

    def _keep(self, data: Mapping[str, bytes] | None = None) -> None:
        """Open the session, if it is a guest's of whom nothing is kept yet."""
        self._looked = True
        with self._reading:
            if self._record.id and self._guest:
                self._note(self._host.open(self._visitor, self._record.id, data))
                self._guest, self._fresh = False, True

    def _signed_in(self, now: SessionRecord) -> bool:
        """Whether somebody has signed in since it was read, under an id that others may know."""
        return now.kind == "web" and not self._fresh and self._before is not None and signed_in(self._before, now)

    def _place(self) -> Place | None:
        here = place()
        return here if here is not None and here.session is self else None


def settle_joined(sessions: Sessions, served: Served) -> str:
    """Return the id that the browser is to have of a session into which a token has brought it; empty for none.

    A new one where somebody has signed in meanwhile: whoever has made the token knows the old one.

    Args:
        sessions: of the server.
        served: the request.
    """
    began, session = served.began, served.session
    found = None if session is None else sessions.records.read(session.record.id)  # a worker may have changed it
    if found is None or found.kind == "storedProcedure":
        return ""
    if found.kind == "web" and began is not None and signed_in(began, found):
        served.session = sessions.rotate(found.id)
        return served.session.id
    return found.id
