"""The file of privileges and roles, `config/roles.json`: whether it is one, and names only what it declares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from onserver.doctor.findings import Finding, well, wrong

_KEYS: Final = {"privileges", "roles", "permissions", "restrictedByDefault", "forceLogin"}
_ACTIONS: Final = ("read", "create", "update", "drop", "describe", "execute", "promote")


def look_at_roles(file: Path) -> Iterator[Finding]:
    """Look at the file, if there is one."""
    name = f"config/{file.name}"
    if not file.exists():
        return
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        yield wrong("roles", f"{name} cannot be read: {error}", "Mend the file; nobody gets more than what it says.")
        return
    problems = list(_problems(found))
    for problem in problems:
        yield wrong("roles", f"{name}: {problem}", "Mend the file.")
    if not problems:
        roles, privileges = len(_list(found, "roles")), len(_list(found, "privileges"))
        yield well("roles", f"{name}: {roles} roles, {privileges} privileges")


def _problems(found: Any) -> Iterator[str]:
    if not isinstance(found, dict):
        yield "it is no object"
        return
    given = cast("dict[str, Any]", found)
    for key in sorted(given.keys() - _KEYS):
        yield f"unknown key `{key}`"
    known = {str(one.get("privilege")) for one in _list(given, "privileges")}
    if len(known) != len(_list(given, "privileges")):
        yield "a privilege is declared twice, or has no name"
    for kind, name, named in _names(given):
        for word in named:
            if word not in known:
                yield f"{kind} `{name}` names the privilege `{word}`, which is not declared"


def _names(given: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Where privileges are named: by other privileges, by roles, by permissions."""
    for one in _list(given, "privileges"):
        yield "privilege", str(one.get("privilege")), _texts(one.get("includes"))
    for one in _list(given, "roles"):
        yield "role", str(one.get("role")), _texts(one.get("privileges"))
    permissions: Any = given.get("permissions")
    for one in _list(permissions if isinstance(permissions, dict) else {}, "allowed"):
        yield "permission of", str(one.get("applyTo")), [word for act in _ACTIONS for word in _texts(one.get(act))]


def _list(given: Any, key: str) -> list[dict[str, Any]]:
    found = given.get(key)
    return [cast("dict[str, Any]", one) for one in _items(found) if isinstance(one, dict)]


def _texts(found: Any) -> list[str]:
    return [one for one in _items(found) if isinstance(one, str)]


def _items(found: Any) -> list[object]:
    return cast("list[object]", found) if isinstance(found, list) else []
