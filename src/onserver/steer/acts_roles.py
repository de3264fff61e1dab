"""What can be done to the roles: the file is the truth, so that only what it says can be taken note of."""

from __future__ import annotations

from typing import Final

from onserver.errors import RolesFileError
from onserver.process.control import asked_by
from onserver.server import Server
from onserver.session.roles import Roles
from onserver.session.roles_difference import Difference
from onserver.session.roles_file import FILE
from onserver.session.roles_noted import take_note
from onserver.steer.action import Action, Outcome
from onserver.steer.made import Given, command


def reload_roles(server: Server) -> tuple[Roles, Difference]:
    """Read the file anew, and take note of it.

    Returns:
        What is in force, and what it grants and withdraws since somebody has taken note last.

    Raises:
        RolesFileError: ONS-1004, there is none, or something is wrong with it; what held before stays in force.
    """
    try:
        if server.project is None:
            raise FileNotFoundError
        text = (server.project / FILE).read_bytes()
    except OSError as error:
        raise RolesFileError(f"it cannot be read: {error.strerror or 'there is none'}", FILE) from error
    found = take_note(server.store, text, asked_by(server))
    server.require_roles()
    return found


def _reload(server: Server, _given: Given) -> Outcome:
    roles, changed = reload_roles(server)
    return Outcome(
        said="{file} is right, and in force: {roles} roles, {granted} granted and {withdrawn} withdrawn.",
        values={"file": FILE, "roles": len(roles.roles), "granted": len(changed.granted),
                "withdrawn": len(changed.withdrawn)},
        target=FILE, after=str(changed),
        data={"granted": [str(one) for one in changed.granted], "withdrawn": [str(one) for one in changed.withdrawn]},
    )  # fmt: skip


ACTS: Final = (
    Action(
        name="roles.reload",
        privilege="admin.config",
        run=_reload,
        title="Read the roles file anew",
        fields=(),
        target=lambda _: FILE,
        cli=command("onserver roles reload"),
    ),
)
"""Each of them."""
