"""What `set_privileges` is given: a text, a list or an object, and what of it a session gets (specification 2.7).

Names that `roles.json` does not declare are left out, as the original does. What nobody can have meant (a key that it
does not know, a name that is no text) is refused, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias, cast

from onserver.session.roles import Roles

#: One name or several with commas; a list of names; or an object with `privileges`, `roles`, `userName`.
Given: TypeAlias = str | Collection[str] | Mapping[str, Any]

_KEYS = ("privileges", "roles", "userName")


def facts_given(given: Given | None, roles: Roles) -> dict[str, Any]:
    """Return the attributes of the session's record that `set_privileges` changes.

    Args:
        given: privileges, as a text or a list; or an object.
        roles: those in force.

    Raises:
        TypeError: it is none of these.
    """
    if given is None:
        raise TypeError("privileges are given as a text, a list or a dict, and not as None")
    asked = cast("Mapping[str, Any]", given if isinstance(given, Mapping) else {"privileges": given})
    unknown = [name for name in asked if name not in (*_KEYS, "user_name")]
    if unknown:
        raise TypeError(f"set_privileges knows {', '.join(_KEYS)}, not {', '.join(map(repr, unknown))}")
    facts: dict[str, Any] = {"is_set": True}
    if "privileges" in asked or "roles" in asked:
        facts["privileges"] = _known(asked.get("privileges"), "privileges", roles.spelled)
        facts["roles"] = _known(asked.get("roles"), "roles", roles.role)
    name = asked.get("userName", asked.get("user_name"))
    if name is not None:
        if not isinstance(name, str):
            raise TypeError(f"a user name is a text, not {type(name).__name__}")
        facts["user"] = name
    return facts


def _known(names: object, what: str, spelled: Any) -> tuple[str, ...]:
    found = [spelled(name) for name in _listed(names, what)]
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _listed(names: object, what: str) -> Sequence[str]:
    if names is None:
        return ()
    if isinstance(names, str):
        return [name.strip() for name in names.split(",")]
    if not isinstance(names, list | tuple | set | frozenset):
        raise TypeError(f"{what} are a text or a list of texts, not {type(names).__name__}")
    listed = cast("Collection[object]", names)
    for name in listed:
        if not isinstance(name, str):
            raise TypeError(f"{what} are texts, and {name!r} is none")
    return [str(name) for name in listed]
