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

from onserver.errors import PrivilegeDenied, SessionExpired
from onserver.session.given import Given, facts_given
from onserver.session.info import Info, info_of
from onserver.session.promotions import Place, place, scope_in
from onserver.session.quotas import QuotaManager
from onserver.session.record import SessionRecord
from onserver.session.records import Message, SessionRecords
from onserver.session.roles import Roles
from onserver.session.roles_resources import Action, Resource, Verdict
from onserver.session.storage import Storage

#: The shortest time that a session of the web may last unused, and the one of a session that has no such limit.
LEAST_IDLE_MINUTES: Final = 60
#: How long a token of a session that is not of the web is good for, and the shortest time of any.
LEAST_TOKEN_SECONDS: Final = 10


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


class Session:
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
        return QuotaManager(lambda: self.record.quotas, self._set_quotas)

    def close(self) -> bool:
        """End it, as when its user logs out: what it has asked for runs on. False where it was over already."""
        self._read_at = float("-inf")
        return self._sessions.close(self.id)

    # -- what it may

    @property
    def roles(self) -> Roles:
        """What `roles.json` says now."""
        return self._roles()

    @property
    def privileges(self) -> list[str]:
        """The same as `get_privileges()`."""
        return self.get_privileges()

    def set_privileges(self, given: Given) -> bool:
        """Give the session privileges, in place of those that it has.

        Args:
            given: names of privileges, as a text with commas or a list; or a dict of `privileges` and `roles`, each a
                text or a list, and `userName`, which is taken in sessions of the web only. A dict of `userName` alone
                leaves privileges as they are. Names that `roles.json` does not declare are left out.

        Returns:
            True.

        Raises:
            TypeError: it is none of these; nothing was changed.
            SessionExpired: ONS-4102.

        Example:
            >>> Server.current().sessions.open("web").set_privileges({"userName": "ann", "roles": ["clerk"]})
            True

        4D: `.setPrivileges()`.
        """
        facts = facts_given(given, self._roles())
        if self._record.kind != "web":
            facts.pop("user", None)
        self._note(self._records.write(self.id, **facts))
        return True

    def clear_privileges(self) -> bool:
        """Take all privileges and roles from the session, but not what is promoted. Its user name stays.

        Returns:
            True.

        Raises:
            SessionExpired: ONS-4102.
        """
        self._note(self._records.write(self.id, privileges=(), roles=()))
        return True

    def get_privileges(self) -> list[str]:
        """Return the names of its privileges: those that were set, those of its roles, and what is included in them.

        What is included stands before what includes it; each name stands once, as it is declared. What is promoted is
        not among them.
        """
        return list(self._roles().listed(self.record.granted))

    def has_privilege(self, name: str) -> bool:
        """Whether it has a privilege, or the function that asks is promoted for it."""
        return bool(self._roles().holds(self._held(), name))

    def require(self, *names: str) -> None:
        """Refuse a session that lacks one of these privileges.

        Raises:
            PrivilegeDenied: ONS-4103, for the first one that is missing.
            SessionExpired: ONS-4102, it is over.
        """
        for name in names:
            if not self.has_privilege(name):
                if self._over:
                    raise SessionExpired(self.id)
                record = self._record
                raise PrivilegeDenied(name, record.user, record.roles, self._roles().givers(name))

    def may(self, action: Action, resource: Resource) -> Verdict:
        """Tell whether what runs here may access something, by the permissions of `roles.json`, and why.

        Args:
            action: `create`, `read`, `update`, `drop` or `execute`.
            resource: what is accessed.
        """
        return self._roles().may(self._held(), action, resource)

    def is_guest(self) -> bool:
        """Whether nobody has logged in; only a session of the web can be a guest's.

        With `forceLogin` it is one until `set_privileges` is called, else as long as it has no privilege.
        """
        record, roles = self.record, self._roles()
        if record.kind != "web":
            return False
        return not record.is_set if roles.force_login else not roles.expand(record.granted)

    def promote(self, name: str) -> int:
        """Give what runs here a privilege, until the function that calls this ends.

        Returns:
            A number for `demote`; 0, and nothing was done, where `roles.json` does not declare the privilege, it is
            promoted already, or this is not the session of a web request that is running here.

        4D: `.promote()`.
        """
        here, roles = self._place(), self._roles()
        if here is None or roles.spelled(name) is None:
            return 0
        scope = scope_in(here)
        return 0 if roles.holds(scope.privileges, name) else scope.promote(name)

    def demote(self, number: int) -> None:
        """Undo a promotion; a number that stands for none does nothing."""
        here = self._place()
        if here is not None:
            scope_in(here).demote(number)

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

    def _held(self) -> tuple[str, ...]:
        """Answer what was given to it, and what is promoted here."""
        here = self._place()
        return (*self.record.granted, *scope_in(here).privileges) if here else self.record.granted

    def _place(self) -> Place | None:
        """Answer where this session is the one in which code of the web runs."""
        here = place()
        if here is None or here.session is None:
            return None
        return here if here.session is self or here.session.record.id == self._record.id else None

    def _note(self, record: SessionRecord) -> None:
        self._record, self._read_at = record, monotonic()

    def _set_quotas(self, quotas: Mapping[str, int | None]) -> None:
        self._note(self._records.write(self.id, quotas=quotas))

    def _require_web(self, what: str) -> None:
        if self._record.kind != "web":
            raise AttributeError(f"a {self._record.kind} session has no {what}; only sessions of the web have one")

    def __repr__(self) -> str:
        return f"<Session {self.id} of {self._record.user or 'a guest'}>"

    # the original's spelling
    userName = user_name  # noqa: N815
    idleTimeout = idle_timeout  # noqa: N815
    expirationDate = expiration_date  # noqa: N815
    setPrivileges = set_privileges  # noqa: N815
    clearPrivileges = clear_privileges  # noqa: N815
    getPrivileges = get_privileges  # noqa: N815
    hasPrivilege = has_privilege  # noqa: N815
    isGuest = is_guest  # noqa: N815
    createOTP = create_otp  # noqa: N815
