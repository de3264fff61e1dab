"""The two built-in procedures that ask and tell the hooks of connections. Every worker has them.

`ask` runs as the first call of a connection's twin, so the session is its caller's. `tell` is signed by the server
itself, as its user may have been removed by then, and serves the session that it is given.
"""

from __future__ import annotations

from onserver.connections.records import Connections
from onserver.errors import ConnectionVetoed, SessionExpired
from onserver.life.connections import close_connection, open_connection
from onserver.life.hook_arguments import Connection
from onserver.server import Server
from onserver.session.context import Run, current_run, serving


def ask(session: str, user: int, connection: int) -> None:
    """Ask the hooks whether a remote client may have this connection.

    Args:
        session: id of its session, in which this runs.
        user: number of the user.
        connection: number of the connection.

    Raises:
        ConnectionVetoed: ONS-4105, one has refused it; the connection is gone.
        SessionExpired: ONS-4102, it was closed while they were asked.
    """
    server, run = Server.current(), _run()
    told, connections = Connection(user=user, connection=connection), server.part(Connections)
    if run.session is None or run.session.id != session or not connections.links(session, connection):
        raise SessionExpired(session)
    try:
        open_connection(server, told)
    except ConnectionVetoed:
        connections.decided(session, connection, False, run.holder)
        raise
    if not connections.decided(session, connection, True, run.holder):
        close_connection(server, told)  # who was told of its opening, is told of its end
        raise SessionExpired(session)


def tell(session: str, user: int, connection: int) -> None:
    """Tell the hooks that a connection has ended, in its session; with the last one, a session that ends is over.

    Args:
        session: id of its session.
        user: number of the user.
        connection: number of the connection.
    """
    server, run = Server.current(), _run()
    connections = server.part(Connections)
    links = connections.links(session, connection)
    if not links or links[0].what != str(run.number):
        return  # it was told before, or nobody has asked for it
    found = server.sessions.find(session)
    if found is None and connections.end(session, "expired"):  # its time was up in this moment
        found = server.sessions.find(session)
    if found is not None:
        with serving(found, remote=True):
            close_connection(server, Connection(user=user, connection=connection))
    connections.told(run.holder, session, connection)


def _run() -> Run:
    run = current_run()
    if run is None:
        raise RuntimeError("the hooks of connections are asked and told by processes")
    return run
