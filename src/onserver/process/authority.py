"""Who may: whether a caller may start a procedure, decided when it asks and once more when the process runs.

    asked    the privileges and roles of whoever asks, by today's `roles.json`; no round trip. Refused: nothing is sent
    run      the signed snapshot of who asked, by `roles.json` as it is then, and how the caller stands by then

| who asks | `requires=` | permissions of `roles.json` | how it stands when run |
|---|---|---|---|
| the server itself, a program outside of every session, `as_server()` | passes | pass | is not looked at |
| a web session | all of them | decide | looked at |
| another session | all of them | are not asked: only code of the web is (specification 1.1) | looked at |

Where nothing in `roles.json` says who may run a procedure that has `requires=`, that alone decides: its code has said
something. Where neither does, `restrictedByDefault` decides.

How a caller stands: what its session asked for is refused once that session was *dropped* by somebody, and what a user
of `onserver users` asked for, once that user was removed or everything of theirs was revoked; it counts when it was
first asked for, at whatever depth. A session that has expired, or was logged out, refuses nothing: the night job runs
after ann has gone home. The privileges of such a user are those of the snapshot that the user's roles still give.

A promotion is for what runs (specification 2.9): what is called in place has it, and it does not travel. What a
promoted function starts, its caller asks for; `as_server()` says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from onserver.errors import CallerRevoked, PrivilegeDenied
from onserver.process.caller import WEB, Caller, who_asks
from onserver.server import Server
from onserver.session.promotions import place, scope_in
from onserver.session.roles import Roles
from onserver.session.roles_resources import Resource, demands
from onserver.session.users import User, key_of_name, read_user

#: The function by which guests log in: where they have to, nothing in `roles.json` keeps them from it.
LOGIN: Final = "authentify"
#: How many answers are remembered for one reading of `roles.json`.
_REMEMBERED: Final = 10_000


def require_ask(server: Server, procedure: str, requires: tuple[str, ...], resource: Resource | None = None) -> None:
    """Refuse what whoever asks here and now may not start.

    Args:
        server: that is to run it.
        procedure: full name.
        requires: privileges that it takes, all of them.
        resource: what it is to `roles.json`; by default the method of its name.

    Raises:
        PrivilegeDenied: ONS-4103.
    """
    asking = who_asks()
    if asking is not None:
        server.part(Authority).require(Caller.read(asking), procedure, requires, resource)


def require_in_place(
    server: Server, procedure: str, requires: tuple[str, ...], resource: Resource | None = None
) -> None:
    """Refuse what whoever asks here may not call in place: as `require_ask`, and what is promoted here counts too.

    Args:
        server: whose function it is.
        procedure: its full name.
        requires: privileges that it takes, all of them.
        resource: what it is to `roles.json`; by default the method of its name.

    Raises:
        PrivilegeDenied: ONS-4103.
    """
    asking, found = who_asks(), place()
    if asking is not None:
        who = Caller.read(asking)
        promoted = () if found is None else scope_in(found).privileges
        who = replace(who, privileges=(*who.privileges, *promoted)) if promoted else who
        server.part(Authority).require(who, procedure, requires, resource)


def admit(
    server: Server,
    snapshot: Mapping[str, Any],
    procedure: str,
    requires: tuple[str, ...],
    resource: Resource | None = None,
) -> Mapping[str, Any]:
    """Refuse to run what its caller may not have run by now.

    Args:
        server: that runs it.
        snapshot: of who asked, verified.
        procedure: full name.
        requires: privileges that it takes, all of them.
        resource: what it is to `roles.json`; by default the method of its name.

    Returns:
        The snapshot, less the privileges that its user has lost meanwhile.

    Raises:
        CallerRevoked: ONS-4107, its session was dropped, its user removed or revoked.
        PrivilegeDenied: ONS-4103.
    """
    if "kind" not in snapshot:
        return snapshot  # the server itself
    return server.part(Authority).admit(Caller.read(snapshot), procedure, requires, resource)


@dataclass(frozen=True)
class _Force:
    """One reading of `roles.json`, and what was allowed by it."""

    roles: Roles
    allowed: set[object] = field(default_factory=set[object])


class Authority:
    """Decides for one server. Made by `server.part(Authority)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._force = _Force(Roles())

    def require(
        self, caller: Caller, procedure: str, requires: tuple[str, ...], resource: Resource | None = None
    ) -> None:
        """Refuse what a caller may not start, by `roles.json` as it is now.

        Raises:
            PrivilegeDenied: ONS-4103.
        """
        if caller.is_server:
            return
        roles, force = self._server.require_roles(), self._force
        if force.roles is not roles:
            force = self._force = _Force(roles)
        asked = resource or Resource("method", procedure)
        question = caller.kind == WEB, caller.privileges, caller.roles, asked, requires
        if question in force.allowed:
            return
        _decide(roles, caller, procedure, requires, asked)
        if len(force.allowed) >= _REMEMBERED:
            force.allowed.clear()
        force.allowed.add(question)

    def admit(
        self, caller: Caller, procedure: str, requires: tuple[str, ...], resource: Resource | None = None
    ) -> Mapping[str, Any]:
        """Refuse to run what its caller may not have run; see `admit` of this module."""
        standing = self._standing(caller)
        self.require(standing, procedure, requires, resource)
        return standing.snapshot()

    def _standing(self, caller: Caller) -> Caller:
        """Answer the caller with what is left of its privileges. One round trip, none for a caller without session.

        Raises:
            CallerRevoked: ONS-4107.
        """
        store, login = self._server.store, key_of_name(caller.login)
        asked: list[tuple[str, str, str]] = []
        if caller.session:
            asked.append(("HGET", store.key("dropped"), caller.session))
        if login:
            asked += [("HGET", store.key("users"), login), ("HGET", store.key("revoked"), login)]
        found: list[Any] = store.pipeline(asked) if asked else []
        dropped = found.pop(0) if caller.session else None
        if dropped is not None:
            raise _revoked(caller, f"session {caller.session} was dropped", json.loads(dropped))
        if not login:
            return caller
        kept, revoked = found
        return self._limited(caller, _user_of(caller, kept, revoked))

    def _limited(self, caller: Caller, user: User) -> Caller:
        roles = self._server.require_roles()
        given, left = roles.expand((*caller.privileges, *caller.roles)), roles.expand(user.roles)
        if given <= left:
            return caller
        of_roles = tuple(role for role in caller.roles if roles.expand([role]) <= left)
        return replace(caller, privileges=tuple(sorted(given & left)), roles=of_roles)


def _decide(roles: Roles, caller: Caller, procedure: str, requires: Sequence[str], resource: Resource) -> None:
    granted = (*caller.privileges, *caller.roles)
    for privilege in requires:
        if not roles.holds(granted, privilege):
            raise PrivilegeDenied(privilege, caller.user, caller.roles, roles.givers(privilege), procedure)
    if caller.kind != WEB or (roles.force_login and procedure.rpartition(".")[2] == LOGIN):
        return
    demand = next(iter(demands(roles.permissions, "execute", resource)))
    if demand.level is None and requires:
        return
    verdict = roles.may(granted, "execute", resource)
    if not verdict:
        wanted = demand.any_of[0] if demand.any_of else ""
        givers = tuple(dict.fromkeys(role for one in demand.any_of for role in roles.givers(one)))
        raise PrivilegeDenied(wanted, caller.user, caller.roles, givers, procedure, verdict.why)


def _user_of(caller: Caller, kept: bytes | None, revoked: bytes | None) -> User:
    """Answer the user in whose name was asked.

    Raises:
        CallerRevoked: ONS-4107, it is not there any more, or is another of that name, or was revoked.
    """
    user = read_user(kept) if kept else None
    if user is None or user.made_ms > caller.asked_ms:
        raise _revoked(caller, f"user {caller.login} was removed")
    if revoked is not None:
        facts = json.loads(revoked)
        if facts["at"] >= caller.asked_ms:
            raise _revoked(caller, f"what {caller.login} had asked for was revoked", facts)
    return user


def _revoked(caller: Caller, problem: str, facts: Mapping[str, Any] | None = None) -> CallerRevoked:
    facts = facts or {}
    by, reason = str(facts.get("by") or ""), str(facts.get("reason") or "")
    return CallerRevoked(caller.user, caller.session, problem, by, reason, int(facts.get("at") or 0))
