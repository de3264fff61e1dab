"""Our client as coroutines on asyncio's own loop; all else as in `benchmarks.ours`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks import loops
from benchmarks.ours import procedure


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await call(0)
    yield


async def call(number: int) -> int:
    process = await procedure("noop").astart(number)
    return await process


if __name__ == "__main__":
    loops.main(opened, {}, call, uvloop=False)
