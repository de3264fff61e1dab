"""The file of privileges and roles, `config/roles.json`: what is wrong with it, and what is worth knowing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from onserver.doctor.findings import Finding, note, well, wrong
from onserver.errors.texts import count
from onserver.session.roles_file import FILE, read_roles_file

_CURE: Final = "Mend the file: no worker starts with it."


def look_at_roles(file: Path) -> Iterator[Finding]:
    """Look at the file, if there is one."""
    reading = read_roles_file(file)
    if reading is None:
        return
    for found in reading.findings:
        text = f"{FILE}{f' line {found.line}' if found.line else ''}: {found.problem}"
        yield wrong("roles", text, _CURE) if found.level == "wrong" else note("roles", text)
    if reading.roles is not None:
        roles, privileges = len(reading.roles.roles), len(reading.roles.privileges)
        told = f"{count(roles, 'role', 'roles')}, {count(privileges, 'privilege', 'privileges')}"
        yield well("roles", f"{FILE}: {told}")
