"""`onserver admin`: the admin page, served; links that let somebody in once; tokens for programs."""

from __future__ import annotations

import difflib
import os
import socket
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import click

from onserver.admin.logins import LINK_SECONDS, Login, Logins
from onserver.admin.proxy import Proxy
from onserver.admin.tokens import LONGEST_SECONDS, Token, Tokens
from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.cli.serving import Bind, address_of, is_here, listen, serve
from onserver.errors import RoleNotFound, TokenNotFound, UnsafeBind
from onserver.lazy import load
from onserver.process.control import asked_by
from onserver.server import Server
from onserver.session.users import Users
from onserver.steer.granted import PRIVILEGES, READY, privileges_of

BIND: Final = "127.0.0.1:8765"
#: Packages without which there is no page.
NEEDED: Final = ("starlette", "jinja2", "uvicorn", "argon2")
#: Streams of those who watch are ended at once: their browsers connect again by themselves.
_GRACE_SECONDS: Final = 1.0


@click.group(invoke_without_command=True)
@click.option("--bind", type=Bind(), default=BIND, metavar="A:P", show_default=True, help="Where to listen.")
@click.option("--read-only", is_flag=True, help="Nobody may change anything from this page.")
@click.option("--behind-proxy", default="", metavar="ADDR",
              help="A server in front, whose word is taken for who asks and by which scheme.")  # fmt: skip
@click.option("--user-header", default="X-Forwarded-User", metavar="NAME", show_default=True,
              help="The header in which that server says who has logged in there.")  # fmt: skip
@click.option("--proxy-role", default="viewer", metavar="ROLE", show_default=True,
              help="The role of those it names who are no users of this server.")  # fmt: skip
@click.option("--listening", type=int, default=-1, hidden=True)
@click.option("--until", type=int, default=-1, hidden=True)
@common_options
@pass_invocation
@click.pass_context
def admin(
    context: click.Context, invocation: Invocation, /, bind: tuple[str, int], read_only: bool, behind_proxy: str,
    user_header: str, proxy_role: str, listening: int, until: int,
) -> int:  # fmt: skip
    """Serve the admin page, or make what lets somebody in.

    Without users of its own it listens on this machine only, and a link lets you in that is printed here.

    Exit status: 0 stopped, 2 the project cannot be loaded, the address is taken or reached by everybody, 4 there is no
    such role, 6 cannot reach Redis.
    """
    if context.invoked_subcommand is not None:
        return exits.DONE
    for module in NEEDED:
        load(module, "admin")
    server = invocation.server()
    proxy = _proxy(server, behind_proxy, user_header, proxy_role)
    here = is_here(bind[0])
    way_in = proxy is not None or server.settings.admin.oidc_issuer
    if not here and not way_in and not any(user.has_password for user in Users(server.store).listed()):
        raise UnsafeBind(f"{bind[0]}:{bind[1]}")
    application = load("onserver.admin.app:Admin")(server, read_only=read_only, proxy=proxy)
    with socket.socket(fileno=listening) if listening >= 0 else listen(bind) as listens, server:
        at = f"http://{address_of(listens)}"
        Logins(server.store).at = at
        if until < 0:
            _said(invocation, server, at, here=here, behind_proxy=proxy is not None)
        os.nice(server.settings.admin.nice)
        serve(application, listens, grace=_GRACE_SECONDS, until=until)
    return exits.DONE


@admin.command()
@click.option("--as", "role", default="owner", metavar="ROLE", show_default=True, help="What the link gives.")
@click.option("--read-only", is_flag=True, help="Nothing can be changed by whoever comes in with it.")
@click.option("--at", default="", metavar="URL", help="Where browsers find the page; the last start knows, else.")
@common_options
@pass_invocation
def link(invocation: Invocation, role: str, read_only: bool, at: str) -> int:
    """Print a link that lets one browser in, once, within ten minutes.

    Exit status: 0 done, 4 there is no such role, 6 cannot reach Redis.
    """
    server = invocation.server()
    require_giving(server, [role])
    logins = Logins(server.store)
    made = login_link(server, at or logins.at or f"http://{BIND}", role, read_only=read_only)
    invocation.screen.result({"url": made, "role": role, "seconds": LINK_SECONDS}, made)
    return exits.DONE


@admin.group()
def token() -> None:
    """Make, list and revoke tokens, with which programs use the HTTP API of the page.

    Exit status: 0 done, 4 there is no such token or role, 6 cannot reach Redis.
    """


@token.command("new")
@click.argument("name", default="api")
@click.option("--priv", "given", multiple=True, metavar="P", required=True,
              help="A role or a privilege, as in viewer or admin.process; may be repeated.")  # fmt: skip
@click.option("--ttl", type=SECONDS, required=True, metavar="D", help="How long it is good for, as in 30d.")
@common_options
@pass_invocation
def new(invocation: Invocation, name: str, given: Sequence[str], ttl: float) -> int:
    """Make a token and print it: it is shown this once.

    Exit status: 0 done, 2 it would be good for more than a year, 4 there is no such role, 6 cannot reach Redis.
    """
    server = invocation.server()
    if not 0 < ttl <= LONGEST_SECONDS:
        raise click.UsageError("--ttl: a token is good for a year at most.")
    require_giving(server, given)
    privileges = sorted(privileges_of(server.require_roles(), given), key=PRIVILEGES.index)
    secret, made = Tokens(server.store).make(name, privileges, ttl, by=asked_by(server))
    invocation.screen.result({**_row(made), "token": secret}, secret)
    invocation.screen.say(f"token {made.id} `{name}` may {' '.join(privileges)} until {_time(made.ends_ms)}")
    return exits.DONE


@token.command("ls")
@common_options
@pass_invocation
def ls(invocation: Invocation) -> int:
    """List the tokens that are good for something, without what is secret about them.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    rows = [_row(one) for one in Tokens(invocation.server().store).listed()]
    shown = [{**row, "privileges": " ".join(row["privileges"])} for row in rows]
    heads = ("id", "name", "privileges", "until", "by")
    invocation.screen.result(rows, columns(heads, shown) if rows else "no tokens")
    return exits.DONE


@token.command("rm")
@click.argument("name")
@common_options
@pass_invocation
def rm(invocation: Invocation, name: str) -> int:
    """Revoke the tokens of a name, or the one of an id, from this moment on.

    Exit status: 0 done, 4 there is no such token, 6 cannot reach Redis.
    """
    gone = Tokens(invocation.server().store).revoke(name)
    if not gone:
        raise TokenNotFound(name)
    invocation.screen.result([_row(one) for one in gone], "\n".join(f"token {one.id} is revoked" for one in gone))
    return exits.DONE


def login_link(server: Server, at: str, role: str = "owner", *, read_only: bool = False) -> str:
    """Make a link that lets one browser in.

    Args:
        server: of the page.
        at: where browsers find it.
        role: that the link gives.
        read_only: whether nothing can be changed with it.
    """
    login = Login(user=asked_by(server), by="link", roles=(role,), read_only=read_only)
    return f"{at.rstrip('/')}/login?t={Logins(server.store).make_link(login)}"


def require_giving(server: Server, names: Sequence[str]) -> None:
    """Refuse a role or privilege that gives nothing on the admin page.

    Raises:
        RoleNotFound: ONS-1012.
    """
    roles = server.require_roles()
    for name in names:
        if not privileges_of(roles, [name]):
            known = [*roles.roles, *READY, *PRIVILEGES]
            raise RoleNotFound(name, difflib.get_close_matches(name, known) or list(READY))


def _proxy(server: Server, address: str, header: str, role: str) -> Proxy | None:
    if not address:
        return None
    require_giving(server, [role])
    try:
        return Proxy(address=address, user_header=header, role=role)
    except ValueError as error:
        raise click.UsageError(f"--behind-proxy: {error}.") from error


def _said(invocation: Invocation, server: Server, at: str, *, here: bool, behind_proxy: bool) -> None:
    """Say where the page is, and how to get in: a link is printed where nobody else's log could have it."""
    if here:
        invocation.screen.say(f"admin   {login_link(server, at)}   (one use, 10 min)")
        return
    invocation.screen.say(f"admin   {at}")
    if not behind_proxy:
        invocation.screen.say("warning  passwords are sent as they are: let a server in front speak TLS")


def _row(made: Token) -> dict[str, Any]:
    return {
        "id": made.id, "name": made.name, "privileges": list(made.privileges), "by": made.by,
        "since": _time(made.made_ms), "until": _time(made.ends_ms),
    }  # fmt: skip


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).astimezone().isoformat(timespec="seconds")
