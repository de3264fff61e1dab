"""Starting a process on the current server, from a loop or not."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from onserver.process.after_commit import put_after_commit
from onserver.process.caller import asks_as_server
from onserver.process.handle import Process
from onserver.process.put import Order, Sender
from onserver.server import Server


def start(order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
    """Start a process: one round trip; none yet for one that waits for a commit."""
    server = Server.current()
    if order.after_commit is not None:
        return put_after_commit(server, order, args, kwargs)
    return server.part(Sender).put(order, args, kwargs)


async def start_async(order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
    """Start a process without blocking the loop. Session and caller are those of the coroutine."""
    if order.after_commit is not None:  # a transaction belongs to its thread, and nothing is sent yet
        return start(order, args, kwargs)
    server = Server.current()
    if asks_as_server() and server.store.is_met:
        return await server.part(Sender).aput(order, args, kwargs)
    return await asyncio.to_thread(start, order, args, kwargs)  # a session may have to be read first
