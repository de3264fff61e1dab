"""What a session may: its privileges as they were set, who is a guest, and what is promoted (specification 2.7 to 2.9).

Privileges are set in a session, and answered, in every kind of it. They *filter* code of the web only, which includes
that of a remote client's requests of the web; so guests and promotions are matters of the web.
"""

from __future__ import annotations

from collections.abc import Callable

from onserver.errors import PrivilegeDenied, SessionExpired
from onserver.session.given import Given, facts_given
from onserver.session.promotions import Place, place, scope_in
from onserver.session.record import SessionRecord
from onserver.session.records import SessionRecords
from onserver.session.roles import Roles
from onserver.session.roles_resources import Action, Resource, Verdict


class Privileged:
    """The part of a session that is about what it may; see `Session`."""

    _record: SessionRecord
    _records: SessionRecords
    _roles: Callable[[], Roles]
    _over: bool

    @property
    def id(self) -> str:
        """Its identifier."""
        raise NotImplementedError

    @property
    def record(self) -> SessionRecord:
        """What is kept of it."""
        raise NotImplementedError

    def _note(self, record: SessionRecord) -> None:
        raise NotImplementedError

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
