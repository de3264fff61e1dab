"""The file `config/roles.json`: read and checked as a whole. One that is wrong gives no roles at all.

The original loads a project whose file it cannot read with all protection off. Here such a file is refused, and with it
the start of the server: nobody is let in by a comma too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onserver.errors import RolesFileError
from onserver.session.roles import Roles
from onserver.session.roles_names import findings_in, permissions_of
from onserver.session.roles_shape import RolesFinding, Shape, shape_of
from onserver.session.roles_text import NotJson, read_json

#: Where a project has it.
FILE: Final = "config/roles.json"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What came of reading a file.

    Attributes:
        roles: what it says; None when anything is wrong with it.
        findings: everything that is wrong, and what is worth knowing, by line.
    """

    roles: Roles | None
    findings: Sequence[RolesFinding]

    @property
    def wrong(self) -> tuple[RolesFinding, ...]:
        """What the file is refused for."""
        return tuple(found for found in self.findings if found.level == "wrong")

    def required(self, file: str = FILE) -> Roles:
        """Return the roles.

        Raises:
            RolesFileError: ONS-1004, something is wrong with the file; the error tells the first thing.
        """
        if self.roles is not None:
            return self.roles
        first, *others = self.wrong
        more = f" (and {len(others)} more)" if others else ""
        raise RolesFileError(f"{first.problem}{more}", file, first.line)


def read_roles(data: bytes) -> Reading:
    """Read what a file holds.

    Args:
        data: its content.
    """
    try:
        document = read_json(data)
    except NotJson as error:
        return _refused(RolesFinding(f"it cannot be read as JSON: {error.problem}", error.line))
    shape, found = shape_of(document)
    findings = sorted([*found, *findings_in(shape)], key=lambda one: one.line or 0)
    wrong = any(one.level == "wrong" for one in findings)
    return Reading(roles=None if wrong else _roles_of(shape), findings=findings)


def read_roles_file(file: Path) -> Reading | None:
    """Read a file; None when there is none.

    Args:
        file: its path.
    """
    try:
        return read_roles(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        return _refused(RolesFinding(f"it cannot be read: {error.strerror or error}"))


def _roles_of(shape: Shape) -> Roles:
    return Roles(
        privileges={entry.name: entry.lists.get("includes", ()) for entry in shape.privileges},
        roles={entry.name: entry.lists.get("privileges", ()) for entry in shape.roles},
        permissions=permissions_of(shape),
        restricted_by_default=shape.restricted_by_default,
        force_login=shape.force_login,
    )


def _refused(finding: RolesFinding) -> Reading:
    return Reading(roles=None, findings=[finding])
