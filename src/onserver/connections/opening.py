"""The opening of a connection: it is made, the hooks are asked as the first call of its twin, and what they say holds.

Sent again with the same id of that call, it is the same connection, and the hooks are not asked again.
"""

from __future__ import annotations

from typing import Any

from onserver.connections.records import OPEN, Connections
from onserver.errors import ProcessTimeout
from onserver.process.failure import value_of
from onserver.process.in_session import IN_CALLERS_SESSION
from onserver.process.inbox import End
from onserver.process.put import Order
from onserver.process.twin import CallEnd, put_call
from onserver.server import Server
from onserver.session.context import serving
from onserver.session.session import Session
from onserver.values import encode

#: Letters of a connection's name that are kept.
_LONGEST_NAME = 200


def begin_connection(server: Server, here: Session, name: str, call_id: str) -> tuple[int, bool]:
    """Make a connection, and have the hooks asked.

    Args:
        server: the loaded project.
        here: session of the client.
        name: of the connection, for people.
        call_id: id of the call that asks them, of the client's making.

    Returns:
        Its number, and whether they have accepted it already.

    Raises:
        SessionExpired: ONS-4102.
        ConnectionsRejected: ONS-4113.
        MaintenanceMode: ONS-4104.
    """
    line = " ".join(name.split())[:_LONGEST_NAME]
    number, user, is_open = server.part(Connections).connect(here.id, line, call_id)
    if not is_open:
        nothing: dict[str, Any] = {}
        order = Order(procedure=OPEN, shape=None, flags=IN_CALLERS_SESSION, queue=server.settings.remote.queue)
        with serving(here, remote=True):
            put_call(server, here.id, number, order, encode([[here.id, user, number], nothing]), call_id)
    return number, is_open


def require_accepted(server: Server, session_id: str, connection: int, end: CallEnd | None, seconds: float) -> None:
    """Say what the hooks have said.

    Args:
        server: the loaded project.
        session_id: of the client.
        connection: number of the connection.
        end: of the call that has asked them; None: it goes on.
        seconds: how long it was waited for.

    Raises:
        ConnectionVetoed: ONS-4105, one has refused it.
        ProcessTimeout: ONS-2202, they have said nothing yet.
    """
    if end is None:
        raise ProcessTimeout(0, seconds, call="connect")
    if end.state != "done":
        server.part(Connections).decided(session_id, connection, False)  # the process may have died with them
        value_of(server, 0, OPEN, End(end.state, end.error))
