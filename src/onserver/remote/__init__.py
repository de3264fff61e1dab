"""Remote clients: a program that is connected to a server, has a session there, and calls its functions as if local.

    from onserver import remote

    with remote.connect("https://shop.example", user="ann", password="…") as client:
        total(12)                        # a @server_method: runs on the server, in the session of this client
        client.call("shop.total", 12)    # the same by name, without the project's code
        client.execute_on_server("shop.reorder", 12).result()

The way to the server is the gateway (`https://…`, which needs the extra `remote`), or on a trusted host, in a program
of the project, the server's own Redis (`redis://…`, or a `Server`); the rest is the same.

    connect ──▶ Client ──┬── its main connection process ──▶ a twin on the server
                         └── client.process() …          ──▶ a twin for each

What is called through one connection process runs one after the other, in the order in which it was called, in the one
session of the client; the twin is made with the first call. Each call has an id that the client makes, so that it is
put once however often it is sent: where the connection breaks, it is sent again, and its answer is fetched.

4D: a remote 4D (specification 1.5, 3.2, 5.2).
"""

from typing import TYPE_CHECKING, Final

from onserver.lazy import keep_names, module_getattr

if TYPE_CHECKING:
    from onserver.remote.call import RemoteCall as RemoteCall
    from onserver.remote.client import Client as Client
    from onserver.remote.client_session import ClientSession as ClientSession
    from onserver.remote.connecting import aconnect as aconnect
    from onserver.remote.connecting import connect as connect
    from onserver.remote.connection import ConnectionProcess as ConnectionProcess
    from onserver.remote.process import RemoteProcess as RemoteProcess
    from onserver.remote.watch import Message as Message

_NAMES: Final = {
    "Client": "onserver.remote.client:Client",
    "ClientSession": "onserver.remote.client_session:ClientSession",
    "ConnectionProcess": "onserver.remote.connection:ConnectionProcess",
    "Message": "onserver.remote.watch:Message",
    "RemoteCall": "onserver.remote.call:RemoteCall",
    "RemoteProcess": "onserver.remote.process:RemoteProcess",
    "aconnect": "onserver.remote.connecting:aconnect",
    "connect": "onserver.remote.connecting:connect",
}

__all__ = [
    "Client",
    "ClientSession",
    "ConnectionProcess",
    "Message",
    "RemoteCall",
    "RemoteProcess",
    "aconnect",
    "connect",
]

__getattr__ = module_getattr(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted(_NAMES)


keep_names(__name__, _NAMES)
