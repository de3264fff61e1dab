"""SAQ. A caller looks every millisecond; by default it looks every half second."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from saq import Queue

from benchmarks.counter import tick
from benchmarks.loops import main
from benchmarks.peers.at import URL

queue = Queue.from_url(URL)


async def noop(_: object, *, number: int) -> int:
    tick()
    return number


settings = {"queue": queue, "functions": [noop], "concurrency": 10}


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await queue.connect()
    yield
    await queue.disconnect()


async def one_by_one(total: int) -> None:
    for number in range(total):
        await queue.enqueue("noop", number=number)


async def call(number: int) -> Any:
    return await queue.apply("noop", number=number, timeout=30, poll_interval=0.001)


if __name__ == "__main__":
    main(opened, {"one": one_by_one}, call)
