"""Which node to dial: the one of the address, the master that Sentinel names, or the node that owns a server's slot."""

from __future__ import annotations

from time import monotonic
from typing import Any

from onserver.redis.address import Address, Node
from onserver.redis.answers import Unreachable
from onserver.redis.resp import ErrorReply, pack
from onserver.redis.wire import Wire, dial

#: Seconds that one silent Sentinel may cost before the next one is asked; less where the deadline is near.
_ASK_SECONDS = 1.0


def candidates(address: Address, begin: int = 0) -> list[Node | None]:
    """The nodes to dial, in order, beginning with number `begin`. None stands for the Unix socket of the address."""
    if address.kind == "unix":
        return [None]
    begin %= len(address.nodes)
    return [*address.nodes[begin:], *address.nodes[:begin]]


def master(address: Address, deadline: float, begin: int = 0) -> tuple[Node, int]:
    """Ask the Sentinels of the address, one after the other, where the master of the service is.

    Returns:
        The master, and which Sentinel said so: the one to `begin` with the next time.

    Raises:
        Unreachable: none of them answered with one; the text says what each said.
    """
    said: list[str] = []
    count = len(address.nodes)
    for asked in range(count):
        which = (begin + asked) % count
        node, now = address.nodes[which], monotonic()
        share = (deadline - now) / (count - asked + 1)  # one more share is for the master itself
        try:
            return _ask(address, node, now + min(_ASK_SECONDS, share)), which
        except (OSError, LookupError, ErrorReply) as error:
            said.append(f"{node[0]}:{node[1]} {str(error) or type(error).__name__}")
    raise Unreachable(address.describe(), 1, 0.0, f"has no Sentinel that names a master ({'; '.join(said)})")


def _ask(address: Address, node: Node, deadline: float) -> Node:
    wire = dial(address, node, deadline)
    try:
        if address.option("sentinel_password"):
            user = (address.option("sentinel_username"),) if address.option("sentinel_username") else ()
            exchange(wire, ("AUTH", *user, address.option("sentinel_password")), deadline)
        found = exchange(wire, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service), deadline)
    finally:
        wire.close()
    if not found:
        raise LookupError(f"knows no service {address.service!r}")
    host, port = found
    return host.decode(), int(port)


def exchange(wire: Wire, command: tuple[str, ...], deadline: float) -> Any:
    """Send one command on a wire of its own and read the one reply to it."""
    wire.send(pack(command), deadline)
    reply = wire.reply(deadline, (deadline - monotonic()) * 1000)
    if isinstance(reply, ErrorReply):
        raise reply
    return reply
