"""What a session of the web may do with data, by the permissions of `roles.json` (specification 8.4, 8.5).

An attribute that may not be read is left out of what is told, and cannot be searched or sorted by: what may not be read
is not to be guessed either. Everything else that is not allowed is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from onserver.data.classes import Attribute, DataClass
from onserver.errors import PrivilegeDenied
from onserver.server import Server
from onserver.session.roles_resources import Action, Resource, Verdict
from onserver.session.session import Session


class Access:
    """What one request may, as long as its privileges are what they are.

    Args:
        server: whose `roles.json` decides.
        mine: the session of the request; None where the web server keeps none, which is a guest's.
    """

    def __init__(self, server: Server, mine: Session | None) -> None:
        self._server = server
        self._mine = mine
        self._known: dict[tuple[Action, Resource], Verdict] = {}

    def may(self, action: Action, resource: Resource) -> bool:
        """Whether it may."""
        return bool(self._verdict(action, resource))

    def require(self, action: Action, resource: Resource) -> None:
        """Refuse what it may not.

        Raises:
            PrivilegeDenied: ONS-4103.
        """
        verdict = self._verdict(action, resource)
        if not verdict:
            record = None if self._mine is None else self._mine.record
            user, roles = ("", ()) if record is None else (record.user, record.roles)
            raise PrivilegeDenied("", user, roles, (), resource.name, verdict.why)

    def readable(self, dataclass: DataClass) -> Mapping[str, Attribute]:
        """Answer the attributes that it may read."""
        attributes = dataclass.attributes
        return {name: one for name, one in attributes.items() if self.may("read", one.resource)}

    def _verdict(self, action: Action, resource: Resource) -> Verdict:
        found = self._known.get((action, resource))
        if found is None:
            roles = self._server.require_roles()
            found = roles.may((), action, resource) if self._mine is None else self._mine.may(action, resource)
            self._known[action, resource] = found
        return found
