"""What changed between two `roles.json`: what somebody may now that they could not, and the other way round.

What is compared is what the files mean, after inclusion: a privilege that is taken out of a role and is still given by
another one of it was not withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from onserver.session.roles import Roles
from onserver.session.roles_resources import ACTIONS, PROMOTING, Demand, Resource, demands, key_of, promoted

Kind: TypeAlias = Literal["role", "privilege", "permission", "promotion", "setting"]


@dataclass(frozen=True, order=True)
class Change:
    """One thing that was granted or withdrawn.

    Attributes:
        kind: `role` or `privilege`: it gives a privilege; `permission`: an access is open to whoever has it;
            `promotion`: a function has it while it runs; `setting`: what nothing is said about is open, or nobody has
            to log in.
        name: of the role or privilege, the action and the resource, or the setting.
        privilege: what was granted or withdrawn; empty: everybody.
    """

    kind: Kind
    name: str
    privilege: str = ""

    def __str__(self) -> str:
        if self.kind == "setting":
            return f"what is open while `{self.name}` is false"
        if self.kind == "permission":
            return f"{self.name}: for {f'`{self.privilege}`' if self.privilege else 'everybody'}"
        of = f"of {self.name}" if self.kind == "promotion" else f"`{self.name}`"
        return f"{self.kind} {of}: `{self.privilege}`"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What changed; false when nothing did.

    Attributes:
        granted: what is given now and was not.
        withdrawn: what was given and is no more.
    """

    granted: tuple[Change, ...] = ()
    withdrawn: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.granted or self.withdrawn)

    def __str__(self) -> str:
        told = [f"granted {change}" for change in self.granted] + [f"withdrawn {change}" for change in self.withdrawn]
        return "; ".join(told) or "nothing changed"


def difference(old: Roles, new: Roles) -> Difference:
    """Compare two readings of the file.

    Args:
        old: what was in force.
        new: what is from now on.

    Example:
        >>> before = Roles(privileges={"read": ()}, roles={"clerk": ()})
        >>> print(difference(before, Roles(privileges={"read": ()}, roles={"clerk": ("read",)})))
        granted role `clerk`: `read`
    """
    resources = dict.fromkeys((*old.permissions, *new.permissions))
    before, after = _gives(old, resources), _gives(new, resources)
    return Difference(
        granted=tuple(sorted(after[key] for key in after.keys() - before.keys())),
        withdrawn=tuple(sorted(before[key] for key in before.keys() - after.keys())),
    )


def _gives(roles: Roles, resources: Iterable[Resource]) -> Mapping[tuple[str, str, str], Change]:
    """Everything that is given, by what two spellings of it have in common."""
    changes = [*_names(roles), *_accesses(roles, resources), *_settings(roles)]
    return {(change.kind, _key(change), key_of(change.privilege)): change for change in changes}


def _key(change: Change) -> str:
    return key_of(change.name) if change.kind in ("role", "privilege") else change.name


def _names(roles: Roles) -> Iterator[Change]:
    for role in roles.roles:
        yield from (Change("role", role, privilege) for privilege in roles.expand([role]))
    for name in roles.privileges:
        yield from (Change("privilege", name, privilege) for privilege in roles.expand([name]))


def _accesses(roles: Roles, resources: Iterable[Resource]) -> Iterator[Change]:
    for resource in resources:
        for action in ACTIONS[resource.type]:
            # What update and drop take besides is told of read itself; an attribute's dataclass of the dataclass.
            own = [one for one in demands(roles.permissions, action, resource) if one.action == action][-1]
            for privilege in _open_to(roles, own):
                yield Change("permission", f"{action} {resource}", privilege)
        if resource.type in PROMOTING:
            names = dict.fromkeys(promoted(roles.permissions, resource))
            yield from (Change("promotion", str(resource), name) for name in roles.expand(names))


def _open_to(roles: Roles, demand: Demand) -> Iterable[str]:
    if demand.level is None:
        return () if roles.restricted_by_default else ("",)
    return (roles.spelled(name) or name for name in demand.any_of)


def _settings(roles: Roles) -> Iterator[Change]:
    if not roles.restricted_by_default:
        yield Change("setting", "restrictedByDefault")
    if not roles.force_login:
        yield Change("setting", "forceLogin")
