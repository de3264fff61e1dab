"""The session: who is working, and what they may (specification 2).

The stored-procedure session is the one of the server's virtual user, one for each life of a server: all procedures and
hooks share it. Sessions of the web and of remote clients are opened for each of them. Names are those of Python; the
original's spelling is kept beside them, so that code that was carried over reads the same.

Privileges are set in a session, and answered, in every kind of it. They *filter* code of the web only, which includes
that of a remote client's requests of the web; so guests, promotions and `restore` are matters of the web.

A session is answered from its record as it was read, with the request or the run, and read anew when that is older than
a beat. What is changed through it is seen by it at once. Once it is over it has no privileges any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Final, Protocol

import msgspec

from onserver.session.entity_sets import EntitySets
from onserver.session.info import Info, info_of
from onserver.session.privileged import Privileged
from onserver.session.quotas import QuotaManager
from onserver.session.record import SessionRecord
from onserver.session.records import Message, SessionRecords
from onserver.session.roles import Roles
from onserver.session.storage import Storage

#: The shortest time that a session of the web may last unused, and the one of a session that has no such limit.
LEAST_IDLE_MINUTES: Final = 60
#: How long a token of a session that is not of the web is good for, and the shortest time of any.
LEAST_TOKEN_SECONDS: Final = 10

#: The original's spelling of names.
_SPELLED: Final = {
    "userName": "user_name",
    "idleTimeout": "idle_timeout",
    "expirationDate": "expiration_date",
    "setPrivileges": "set_privileges",
    "clearPrivileges": "clear_privileges",
    "getPrivileges": "get_privileges",
    "hasPrivilege": "has_privilege",
    "isGuest": "is_guest",
    "createOTP": "create_otp",
}


class Keeping(Protocol):
    """What a session needs of those it is one of."""

    @property
    def beat_seconds(self) -> float:
        """How old an answer may be."""
        ...

    def of(self, record: SessionRecord) -> Session:
        """Return the session that a record is of."""
        ...

    def close(self, identity: str) -> bool:
        """End a session whose user has left."""
        ...


class Session(Privileged):
    """A session.

    Args:
        record: as it was read.
        records: through which it is changed.
        storage: its storage.
        roles: answers the privileges and roles in force.
        sessions: which it is one of.

    Example:
        >>> Server.current().session().user_name  # in a procedure: session().user_name
        'server'

    4D: the Session class (specification 2).
    """

    def __init__(
        self,
        record: SessionRecord,
        records: SessionRecords,
        storage: Storage,
        roles: Callable[[], Roles],
        sessions: Keeping,
    ) -> None:
        self._record = record
        self._records = records
        self._storage = storage
        self._roles = roles
        self._sessions = sessions
        self._read_at = monotonic()
        self._over = False

    # -- what it is

    @property
    def id(self) -> str:
        """Its identifier: 32 upper-case hexadecimal digits."""
        return self._record.id

    @property
    def record(self) -> SessionRecord:
        """What is kept of it: as it was read last, at most a beat ago."""
        if self._record.id and monotonic() - self._read_at > self._sessions.beat_seconds:
            found = self._records.read(self._record.id)
            self._over = found is None
            self._note(found or msgspec.structs.replace(self._record, privileges=(), roles=()))
        return self._record

    @property
    def user_name(self) -> str:
        """The name of its user; empty for a guest."""
        return self.record.user

    @property
    def storage(self) -> Storage:
        """The storage that everything in the session shares; its content is changed inside `use`."""
        return self._storage

    @property
    def info(self) -> Info:
        """Facts about the session, taken anew at each read: take it once where several are needed."""
        return info_of(self.record)

    # -- how long it lasts

    @property
    def idle_timeout(self) -> int:
        """How long it lasts unused, in minutes; 0 without end. Set to less than 60 it is 60.

        Raises:
            AttributeError: it is no session of the web; those have no such time.
            SessionExpired: ONS-4102, on setting.
        """
        self._require_web("idle timeout")
        return self.record.idle_ms // 60_000

    @idle_timeout.setter
    def idle_timeout(self, minutes: int) -> None:
        self._require_web("idle timeout")
        self._note(self._records.write(self.id, idle_ms=max(int(minutes), LEAST_IDLE_MINUTES) * 60_000))

    @property
    def expiration_date(self) -> str:
        """When it ends if it is not used again, as `2026-11-26T12:30:00.000Z`; empty for never.

        Raises:
            AttributeError: it is no session of the web; those do not expire.
        """
        self._require_web("expiration date")
        until = self.record.until_ms
        if not until:
            return ""
        return datetime.fromtimestamp(until / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def quotas(self) -> QuotaManager:
        """The limits of its REST requests."""
        return QuotaManager(lambda: self.record.quotas, self._set_quotas, self.entity_sets)

    def entity_sets(self, wait: float | None = None) -> EntitySets:
        """The sets of entities that it has made by REST.

        Args:
            wait: seconds that a change of them waits while others change the storage; None for as long as it takes.
        """
        return EntitySets(self.storage, self._records.now_ms, wait)

    def close(self) -> bool:
        """End it, as when its user logs out: what it has asked for runs on. False where it was over already."""
        self._read_at = float("-inf")
        return self._sessions.close(self.id)

    # -- one-time tokens

    def create_otp(self, seconds: float | None = None) -> str:
        """Make a token by which another request of the web joins this session, once.

        Args:
            seconds: how long it is good for, at least 10. None: in a session of the web as long as its `idle_timeout`,
                in any other 10 seconds.

        Raises:
            SessionExpired: ONS-4102.

        4D: `.createOTP()`.
        """
        if seconds is None and self._record.kind == "web":
            seconds = (self.idle_timeout or LEAST_IDLE_MINUTES) * 60
        return self._records.new_token(self.id, max(seconds or 0, LEAST_TOKEN_SECONDS))

    def restore(self, token: str) -> bool:
        """Serve the request of the web that is running in the session of a token instead, with its storage.

        Returns:
            True; False, and everything is as it was, where the token is unknown, was used or is too old, its session is
            over, or this is not the session of such a request. Whatever became of it, a token that was tried is spent.

        4D: `.restore()`.
        """
        here = self._place()
        if here is None or here.request is None or self._record.kind != "web":
            return False
        found = self._records.redeem(token)
        if found is None:
            return False
        here.request.session = self._sessions.of(found)
        return True

    # -- messages

    def messages(self) -> Sequence[Message]:
        """Take the messages that were left for it, the oldest first."""
        return self._records.mail(self.id)

    # -- inside

    def _note(self, record: SessionRecord) -> None:
        self._record, self._read_at = record, monotonic()

    def _set_quotas(self, quotas: Mapping[str, int | None]) -> None:
        self._note(self._records.write(self.id, quotas=quotas))

    def _require_web(self, what: str) -> None:
        if self._record.kind != "web":
            raise AttributeError(f"a {self._record.kind} session has no {what}; only sessions of the web have one")

    def __repr__(self) -> str:
        return f"<Session {self.id} of {self._record.user or 'a guest'}>"

    def __init_subclass__(cls) -> None:
        """Let what a subclass changes be changed under the original's name as well."""
        super().__init_subclass__()
        for spelled, name in _SPELLED.items():
            if name in vars(cls):
                setattr(cls, spelled, vars(cls)[name])

    # the original's spelling, which `_SPELLED` lists
    userName = user_name  # noqa: N815
    idleTimeout = idle_timeout  # noqa: N815
    expirationDate = expiration_date  # noqa: N815
    setPrivileges = Privileged.set_privileges  # noqa: N815
    clearPrivileges = Privileged.clear_privileges  # noqa: N815
    getPrivileges = Privileged.get_privileges  # noqa: N815
    hasPrivilege = Privileged.has_privilege  # noqa: N815
    isGuest = Privileged.is_guest  # noqa: N815
    createOTP = create_otp  # noqa: N815
