"""What there is to see of privileges and roles: what the file says, what is in force, who may do what, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from onserver.errors import PrivilegeDenied, UserNotFound
from onserver.process.authority import Authority
from onserver.process.caller import WEB, Caller
from onserver.server import Server
from onserver.session.roles import Roles
from onserver.session.roles_difference import Difference, difference
from onserver.session.roles_file import FILE, Reading, read_roles_file
from onserver.session.roles_noted import Noted, noted
from onserver.session.roles_resources import GUEST, Permission, Resource, Verdict, key_of
from onserver.session.users import Users


@dataclass(frozen=True, kw_only=True)
class RolesSeen:
    """How the roles of a server stand.

    Attributes:
        there: whether the project has the file.
        reading: what came of reading it now; None where there is none.
        force: what is in force in this program: of a file that is wrong, what held before.
        noted: the reading that somebody has taken note of last.
        changed: what the file grants and withdraws since then; None where it is wrong, or not there.
    """

    there: bool
    reading: Reading | None
    force: Roles
    noted: Noted | None
    changed: Difference | None


def look(server: Server) -> RolesSeen:
    """Look how the roles of a server stand, by the file that this program sees."""
    reading = read_roles_file(server.project / FILE) if server.project else None
    before = noted(server.store)
    changed = None
    if reading is not None and reading.roles is not None:
        changed = difference(before.roles if before else Roles(), reading.roles)
    force = server.require_roles()
    return RolesSeen(there=reading is not None, reading=reading, force=force, noted=before, changed=changed)


def as_dict(known: Roles) -> dict[str, Any]:
    """Answer what roles say, ready for JSON."""
    return {
        "roles": [
            {"role": role, "privileges": list(found), "gives": list(known.listed([role]))}
            for role, found in known.roles.items()
        ],
        "privileges": [
            {
                "privilege": name,
                "includes": list(found),
                "gives": list(known.listed([name])),
                "given_by": list(known.givers(name)),
            }
            for name, found in known.privileges.items()
        ],
        "permissions": [
            {
                "applyTo": one.resource.name,
                "type": one.resource.type,
                "actions": {action: list(names) for action, names in one.actions.items()},
                "promote": list(one.promote),
            }
            for one in known.permissions.values()
        ],
        "restrictedByDefault": known.restricted_by_default,
        "forceLogin": known.force_login,
    }


def accesses(permission: Permission) -> Iterator[tuple[str, str]]:
    """Yield each access that a permission speaks of, and the privileges of which it takes one."""
    for action, names in permission.actions.items():
        yield f"{action} {permission.resource.type} {permission.resource.name}", ", ".join(names)
    if permission.promote:
        resource = permission.resource
        yield f"{resource.type} {resource.name} has while it runs", ", ".join(permission.promote)


def chains(known: Roles, privilege: str, most: int = 10) -> Sequence[tuple[str, ...]]:
    """Return how a privilege includes those that include nothing more, the shortest way to each.

    Args:
        known: in force.
        privilege: its name.
        most: how many at most.
    """
    ways: list[tuple[str, ...]] = []
    for one in known.listed([privilege]):
        if len(ways) < most and not known.privileges.get(one) and key_of(one) != key_of(privilege):
            ways.append(known.way([privilege], one))
    return ways


# -- may somebody do something


@dataclass(frozen=True, kw_only=True)
class Somebody:
    """Whose privileges are asked for.

    Attributes:
        name: for people.
        kind: `user`, `session`, `role` or `privilege`.
        granted: roles and privileges, as they were given.
    """

    name: str
    kind: str
    granted: Sequence[str]


def somebody(server: Server, word: str) -> Somebody | None:
    """Find out who is meant: a user, a role or a privilege, or a session by its id.

    Args:
        server: whose they are.
        word: the name.

    Returns:
        None where nobody is called so.
    """
    known = server.require_roles()
    with suppress(UserNotFound):
        user = Users(server.store).get(word)
        return Somebody(name=user.name, kind="user", granted=user.roles)
    role, privilege = known.role(word), known.spelled(word)
    if role is not None:
        return Somebody(name=role, kind="role", granted=(role,))
    if privilege is not None or key_of(word) == GUEST:
        return Somebody(name=privilege or GUEST, kind="privilege", granted=(privilege or GUEST,))
    record = server.sessions.records.read(word.upper())
    return Somebody(name=record.user or record.id, kind="session", granted=record.granted) if record else None


def may_start(server: Server, who: Somebody, procedure: str) -> tuple[Verdict, bool]:
    """Tell whether a session of the web that was granted this may start a procedure, and why.

    Args:
        server: whose procedure it is.
        who: asks.
        procedure: full name.

    Returns:
        The answer, and whether the server knows the procedure.
    """
    told = server.store.command("HGET", server.store.key("procedures"), procedure)
    facts: dict[str, Any] = json.loads(told) if told else {}
    requires = tuple(map(str, facts.get("requires", ())))
    known, caller = server.require_roles(), Caller(user=who.name, kind=WEB, roles=tuple(who.granted))
    try:
        server.part(Authority).require(caller, procedure, requires)
    except PrivilegeDenied as denied:
        return Verdict(False, f"{denied.message} {denied.hint}".strip()), told is not None
    whys = [known.holds(who.granted, one).why for one in requires]
    if not requires or known.permissions:
        verdict = known.may(who.granted, "execute", Resource("method", procedure))
        whys += [verdict.why] if verdict.allowed else []
    return Verdict(True, "; ".join(dict.fromkeys(whys))), told is not None
