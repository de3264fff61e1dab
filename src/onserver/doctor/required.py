"""What the code of the project asks for in `requires=`, and `config/roles.json` does not declare.

Nobody can have a privilege that is not declared: what takes one is closed to everybody but the server itself. That is
safe, and is nearly always a slip of the pen, which no start tells; so it is found here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onserver.process.admission import requires_of
from onserver.project import own_modules
from onserver.registry import Declared, place_of
from onserver.server import Server
from onserver.session.roles import Roles
from onserver.session.roles_file import FILE
from onserver.session.roles_resources import GUEST, key_of


@dataclass(frozen=True, kw_only=True)
class Undeclared:
    """One name that a function asks for and nothing declares.

    Attributes:
        procedure: full name of the procedure or server method.
        privilege: the name, as it is written in the code.
        file: of the function, relative to the project where it lies in it.
        line: where the function begins.
        nearest: the declared name that was probably meant, or empty.
        is_role: whether it is the name of a role.
    """

    procedure: str
    privilege: str
    file: str
    line: int
    nearest: str = ""
    is_role: bool = False

    @property
    def problem(self) -> str:
        """What is wrong, without the place."""
        why = f"which {FILE} does not declare"
        if self.is_role:
            why = "which is a role: only privileges are asked for"
        elif self.nearest:
            why += f"; did you mean `{self.nearest}`?"
        return f"`{self.procedure}` requires `{self.privilege}`, {why}"


def undeclared(server: Server, folder: Path, roles: Roles) -> Iterator[Undeclared]:
    """Yield the names that the project's procedures and server methods ask for in vain.

    Args:
        server: of the project, whose code is imported.
        folder: of the project.
        roles: what its file says.

    Raises:
        DuplicateName: ONS-1006, two procedures have one name.
    """
    own = own_modules(folder, server.settings.components)
    for found in server.registry.all():
        if found.function.__module__ in own:
            for privilege in requires_of(found):
                if roles.spelled(privilege) is None and key_of(privilege) != GUEST:
                    yield _undeclared(found, privilege, folder, roles)


def _undeclared(found: Declared, privilege: str, folder: Path, roles: Roles) -> Undeclared:
    file, _, line = place_of(found.function).rpartition(":")
    path, root = Path(file).resolve(), folder.resolve()
    keys = {key_of(name): name for name in roles.privileges}
    near = difflib.get_close_matches(key_of(privilege), keys, n=1)
    return Undeclared(
        procedure=found.name,
        privilege=privilege,
        file=str(path.relative_to(root) if path.is_relative_to(root) else path),
        line=int(line),
        nearest=keys[near[0]] if near else "",
        is_role=roles.role(privilege) is not None,
    )
