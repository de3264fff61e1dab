"""Who logs in as a remote client, and the session that is opened for it.

A project without users asks nobody for a password, and takes the name as it is given. Else it has to be that of a user,
with the password; the session gets the roles and privileges of that user, as they are then.
"""

from __future__ import annotations

import logging
import re
from typing import Final, NamedTuple

from onserver import __version__
from onserver.connections.facts import Opened, Opening
from onserver.connections.records import Connections
from onserver.errors import BadArguments, LoginRefused
from onserver.server import Server
from onserver.session.attempts import Attempts
from onserver.session.record import SessionRecord
from onserver.session.users import Users

LOG: Final = logging.getLogger("onserver")

_IS_ID: Final = re.compile("[0-9a-f]{32}")


class Login(NamedTuple):
    """Who has logged in.

    Attributes:
        name: of the user, as it was given.
        login: name of the user of `onserver users`; empty where the project has none.
        privileges: of that user.
        roles: of that user.
    """

    name: str
    login: str = ""
    privileges: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


def require_id(text: str, verb: str) -> None:
    """Refuse what is no id of a client's making.

    Args:
        text: that is one.
        verb: for what it is an id.

    Raises:
        BadArguments: ONS-1105, it is not 32 lower-case hexadecimal digits.
    """
    if not _IS_ID.fullmatch(text):
        raise BadArguments(verb, "is given an id that is not 32 hexadecimal digits", f"{verb}(…)")


def logged_in(server: Server, user: str, password: str, address: str) -> Login:
    """Answer who this is.

    Args:
        server: to which it logs in.
        user: name, as it was given.
        password: of that user.
        address: from which it comes.

    Raises:
        LoginRefused: ONS-4114, nobody can log in with this name and password, or too many were wrong.
    """
    if not server.store.command("EXISTS", server.store.key("users")):
        return Login(user)
    attempts = Attempts(server.store)
    wait = attempts.wait(user, address)
    if wait:
        LOG.warning("too many attempts to log in as %r from %s: refused for %d s", user, address, wait)
        raise LoginRefused(user, wait)
    found = Users(server.store).verify(user, password)
    if found is None:
        attempts.wrong(user, address)
        raise LoginRefused(user)
    attempts.right(user)
    known = server.require_roles()
    roles = tuple(name for name in found.roles if known.role(name) is not None)
    return Login(found.name, found.name, tuple(name for name in found.roles if name not in roles), roles)


def open_session(server: Server, asked: Opening) -> Opened:
    """Open the session of a client. See `Desk.open`.

    Raises:
        LoginRefused: ONS-4114.
        ConnectionsRejected: ONS-4113.
        MaintenanceMode: ONS-4104.
        BadArguments: ONS-1105, it carries no id.
    """
    require_id(asked.attempt, "open")
    user = logged_in(server, asked.user, asked.password, asked.ip)
    granted = {"privileges": user.privileges, "roles": user.roles, "is_set": True} if user.login else {}
    record = server.part(Connections).open(
        asked.attempt,
        user.login,
        user=user.name,
        machine=asked.machine,
        system_user=asked.system_user,
        ip=asked.ip,
        host_type=asked.host_type,
        agent=asked.agent,
        persistent=asked.persistent or asked.attempt,
        **granted,
    )
    return opened(server, record)


def opened(server: Server, record: SessionRecord) -> Opened:
    """Answer what the client of a session has to know."""
    remote = server.settings.remote
    return Opened(
        session=record.id,
        number=record.number,
        user=record.user,
        persistent=record.persistent,
        beat_seconds=remote.beat_seconds,
        unreachable_seconds=remote.unreachable_seconds,
        sleep_hours=remote.sleep_hours,
        client_session=remote.client_session,
        server=server.name,
        version=__version__,
        privileges=record.privileges,
        roles=record.roles,
    )
