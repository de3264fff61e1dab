"""Starting a process on the current server, from a loop or not."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from onserver.process.handle import Process
from onserver.process.put import Order, Sender
from onserver.server import Server


def start(order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
    """Start a process: one round trip."""
    return Server.current().part(Sender).put(order, args, kwargs)


async def start_async(order: Order, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Process[Any]:
    """Start a process without blocking the loop. Session and caller are those of the coroutine."""
    return await asyncio.to_thread(start, order, args, kwargs)
