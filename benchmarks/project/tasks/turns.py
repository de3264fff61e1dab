"""A coroutine; only the measurement that is about it has this file, since it brings an async executor with it."""

import asyncio

from benchmarks.counter import tick
from onserver import procedure


@procedure(name="noop.noop_turns")
async def noop_turns(number: int) -> int:
    """Count one run, which lets its loop turn once."""
    await asyncio.sleep(0)
    tick()
    return number
