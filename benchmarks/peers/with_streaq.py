"""streaq. Run with the word `work` this is its worker."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from streaq import Worker

from benchmarks.counter import tick
from benchmarks.loops import main
from benchmarks.peers.at import URL

_CHUNK = 1000
worker: Any = Worker(redis_url=URL, concurrency=16)


@worker.task(name="noop", silent=True)
async def noop(number: int) -> int:
    tick()
    return number


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    async with worker:
        yield


async def one_by_one(total: int) -> None:
    for number in range(total):
        await noop.enqueue(number)


async def many(total: int) -> None:
    for first in range(0, total, _CHUNK):
        await worker.enqueue_many([noop.enqueue(number) for number in range(first, min(total, first + _CHUNK))])


async def call(number: int) -> Any:
    task = await noop.enqueue(number)
    return (await task.result(30)).result


if __name__ == "__main__":
    if sys.argv[1] == "work":
        logging.basicConfig(level=logging.WARNING)
        worker.run_sync()
    else:
        main(opened, {"one": one_by_one, "many": many}, call, uvloop=False)
