"""What the names in `roles.json` mean: declared once, used only when declared, no circles, nothing said in vain.

All of it is refused, because each of these says something else than its author thinks: a privilege that is spelled
wrongly opens or closes the wrong door. What merely has no effect is a note.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import cast

from onserver.session.roles_resources import (
    ACTIONS,
    DATASTORE,
    GUEST,
    PROMOTING,
    RESERVED,
    Permission,
    Resource,
    ResourceType,
    key_of,
)
from onserver.session.roles_shape import Entry, RolesFinding, Shape


def findings_in(shape: Shape) -> Iterator[RolesFinding]:
    """Yield everything that is wrong with the names of a file."""
    yield from _declarations(shape)
    yield from _uses(shape)
    circles = list(_circles(shape.privileges))
    yield from circles
    if not circles:
        yield from _homonyms(shape)
    yield from _permissions(shape.permissions)


def permissions_of(shape: Shape) -> Mapping[Resource, Permission]:
    """Return the permissions of a file in which nothing is wrong."""
    made: dict[Resource, Permission] = {}
    for entry in shape.permissions:
        resource = Resource(cast("ResourceType", entry.type), entry.name)
        actions = {action: entry.lists.get(action, ()) for action in ACTIONS[entry.type] if entry.lists.get(action)}
        promote = entry.lists.get("promote", ()) if entry.type in PROMOTING else ()
        made[resource] = Permission(resource=resource, actions=actions, promote=promote, line=entry.line)
    return made


# ---- declarations


def _declarations(shape: Shape) -> Iterator[RolesFinding]:
    for kind, entries in (("privilege", shape.privileges), ("role", shape.roles)):
        first: dict[str, Entry] = {}
        for entry in entries:
            before = first.setdefault(key_of(entry.name), entry)
            if before is not entry:
                at = f" in line {before.line}" if before.line else ""
                spelled = "" if before.name == entry.name else f", as `{before.name}`"
                yield RolesFinding(f"{kind} `{entry.name}` is declared twice, first{at}{spelled}", entry.line)
            if key_of(entry.name) == key_of(RESERVED):
                yield RolesFinding(f"`{entry.name}` is reserved, and no {kind} may have that name", entry.line)
    for entry in shape.roles:
        if key_of(entry.name) == GUEST:
            yield RolesFinding(f"`{entry.name}` is what everybody has, and no role may have that name", entry.line)


def _uses(shape: Shape) -> Iterator[RolesFinding]:
    """Names of privileges that nothing declares."""
    declared = {key_of(entry.name): entry.name for entry in shape.privileges}
    roles = {key_of(entry.name) for entry in shape.roles}
    lists = [("privilege", entry) for entry in shape.privileges]
    lists += [("role", entry) for entry in shape.roles]
    lists += [("permission of", entry) for entry in shape.permissions]
    for kind, entry in lists:
        for name in dict.fromkeys(name for names in entry.lists.values() for name in names):
            key = key_of(name)
            if key in declared or (key == GUEST and kind == "permission of"):
                continue
            why = f"which is not declared{_meant(name, declared.values())}"
            if key == key_of(RESERVED):
                why = "which is reserved"
            elif key in roles:
                why = "which is a role: only privileges are included and asked for"
            elif key == GUEST:
                why = "which everybody has without it"
            yield RolesFinding(f"{kind} `{entry.name}` names the privilege `{name}`, {why}", entry.line)


def _meant(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


# ---- inclusion


def _circles(privileges: Iterable[Entry]) -> Iterator[RolesFinding]:
    entries = {key_of(entry.name): entry for entry in privileges}
    includes = {
        key: {one for name in entry.lists.get("includes", ()) if (one := key_of(name)) in entries}
        for key, entry in entries.items()
    }
    while (circle := _circle(includes)) is not None:
        includes[circle[0]].discard(circle[1])  # so that the others are found as well
        told = " → ".join(f"`{entries[key].name}`" for key in circle)
        yield RolesFinding(f"privileges include each other in a circle: {told}", entries[circle[0]].line)


def _circle(includes: Mapping[str, set[str]]) -> list[str] | None:
    """Return one circle, each privilege followed by one that it includes; None when there is none."""
    try:
        TopologicalSorter({key: sorted(found) for key, found in includes.items()}).prepare()
    except CycleError as error:
        return list(reversed(cast("list[str]", error.args[1])))  # each is included in the next one there
    return None


def _homonyms(shape: Shape) -> Iterator[RolesFinding]:
    """A privilege and a role of one name are given by that name, so they have to give the same."""
    includes = {
        key_of(entry.name): [key_of(name) for name in entry.lists.get("includes", ())] for entry in shape.privileges
    }
    for role in shape.roles:
        if key_of(role.name) not in includes:
            continue
        given = _all_below([key_of(name) for name in role.lists.get("privileges", ())], includes)
        if given != _all_below([key_of(role.name)], includes):
            problem = f"`{role.name}` is a role and a privilege, and the two give different privileges"
            yield RolesFinding(problem, role.line)


def _all_below(names: Iterable[str], includes: Mapping[str, list[str]]) -> set[str]:
    line, seen = list(names), set[str]()
    while line:
        name = line.pop()
        if name not in seen:
            seen.add(name)
            line += includes.get(name, [])
    return seen


# ---- permissions


def _permissions(entries: Iterable[Entry]) -> Iterator[RolesFinding]:
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        before = first.setdefault((entry.type, entry.name), entry)
        if before is not entry:
            at = f" in line {before.line}" if before.line else ""
            yield RolesFinding(f"{entry.type} `{entry.name}` has a permission twice, first{at}", entry.line)
        yield from _name_for_its_type(entry)
        yield from _actions(entry)


def _name_for_its_type(entry: Entry) -> Iterator[RolesFinding]:
    above, _, own = entry.name.rpartition(".")
    if (entry.type == "datastore") != (entry.name == DATASTORE):
        yield RolesFinding(
            f"{entry.type} `{entry.name}`: the datastore is named `{DATASTORE}`, and nothing else", entry.line
        )
    elif not own or ".." in entry.name or entry.name.startswith("."):
        yield RolesFinding(f"`{entry.name}` is no name of a {entry.type}", entry.line)
    elif entry.type in ("attribute", "singletonMethod") and not above:
        of = "dataclass" if entry.type == "attribute" else "singleton"
        yield RolesFinding(f"{entry.type} `{entry.name}` has to be named with its {of}, as in `Name.{own}`", entry.line)


def _actions(entry: Entry) -> Iterator[RolesFinding]:
    for action, names in entry.lists.items():
        where = f"`{action}` of {entry.type} `{entry.name}`"
        if action == "describe" or (action == "promote" and entry.type not in PROMOTING):
            yield RolesFinding(f"{where} has no effect", entry.line, "note")
        elif action != "promote" and action not in ACTIONS[entry.type]:
            has = ", ".join((*ACTIONS[entry.type], *(["promote"] if entry.type in PROMOTING else [])))
            yield RolesFinding(f"{where} would restrict nothing: a {entry.type} has {has}", entry.line)
        elif not names:
            yield RolesFinding(f"{where} is empty, which is as if it were not there", entry.line, "note")
