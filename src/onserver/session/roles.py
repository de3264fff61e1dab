"""Privileges and roles, as `config/roles.json` has them, and the questions that can be asked about them.

A privilege is a name; it may include others. A role gathers privileges and is only a way to give them. A permission
says which privileges an access takes. Upper and lower case do not count in these names. One that is not declared gives
nothing, and is no error. `guest` needs no declaration: every session has it; a file that declares it says what
everybody has.

How an access is decided (specification 8.5): each level is inherited by those below it, the nearest that says something
decides, an attribute adds to its dataclass, one privilege of several is enough, update and drop take read as well;
where nothing is said, `restrictedByDefault` decides. `roles_resources` has the levels.

The roles are a value: read from a file and checked as a whole (`roles_file`), never changed, compared by
`roles_difference`, and replaced by `roles_watch` when the file is. Nobody asks the file itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import chain

from onserver.session.roles_resources import (
    GUEST,
    Action,
    Demand,
    Permission,
    Resource,
    Verdict,
    demands,
    key_of,
    promoted,
    require_action,
)


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Everything that one `roles.json` says; without arguments what holds where there is none: all is closed.

    Attributes:
        privileges: each one, as it is spelled where it is declared, and what it includes.
        roles: each role and its privileges.
        permissions: each resource and what it asks for.
        restricted_by_default: whether what nothing is said about is closed.
        force_login: whether a web session without login may do nothing but log in.

    Example:
        >>> roles = Roles(privileges={"read": (), "write": ("read",)}, roles={"clerk": ("write",)})
        >>> sorted(roles.expand(["Clerk"]))
        ['read', 'write']
        >>> roles.holds(["clerk"], "read").why
        '`clerk` gives `write`, which includes `read`'

    4D: roles.json (specification 8).
    """

    privileges: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    permissions: Mapping[Resource, Permission] = field(default_factory=dict[Resource, Permission])
    restricted_by_default: bool = True
    force_login: bool = True

    def expand(self, privileges_and_roles: Iterable[str]) -> frozenset[str]:
        """Return all privileges that these names give: their own, those of roles, and what is included in them.

        Args:
            privileges_and_roles: names; one that is not declared gives nothing.
        """
        return frozenset(self.listed(privileges_and_roles))

    def listed(self, privileges_and_roles: Iterable[str]) -> tuple[str, ...]:
        """Return what `expand` does in an order: what is included stands before what includes it.

        4D: the order of `getPrivileges` is not specified; its only sample has this one.
        """
        given = [self._given.get(key_of(name), ()) for name in _names(privileges_and_roles)]
        return tuple(dict.fromkeys(chain.from_iterable(given)))

    def holds(self, granted: Iterable[str], privilege: str) -> Verdict:
        """Tell whether these privileges and roles give this privilege.

        Args:
            granted: what was given to whoever asks.
            privilege: its name.
        """
        granted = _names(granted)
        declared = self.spelled(privilege)
        if declared is None and key_of(privilege) != GUEST:
            return Verdict(False, f"`{privilege}` is not declared, so nobody has it")
        path = self._path([*granted, GUEST], privilege)
        if path:
            return Verdict(True, _told(path))
        return Verdict(False, f"{self._none_of(granted, [declared or privilege])}; {self._givers_told(privilege)}")

    def may(self, granted: Iterable[str], action: Action, resource: Resource) -> Verdict:
        """Tell whether these privileges and roles are enough for an access, and why.

        Args:
            granted: what was given to whoever asks; `guest` besides.
            action: `create`, `read`, `update`, `drop` or `execute`.
            resource: what is accessed.

        Raises:
            ValueError: this type of resource has no such action.

        Example:
            >>> Roles(restricted_by_default=False).may([], "execute", Resource("method", "shop.add")).allowed
            True
        """
        require_action(action, resource)
        granted = _names(granted)
        reasons: list[str] = []
        for demand in demands(self.permissions, action, resource):
            verdict = self._met(demand, granted, resource)
            if not verdict.allowed:
                hidden = resource.type == "attribute" and action == "read"
                return Verdict(False, verdict.why, left_out=hidden)
            reasons.append(verdict.why)
        return Verdict(True, "; ".join(dict.fromkeys(reasons)))

    def way(self, granted: Iterable[str], privilege: str) -> tuple[str, ...]:
        """Return how these names lead to a privilege: what was granted first, then what is included, the shortest way.

        Args:
            granted: what was given to whoever asks; `guest` besides.
            privilege: its name.

        Returns:
            The names, the privilege last; nothing where they do not give it.

        Example:
            >>> roles = Roles(privileges={"read": (), "write": ("read",)}, roles={"clerk": ("write",)})
            >>> roles.way(["clerk"], "read")
            ('clerk', 'write', 'read')
        """
        return self._path([*_names(granted), GUEST], privilege)

    def promotes(self, resource: Resource) -> frozenset[str]:
        """Return the privileges that a function has while it runs, whoever called it, with what they include."""
        return self.expand(promoted(self.permissions, resource))

    def givers(self, privilege: str) -> tuple[str, ...]:
        """Return the roles that give a privilege, in the order of the file."""
        return self._givers.get(key_of(privilege), ())

    def spelled(self, privilege: str) -> str | None:
        """Return a privilege's name as it is declared; None if it is not."""
        return self._spellings.get(key_of(privilege))

    def role(self, name: str) -> str | None:
        """Return a role's name as it is declared; None if it is not."""
        found = self._roles.get(key_of(name))
        return found[0] if found else None

    # -- what is known of each name, found once

    @cached_property
    def _spellings(self) -> Mapping[str, str]:
        return {key_of(name): name for name in self.privileges}

    @cached_property
    def _includes(self) -> Mapping[str, tuple[str, ...]]:
        return {key_of(name): found for name, found in self.privileges.items()}

    @cached_property
    def _roles(self) -> Mapping[str, tuple[str, tuple[str, ...]]]:
        return {key_of(name): (name, found) for name, found in self.roles.items()}

    @cached_property
    def _given(self) -> Mapping[str, tuple[str, ...]]:
        """Each name and all privileges that it gives, what is included first."""
        known = self._spellings
        includes = {name: [key_of(one) for one in found] for name, found in self._includes.items()}
        given: dict[str, tuple[str, ...]] = {}
        for name in TopologicalSorter(includes).static_order():
            if name in known:
                below = chain.from_iterable(given.get(one, ()) for one in includes[name])
                given[name] = (*dict.fromkeys(below), known[name])
        for role, privileges in self.roles.items():
            of_role = [given.get(key_of(one), ()) for one in privileges]
            # A privilege of the same name means the same: `roles_names` refuses a file where it does not.
            given[key_of(role)] = tuple(dict.fromkeys((*given.get(key_of(role), ()), *chain.from_iterable(of_role))))
        return given

    @cached_property
    def _reached(self) -> Mapping[str, frozenset[str]]:
        """What `_given` has, by what two spellings have in common."""
        return {key: frozenset(map(key_of, found)) for key, found in self._given.items()}

    @cached_property
    def _givers(self) -> Mapping[str, tuple[str, ...]]:
        givers: dict[str, tuple[str, ...]] = {}
        for role in self.roles:
            for key in self._reached[key_of(role)]:
                givers[key] = (*givers.get(key, ()), role)
        return givers

    # -- reasons

    def _met(self, demand: Demand, granted: tuple[str, ...], resource: Resource) -> Verdict:
        doing = f"to {demand.action} {resource}"
        if demand.level is None:
            says = "true" if self.restricted_by_default else "false"
            silent = f"nothing is said about who may {demand.action} {resource}"
            return Verdict(not self.restricted_by_default, f"{silent}, and `restrictedByDefault` is {says}")
        by = "" if demand.level == resource else f" by {demand.level}"
        asked = f"{doing}, {_either(demand.any_of)} is asked for{by}"
        for privilege in demand.any_of:
            path = self._path([*granted, GUEST], privilege)
            if path:
                return Verdict(True, f"{asked}, and {_told(path)}")
        givers = dict.fromkeys(role for privilege in demand.any_of for role in self.givers(privilege))
        return Verdict(False, f"{asked}, and {self._none_of(granted, demand.any_of)}; {_given_by(givers)}")

    def _path(self, granted: Sequence[str], privilege: str) -> tuple[str, ...]:
        """Return how a name that was granted leads to a privilege, the shortest way; nothing if none does."""
        wanted = key_of(privilege)
        if wanted != GUEST and not any(wanted in self._reached.get(key_of(name), ()) for name in granted):
            return ()
        gives, roles = self._includes, self._roles
        line: deque[tuple[str, ...]] = deque()
        for name in granted:
            key = key_of(name)
            if key in roles:
                line.extend((roles[key][0], one) for one in roles[key][1])
            if key in gives or key == GUEST:
                line.append((self._spellings.get(key, GUEST),))
        seen: set[str] = set()
        while line:
            path = line.popleft()
            key = key_of(path[-1])
            if key == wanted:
                return tuple(
                    self._spellings.get(key_of(name), name) if step else name for step, name in enumerate(path)
                )
            if key not in seen:
                seen.add(key)
                line.extend((*path, one) for one in gives.get(key, ()))
        return ()

    def _none_of(self, granted: tuple[str, ...], wanted: Iterable[str]) -> str:
        one = "it" if len(tuple(wanted)) == 1 else "one"
        if not granted:
            return f"nothing that would give {one} was granted"
        return f"{', '.join(f'`{name}`' for name in granted)} {'does' if len(granted) == 1 else 'do'} not give {one}"

    def _givers_told(self, privilege: str) -> str:
        return _given_by(self.givers(privilege))


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _either(privileges: Iterable[str]) -> str:
    return " or ".join(f"`{name}`" for name in privileges)


def _given_by(roles: Iterable[str]) -> str:
    told = ", ".join(roles)
    return f"granted by: {told}" if told else "no role grants it"


def _told(path: tuple[str, ...]) -> str:
    first, *rest = path
    if not rest:
        return f"everybody has `{first}`" if key_of(first) == GUEST else f"`{first}` was granted"
    included = ", which includes ".join(f"`{name}`" for name in rest)
    return (
        f"everybody has `{first}`, which includes {included}"
        if key_of(first) == GUEST
        else f"`{first}` gives {included}"
    )
