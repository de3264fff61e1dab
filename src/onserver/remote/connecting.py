"""`connect`: become a client of a server."""

from __future__ import annotations

import asyncio
import getpass
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

from onserver.connections.facts import Opened, Opening
from onserver.connections.wire import Close, Open
from onserver.errors import BadArguments, OnServerError
from onserver.process.afar import connected
from onserver.process.failure import is_among
from onserver.remote.addresses import way_to
from onserver.remote.call import new_id
from onserver.remote.client import Client
from onserver.remote.trips import Trips
from onserver.remote.trust import SIGNATURE
from onserver.remote.ways import InPlace, Way
from onserver.server import Server
from onserver.session.steps import Step, Steps, adrive, drive

#: How long a server may be away before a call of a client raises, in seconds, where nothing else is said.
PATIENCE_SECONDS: Final = 60.0
_HOSTS: Final = {"darwin": "mac", "win32": "windows"}


class Options(TypedDict, total=False):
    """The options of `connect`, which describes each of them."""

    user: str
    password: str
    client_session: bool | None
    timeout: float | None
    patience: float
    verify: Any
    insecure: bool
    project: str | Path | None
    exception_modules: Sequence[str]
    persistent: str


def connect(where: str | Server, /, **options: Unpack[Options]) -> Client:
    """Connect this program to a server, and have a session there.

    The hooks of new connections are asked about the main connection process at once.

    Args:
        where: `https://…` of a gateway that lets remote clients in (its setting `remote.over_web`). In a program of the
            server's project, on a host that is trusted: the address of its Redis (`redis://…`, `rediss://…`, `unix://…`),
            for which a server is made with the project's other settings, and closed with the client; it is the
            program's current one if that has none. Or such a server itself.
        options: these:
        user: who works with the program; a project without users asks nobody.
        password: of that user.
        client_session: whether `session()` in this program is an object of its own; None as the server's settings say.
        timeout: seconds for which a call is waited for; None as long as it takes.
        patience: seconds for which a server may be away before a call raises `ServerUnreachable`; 60 by default.
        verify: what proves who the server is: True for the certificates of the system, or those of the file that
            SSL_CERT_FILE names; the path of a file with the certificates of other authorities, in PEM; or an
            `ssl.SSLContext`.
        insecure: allow `http://` to other machines, where everybody on the way reads all, the password too.
        project: the folder of the project, of an address of Redis; None for that of ONSERVER_PROJECT, or the nearest
            from the current folder upwards.
        exception_modules: more modules whose exceptions may be made here when a function of the server has raised them.
        persistent: the id of this installation, `Client.persistent` of its last time; for people.

    Raises:
        LoginRefused: ONS-4114, no such user, or another password.
        ConnectionVetoed: ONS-4105, a hook has refused it.
        ConnectionsRejected: ONS-4113, the server takes no new connections now.
        MaintenanceMode: ONS-4104.
        ServerUnreachable: ONS-1206.
        CertificateRefused: ONS-1207, nobody vouches for who answers, or for its being this host; nothing was sent.
        BadArguments: ONS-1105, it is no such address, or an option is not what it has to be.
        ProjectNotFound: ONS-1001, over Redis; and what else `Server.load` raises.
        MissingExtra: ONS-1008, over the web without the extra `remote`.

    Example:
        >>> with connect("https://shop.example", user="ann", password=asked) as client:  # doctest: +SKIP
        ...     client.call("shop.total", 12)
        42

    4D: what a remote 4D does when it is opened.
    """
    client = drive(_connecting(where, options))
    client.watch.start()
    return client


async def aconnect(where: str | Server, /, **options: Unpack[Options]) -> Client:
    """`connect` without blocking the loop, whose task keeps the client heard; close it in the same loop.

    Args:
        where: as in `connect`.
        options: those of `connect`, which see.

    Example:
        >>> async with await aconnect("https://shop.example", user="ann", password=asked) as client:  # doctest: +SKIP
        ...     await client.acall("shop.total", 12)
    """
    client = await adrive(_connecting(where, options))
    client.watch.astart()
    return client


def _connecting(where: str | Server, options: Options) -> Steps[Client]:
    _require_known(options)
    way = yield Step(partial(way_to, where, {**options}))
    try:
        client = yield from _opening(way, options)
    except (Exception, asyncio.CancelledError):
        yield Step(way.close, acall=way.aclose)
        raise
    connected(client.main.afar)
    if isinstance(way, InPlace):
        way.server.before_close(client.close)
    return client


def _opening(way: Way, options: Options) -> Steps[Client]:
    trips = Trips(way, options.get("patience", PATIENCE_SECONDS))
    opened: Opened = yield from trips.ask(Open(asked=_asked(options)))
    trips.session = opened.session
    side = options.get("client_session")
    allowed = partial(is_among, tuple(options.get("exception_modules", ())))
    client = Client(trips, opened, opened.client_session if side is None else side, options.get("timeout"), allowed)
    try:
        yield from client.main.opening()
    except OnServerError:
        yield from trips.ask(Close(), patience=0.0)
        raise
    return client


def _require_known(options: Options) -> None:
    """Refuse what is no option, and a name or a password that is no text; the password is not repeated."""
    for name in options:
        if name not in Options.__annotations__:
            raise BadArguments("connect", f"has no option `{name}`", SIGNATURE)
    given: Mapping[str, Any] = {**options}
    for name in ("user", "password"):
        text = given.get(name, "")
        if not isinstance(text, str) or not _is_unicode(text):
            raise BadArguments("connect", f"is given a {name} that is no text, but {type(text).__name__}", SIGNATURE)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _asked(options: Options) -> Opening:
    return Opening(
        attempt=new_id(),
        user=options.get("user", ""),
        password=options.get("password", ""),
        machine=platform.node(),
        system_user=_system_user(),
        ip="localhost",
        host_type=_HOSTS.get(sys.platform, sys.platform),
        agent=f"onserver.remote Python/{platform.python_version()}",
        persistent=options.get("persistent", ""),
    )


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid()) if hasattr(os, "getuid") else ""
