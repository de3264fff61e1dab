"""Whether new connections of remote clients are taken: kept in Redis, so it holds whatever is restarted."""

from __future__ import annotations

from onserver.process.control import asked_by
from onserver.server import Server


def reject_new_connections(reject: bool = True, /) -> bool:
    """Take no new connections of remote clients from now on, or take them again. Those that are there go on.

    Args:
        reject: False takes them again.

    Returns:
        Whether they were rejected before.

    Raises:
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.

    Example:
        >>> reject_new_connections(True)
        False
        >>> connections_rejected() is None
        False
        >>> reject_new_connections(False)
        True

    4D: `REJECT NEW REMOTE CONNECTIONS` (specification 3.2). To refuse calls as well there is `begin_maintenance`.
    """
    return reject_connections_on(Server.current(), reject)


def reject_connections_on(server: Server, reject: bool) -> bool:  # as above
    """Do the same to a server, whichever is the current one."""
    by = asked_by(server) if reject else ""
    return bool(server.store.run("reject_connections", server.store.nonce(), by))


def connections_rejected() -> str | None:
    """Answer who has asked that new connections be rejected; None when they are taken.

    Example:
        >>> connections_rejected() is None
        True
    """
    return connections_rejected_on(Server.current())


def connections_rejected_on(server: Server) -> str | None:
    """Answer the same of a server, whichever is the current one."""
    by: bytes | None = server.store.command("HGET", server.store.key("server"), "rj")
    return None if by is None else by.decode()
