"""`onserver users`: who may log in, in which roles, and with which password; no password is on the command line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from onserver.cli import exits
from onserver.cli.abort import confirm
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.errors import PasswordRefused, RoleNotFound
from onserver.process.control import asked_by
from onserver.server import Server
from onserver.session.roles_resources import key_of
from onserver.session.users import LONGEST, User, Users, require_name
from onserver.steer.granted import PRIVILEGES, READY, ready


@click.group()
@common_options
def users() -> None:
    """List, make and remove the users of the server; give them passwords and roles; revoke what they asked for.

    A password is read from the terminal without being shown, or from the standard input. Needs
    `pip install 'onserver[users]'`.

    Exit status: 0 done, 3 refused, 4 there is no such user or role, 8 there is one of that name.
    """


@users.command()
@common_options
@pass_invocation
def ls(invocation: Invocation) -> int:
    """List the users and their roles.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    rows = [_row(user) for user in Users(invocation.server().store).listed()]
    shown = [{**row, "roles": " ".join(f"+{role}" for role in row["roles"])} for row in rows]
    none = "no users: nobody is asked for a password"
    invocation.screen.result(rows, columns(("name", "roles", "since", "by"), shown) if rows else none)
    return exits.DONE


@users.command()
@click.argument("name")
@click.argument("roles", nargs=-1, metavar="[+ROLE]…")
@click.option("--no-password", is_flag=True, help="It logs in elsewhere (OpenID Connect, a proxy), and never by one.")
@common_options
@pass_invocation
def add(invocation: Invocation, name: str, roles: Sequence[str], no_password: bool) -> int:
    """Make a user with these roles or privileges: of `config/roles.json`, or viewer, operator, owner of the admin page.

    Exit status: 0 done, 2 wrong usage, 3 the password is too short, 4 there is no such role, 8 there is one of that
    name.
    """
    server = invocation.server()
    given = _declared(server, roles)
    require_name(name)
    made = Users(server.store).add(name, None if no_password else _password(), given, by=asked_by(server))
    invocation.screen.result(_row(made), f"user {name} may log in{' elsewhere' if no_password else ''}")
    return exits.DONE


@users.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
@pass_invocation
def rm(invocation: Invocation, name: str, yes: bool) -> int:
    """Remove a user: the sessions of that login end, and what was asked for in them is refused.

    Exit status: 0 done, 2 wrong usage, 4 there is no such user.
    """
    server = invocation.server()
    known = Users(server.store)
    user = known.get(name)
    if not yes:
        confirm(f"Remove user {user.name}?")
    known.remove(name)
    server.sessions.drop_user(user.name, by=asked_by(server), reason="the user was removed")
    invocation.screen.result({"name": user.name}, f"user {user.name} is removed")
    return exits.DONE


@users.command()
@click.argument("name")
@common_options
@pass_invocation
def passwd(invocation: Invocation, name: str) -> int:
    """Give a user another password.

    Exit status: 0 done, 3 it is too short, 4 there is no such user.
    """
    known = Users(invocation.server().store)
    user = known.get(name)
    known.set_password(name, _password())
    invocation.screen.result({"name": user.name}, f"user {user.name} has another password")
    return exits.DONE


@users.command()
@click.argument("name")
@click.argument("more", nargs=-1, metavar="[+ROLE]…")
@click.option("--without", multiple=True, metavar="ROLE", help="Take this role or privilege away; may be repeated.")
@common_options
@pass_invocation
def roles(invocation: Invocation, name: str, more: Sequence[str], without: Sequence[str]) -> int:
    """Give a user more roles or privileges, or take some away; without any, show those there are.

    What waits in the name of this user runs only with what is left.

    Exit status: 0 done, 2 wrong usage, 4 there is no such user or role.
    """
    server = invocation.server()
    known = Users(server.store)
    user = known.get(name)
    taken, given = {key_of(role) for role in without}, _declared(server, more)
    kept = [role for role in user.roles if key_of(role) not in taken]
    if more or without:
        known.set_roles(name, list(dict.fromkeys((*kept, *given))))
        user = known.get(name)
    shown = " ".join(f"+{role}" for role in user.roles) or "no roles"
    invocation.screen.result(_row(user), f"{user.name}: {shown}")
    return exits.DONE


@users.command()
@click.argument("name")
@click.option("--reason", default="", help="Why, for those who see what was refused.")
@common_options
@pass_invocation
def revoke(invocation: Invocation, name: str, reason: str) -> int:
    """Refuse all that was asked for in the name of a user until now, however long it still waits.

    The user may go on, and ask for it again.

    Exit status: 0 done, 4 there is no such user.
    """
    server = invocation.server()
    known = Users(server.store)
    user = known.get(name)
    known.revoke(name, by=asked_by(server), reason=reason)
    invocation.screen.result({"name": user.name}, f"what {user.name} has asked for until now is refused")
    return exits.DONE


def _password() -> str:
    """Read one from the terminal, twice and unseen; where there is none, the first line of the standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True))
    line = sys.stdin.readline(LONGEST + 3)
    if not line:
        raise PasswordRefused("is missing: it is read from the terminal, or is the first line of the standard input")
    return line.rstrip("\r\n")


def _declared(server: Server, roles: Sequence[str]) -> list[str]:
    """Take roles and privileges as they are spelled in the file; those of the admin page need not be in it.

    Raises:
        RoleNotFound: ONS-1012, one is not declared.
    """
    known, found = server.require_roles(), list[str]()
    for word in roles:
        if not word.startswith("+") or word == "+":
            raise click.UsageError(f"`{word}` is no role: write it as `+{word.lstrip('+') or 'ROLE'}`.")
        name = known.role(word[1:]) or known.spelled(word[1:]) or ready(known, word[1:])
        if not name:
            near = difflib.get_close_matches(word[1:], [*known.roles, *known.privileges, *READY, *PRIVILEGES])
            raise RoleNotFound(word[1:], near)
        found.append(name)
    return list(dict.fromkeys(found))


def _row(user: User) -> dict[str, Any]:
    since = datetime.fromtimestamp(user.made_ms / 1000).astimezone().isoformat(timespec="seconds")
    return {"name": user.name, "roles": list(user.roles), "since": since, "by": user.by}
