"""The file of privileges and roles, `config/roles.json`: what is wrong with it, and what code asks of it in vain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from onserver.doctor.findings import Finding, note, well, wrong
from onserver.doctor.required import undeclared
from onserver.errors.texts import count
from onserver.server import Server
from onserver.session.roles_file import FILE, read_roles_file

_CURE: Final = "Mend the file: no worker starts with it."
_DECLARE: Final = "Declare it there, or mend the name in the code."


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


def look_at_required(server: Server, folder: Path) -> Iterator[Finding]:
    """Look at what the project's code, which is imported, asks for; without a file that is right there is no saying."""
    reading = read_roles_file(folder / FILE)
    if reading is not None and reading.roles is not None:
        for found in undeclared(server, folder, reading.roles):
            yield wrong("roles", f"{found.file} line {found.line}: {found.problem}", _DECLARE)
