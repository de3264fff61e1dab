"""Remote clients that take requests: what `register_client` and `execute_on_client` are for them.

A request to a remote client is an event of its session. It is signed as every request is, verified and admitted before
it leaves the server, and taken away when the client confirms it, which it does before it runs it: once at most.
"""

from __future__ import annotations

from typing import Final

from onserver.errors import BadArguments
from onserver.process.put import Order, Sender
from onserver.redis.resp import Word
from onserver.server import Server
from onserver.values import encode

_ONCE_SECONDS: Final = 60


def asked_name(server: Server, session: str, name: str) -> bool:
    """Let the client of a session take requests under a name; an empty one: take none any more.

    Returns:
        False when it took requests already, or with an empty name took none: then nothing is done.

    Raises:
        SessionExpired: ONS-4102.
    """
    return bool(server.store.run("remote_register", server.store.nonce(), session, name))


def ask_clients(server: Server, identity: str, name: str, order: Order, body: bytes) -> int:
    """Put a request behind the others of each client of a name, for who is served here. Answers how many have it.

    Args:
        server: the loaded project.
        identity: of the request: asked again within a minute, nothing is sent, and what was answered is.
        name: of the clients; `@` stands for any text.
        order: what they are to run.
        body: arguments.

    Raises:
        BadArguments: ONS-1105, it has options that a request cannot keep.
        PrivilegeDenied: ONS-4103.
    """
    if not order.plain:
        raise BadArguments(order.procedure, "has options that a request cannot keep", "execute_on_client(name, f, …)")
    sender, key = server.part(Sender), server.store.key(f"once:ask:{identity}")
    if server.store.command("SET", key, "0", "NX", "EX", _ONCE_SECONDS) is None:
        return int(server.store.command("GET", key) or 0)

    def words(nonce: str, made_ms: int) -> list[Word]:
        return [name, encode([order.procedure, body, sender.envelope(order, body, nonce, made_ms)])]

    count = int(sender.send("ask_clients", words))
    server.store.command("SET", key, str(count), "EX", _ONCE_SECONDS)
    return count
