"""Who acts: on the page, through the HTTP API, on the command line, or in a program."""

from __future__ import annotations

import getpass
import socket
from dataclasses import dataclass
from typing import Literal

from onserver.server import Server
from onserver.steer.granted import PRIVILEGES, READING


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Somebody who looks after a server.

    Attributes:
        user: who it is: `ann`, `token:deploy`, `root@host` on the command line and in a program.
        origin: the address of the browser, or the name of the host.
        where: from where.
        privileges: `admin.…` that were given, expanded from roles.
        read_only: whether nothing can be changed, whatever the privileges are.
        fresh: whether the login is less than five minutes old.

    Example:
        >>> ann = Actor(user="ann", origin="::1", where="page", privileges=frozenset({"admin.view", "admin.process"}))
        >>> ann.may("admin.process"), ann.may("admin.restore")
        (True, False)
    """

    user: str
    origin: str
    where: Literal["page", "cli", "api", "python"]
    privileges: frozenset[str]
    read_only: bool = False
    fresh: bool = True

    def may(self, privilege: str) -> bool:
        """Tell whether this is allowed; where nothing can be changed, only what reads is."""
        return privilege in self.privileges and (privilege in READING or not self.read_only)


def whoever_runs_this(server: Server, where: Literal["cli", "python"]) -> Actor:
    """Answer who runs this program. Whoever reaches Redis and has the key of the server may do everything.

    Args:
        server: whose settings may let nothing be changed.
        where: on the command line, or in a program.
    """
    host = socket.gethostname()
    return Actor(
        user=f"{getpass.getuser()}@{host}",
        origin=host,
        where=where,
        privileges=frozenset(PRIVILEGES),
        read_only=server.settings.admin.read_only,
    )
