"""The hooks of remote clients' connections: asked before one may use the server, told when it has ended.

Whoever accepts connections calls these, in the worker or gateway where they end, and not on a running event loop (in a
thread: `asyncio.to_thread`). Of a connection that was refused the closing hooks hear nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from onserver.errors import ConnectionVetoed
from onserver.life.hook import CLOSE_CONNECTION, OPEN_CONNECTION
from onserver.life.hook_arguments import Connection
from onserver.life.hook_call import HookOutcome, call_hooks, refusal
from onserver.server import Server


def open_connection(server: Server, connection: Connection) -> Sequence[HookOutcome]:
    """Ask the hooks of `on_server_open_connection`; the first that refuses decides.

    Args:
        server: the loaded project.
        connection: which one.

    Returns:
        What each said: all have accepted.

    Raises:
        ConnectionVetoed: ONS-4105, with the number that a hook returned; 5301 where one raised, hung, or answered
            what is no number.
        BrokerUnavailable: ONS-1201, Redis cannot be reached: what cannot be recorded is not accepted.
    """
    outcomes = call_hooks(server, OPEN_CONNECTION, connection)
    refused = refusal(outcomes)
    if refused is not None:
        raise ConnectionVetoed(refused.name, refused.code, refused.reason) from refused.error
    return outcomes


def close_connection(server: Server, connection: Connection) -> Sequence[HookOutcome]:
    """Tell the hooks of `on_server_close_connection`. What one raises is recorded and shown, and the next is told.

    Args:
        server: the loaded project.
        connection: as it was when it opened.

    Returns:
        What became of each.

    Raises:
        BrokerUnavailable: ONS-1201, Redis cannot be reached.
    """
    return call_hooks(server, CLOSE_CONNECTION, connection)
