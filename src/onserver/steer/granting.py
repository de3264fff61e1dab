"""Names of roles and privileges that somebody is to get, told apart as records keep them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from onserver.errors import RoleNotFound
from onserver.session.roles import Roles


def granted_as(known: Roles, names: Sequence[str]) -> dict[str, Any]:
    """Tell privileges and roles apart, as a record keeps them.

    Raises:
        RoleNotFound: ONS-1012.
    """
    spelled = list(dict.fromkeys(declared(known, name) for name in names))
    privileges = tuple(name for name in spelled if known.role(name) is None)
    return {"privileges": privileges, "roles": tuple(name for name in spelled if known.role(name) is not None)}


def declared(known: Roles, name: str) -> str:
    """Return a role or privilege as it is spelled in `roles.json`.

    Raises:
        RoleNotFound: ONS-1012, it is not declared.
    """
    found = known.role(name) or known.spelled(name)
    if found is None:
        raise RoleNotFound(name, difflib.get_close_matches(name, [*known.roles, *known.privileges]))
    return found
