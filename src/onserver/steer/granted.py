"""What roles give in the administration: the privileges `admin.…`, and three roles that are there without a file.

`config/roles.json` decides, as for everything else: a role of the file that includes `admin.process` gives it. Where
the file has no role of that name, `viewer`, `operator` and `owner` are these:

| role | may |
|---|---|
| `viewer` | look, but at no values |
| `operator` | look at values too, and steer: processes, sessions, storage, workers, hooks, backups, schedules |
| `owner` | everything, restoring a backup and changing the configuration too |

A privilege `admin.…` may be given to a user by its own name too, whether the file declares it or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from onserver.session.roles import Roles
from onserver.session.roles_resources import Verdict, key_of

#: All privileges of the administration, the mildest first.
PRIVILEGES: Final = (
    "admin.view",
    "admin.data",
    "admin.process",
    "admin.session",
    "admin.storage",
    "admin.worker",
    "admin.hook",
    "admin.backup",
    "admin.restore",
    "admin.config",
)
#: Those with which nothing can be changed.
READING: Final = frozenset({"admin.view", "admin.data"})
#: The roles that are there where the file has none of their name.
READY: Final[Mapping[str, frozenset[str]]] = {
    "viewer": frozenset({"admin.view"}),
    "operator": frozenset(PRIVILEGES) - {"admin.restore", "admin.config"},
    "owner": frozenset(PRIVILEGES),
}
_KNOWN: Final = {key_of(name): name for name in PRIVILEGES}


def privileges_of(roles: Roles, names: Iterable[str]) -> frozenset[str]:
    """Return the privileges of the administration that roles and privileges give.

    Args:
        roles: in force.
        names: of roles and privileges that somebody was given.

    Example:
        >>> sorted(privileges_of(Roles(), ["viewer", "admin.process"]))
        ['admin.process', 'admin.view']
        >>> privileges_of(Roles(roles={"Viewer": ()}), ["viewer"])
        frozenset()
    """
    names = list(names)
    given = {_KNOWN[key] for name in roles.expand(names) if (key := key_of(name)) in _KNOWN}
    for name in names:
        key = key_of(name)
        if key in _KNOWN:
            given.add(_KNOWN[key])
        elif roles.role(name) is None:
            given |= READY.get(key, frozenset())
    return frozenset(given)


def verdict(roles: Roles, names: Iterable[str], privilege: str) -> Verdict:
    """Tell whether roles and privileges give one of the administration, and why.

    Args:
        roles: in force.
        names: that somebody was given.
        privilege: of the administration.

    Example:
        >>> verdict(Roles(), ["operator"], "admin.process").why
        '`operator` is there without a file, and gives `admin.process`'
        >>> verdict(Roles(), ["viewer"], "admin.process").why
        'none of `viewer` gives `admin.process`'
    """
    names = list(names)
    if privilege in privileges_of(roles, names):
        way = roles.way(names, privilege)
        if way:
            return roles.holds(names, privilege)
        if any(key_of(name) == privilege for name in names):
            return Verdict(True, f"`{privilege}` was granted")
        by = next(name for name in names if privilege in privileges_of(roles, [name]))
        return Verdict(True, f"`{by}` is there without a file, and gives `{privilege}`")
    if not names:
        return Verdict(False, f"nothing that would give `{privilege}` was granted")
    return Verdict(False, f"none of {', '.join(f'`{name}`' for name in names)} gives `{privilege}`")


def ready(roles: Roles, name: str) -> str:
    """Return a name that means something without being in the file, as it is spelled; empty where it means nothing.

    Args:
        roles: in force.
        name: of a ready role, or of a privilege of the administration.
    """
    key = key_of(name)
    if key in _KNOWN:
        return _KNOWN[key]
    return key if key in READY and roles.role(name) is None else ""
