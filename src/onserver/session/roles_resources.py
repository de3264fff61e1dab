"""What a permission of `roles.json` is about, who it asks for, and which permissions decide on an access.

A resource has a type and a name. The levels above it are looked at from the nearest to the farthest, and the first one
that says something about the action decides, so that a dataclass overrides the datastore and a function both:

    datastore         ds
    dataclass         Invoice            ds
    method            Invoice.total      Invoice   ds         functions, and so every procedure
    singleton         Rates              ds
    singletonMethod   Rates.set          Rates     ds
    attribute         Invoice.amount     adds to what the dataclass asks for, and overrides nothing

Names of resources are Python's, so that upper and lower case differ in them; in names of privileges they do not.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, TypeAlias

ResourceType: TypeAlias = Literal["datastore", "dataclass", "attribute", "method", "singleton", "singletonMethod"]
Action: TypeAlias = Literal["create", "read", "update", "drop", "execute"]
Nature: TypeAlias = Literal["stored", "alias", "computed"]

#: The one datastore.
DATASTORE: Final = "ds"
#: The privilege that every session has, whether somebody has logged in or not.
GUEST: Final = "guest"
#: Kept for the administration by the original: no file may use it.
RESERVED: Final = "WebAdmin"

_DATA: Final = ("create", "read", "update", "drop")
#: Specification 8.4: what can be asked for on each type. `promote` is no question: it is what a function is given.
ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "datastore": (*_DATA, "execute"),
    "dataclass": (*_DATA, "execute"),
    "attribute": _DATA,
    "method": ("execute",),
    "singleton": ("execute",),
    "singletonMethod": ("execute",),
}
#: Types whose permissions may promote.
PROMOTING: Final = ("method", "singleton", "singletonMethod")
#: What an action needs besides its own privilege.
ALSO: Final[Mapping[str, tuple[str, ...]]] = {"update": ("read",), "drop": ("read",)}
#: Attributes of which kind a permission does not reach, for an action.
_UNREACHED: Final[Mapping[str, tuple[str, ...]]] = {"update": ("alias",), "drop": ("alias", "computed")}


@lru_cache(maxsize=4096)
def key_of(name: str) -> str:
    """Return what two spellings of a privilege's or role's name have in common: upper and lower case do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@dataclass(frozen=True)
class Resource:
    """What is accessed.

    Attributes:
        type: what it is, as in `roles.json`.
        name: its name: `shop.create_invoice`, `Invoice.amount`, `ds`.
        nature: of an attribute, what kind of one. Permissions to update do not reach aliases, those to drop do not
            reach aliases and computed ones; both are read on their own rights, whatever those of their sources.
    """

    type: ResourceType
    name: str
    nature: Nature = field(default="stored", compare=False)

    def __str__(self) -> str:
        return f"{self.type} `{self.name}`"


@dataclass(frozen=True, kw_only=True)
class Permission:
    """One entry of `permissions.allowed`.

    Attributes:
        resource: what it is about.
        actions: privileges for each action, any of which is enough; an empty list stands for none at all.
        promote: privileges that a function has while it runs.
        line: where it stands in the file.
    """

    resource: Resource
    actions: Mapping[str, tuple[str, ...]]
    promote: tuple[str, ...] = ()
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Verdict:
    """The answer to a question about privileges; it is true when access is allowed.

    Attributes:
        allowed: whether.
        why: a sentence for people.
        left_out: denied, and the answer is no error: an attribute that may not be read is left out.
    """

    allowed: bool
    why: str
    left_out: bool = False

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True)
class Demand:
    """What one level asks for.

    Attributes:
        action: what is to be done.
        level: the permission's resource, None where none says anything.
        any_of: privileges of which one is enough.
    """

    action: str
    level: Resource | None
    any_of: tuple[str, ...] = ()


def require_action(action: str, resource: Resource) -> None:
    """Refuse a question that has no meaning.

    Raises:
        ValueError: there is no such type, or it has no such action.
    """
    if resource.type not in ACTIONS:
        raise ValueError(f"There is no type {resource.type!r}; the types are {', '.join(ACTIONS)}.")
    if action not in ACTIONS[resource.type]:
        allowed = ", ".join(ACTIONS[resource.type])
        raise ValueError(f"{resource} has no action {action!r}; it has {allowed}.")


def demands(permissions: Mapping[Resource, Permission], action: str, resource: Resource) -> Iterator[Demand]:
    """Yield everything that an access asks for: all of it has to be there."""
    for one in (action, *ALSO.get(action, ())):
        yield _nearest(permissions, one, tuple(_levels(resource)))
        own = permissions.get(resource) if resource.type == "attribute" else None
        if own and own.actions.get(one) and resource.nature not in _UNREACHED.get(one, ()):
            yield Demand(one, resource, own.actions[one])


def promoted(permissions: Mapping[Resource, Permission], resource: Resource) -> tuple[str, ...]:
    """Return the privileges that a function is given while it runs: by its own permission, else its singleton's."""
    for level in _levels(resource):
        found = permissions.get(level) if level.type in PROMOTING else None
        if found and found.promote:
            return found.promote
    return ()


def _nearest(permissions: Mapping[Resource, Permission], action: str, levels: tuple[Resource, ...]) -> Demand:
    for level in levels:
        found = permissions.get(level)
        if found and found.actions.get(action):
            return Demand(action, level, found.actions[action])
    return Demand(action, None)


def _levels(resource: Resource) -> Iterator[Resource]:
    """Yield the levels that decide, the nearest first."""
    if resource.type not in ("datastore", "attribute"):
        yield resource
    above: ResourceType = "singleton" if resource.type == "singletonMethod" else "dataclass"
    name = resource.name if resource.type not in ("datastore", "singleton") else ""
    while (name := name.rpartition(".")[0]) and name != DATASTORE:
        yield Resource(above, name)
    yield Resource("datastore", DATASTORE)
