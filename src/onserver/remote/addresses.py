"""Where a server is, as `connect` is told, and the way that leads there.

`https://…` is a gateway, over the web. `redis://…`, `rediss://…`, `unix://…` and their like are the Redis of a server,
in a program of its project, on a host that is trusted. A `Server` that the program has already is the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final, cast
from urllib.parse import SplitResult, urlsplit

from onserver.errors import BadArguments, BadSetting
from onserver.redis.address import is_address, parse
from onserver.remote.trust import SIGNATURE
from onserver.remote.ways import InPlace, OverRedis, OverWeb, Way
from onserver.server import Server, current_stays

#: Options that say something of one way only.
_OF_WEB: Final = ("verify", "insecure")
_OF_REDIS: Final = ("project",)


def way_to(where: str | Server, options: Mapping[str, Any]) -> Way:
    """Answer the way to a server.

    Args:
        where: as `connect` is told.
        options: those of `connect`; `verify`, `insecure` and `project` are looked at.

    Raises:
        BadArguments: ONS-1105, it is no address, or an option is of another way.
        ProjectNotFound: ONS-1001, of an address of Redis: the program is in no project.
    """
    if isinstance(where, Server):
        _refuse(options, (*_OF_WEB, *_OF_REDIS), "a server")
        where.load_tasks()
        return InPlace(where)
    if not isinstance(cast("object", where), str):
        raise BadArguments("connect", f"is given {where!r}, which is no address and no server", SIGNATURE)
    if is_address(where):
        _refuse(options, _OF_WEB, "an address of Redis, which says that itself: rediss://…?ssl_ca_certs=FILE")
        return _over_redis(where, options.get("project"))
    parts = _parts(where)
    if parts.scheme == "http" and not options.get("insecure", False) and not _is_here(parts.hostname or ""):
        problem = f"is given `{where}`, which anybody on the way reads: https://, or insecure=True"
        raise BadArguments("connect", problem, SIGNATURE)
    _refuse(options, _OF_REDIS, "an address of the web, for which a client needs no project")
    return OverWeb(where, options.get("verify", True))


def _over_redis(where: str, project: Any) -> Way:
    try:
        address = parse(where)
    except BadSetting as error:
        problem = f"is given `{error.value}`, which is no address of Redis: {error.problem}"
        raise BadArguments("connect", problem, SIGNATURE) from None  # its text is all that may be shown of it
    with current_stays():
        server = Server.load(project, {**os.environ, "ONSERVER_REDIS": where})
    try:
        server.load_tasks()
    except BaseException:
        server.close()
        raise
    return OverRedis(server, address.describe())


def _parts(where: str) -> SplitResult:
    """Take the address of a gateway apart; what is said of a wrong one repeats no password."""
    if "@" in where:
        problem = f"is given `…@{where.rpartition('@')[2]}` with a user in it: user=… and password=… say who connects"
        raise BadArguments("connect", problem, SIGNATURE)
    try:
        parts = urlsplit(where)
        _ = parts.port  # it is read when it is asked for
    except ValueError as error:
        raise BadArguments("connect", f"is given `{where}`, which is no address: {error}", SIGNATURE) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        problem = f"is given `{where}`, which is no https:// address, and none of Redis (redis://, rediss://, unix://)"
        raise BadArguments("connect", problem, SIGNATURE)
    if parts.query or parts.fragment:
        raise BadArguments("connect", f"is given `{where}`, of which ? and # are no part", SIGNATURE)
    return parts


def _refuse(options: Mapping[str, Any], names: tuple[str, ...], why: str) -> None:
    for name in names:
        if name in options:
            raise BadArguments("connect", f"is given {name}=… with {why}", SIGNATURE)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
