"""Taskiq with taskiq-redis. `BENCH_BROKER` is `list` or `stream`. A caller looks every millisecond, not every 200."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.counter import tick
from benchmarks.loops import main
from benchmarks.peers.at import URL

_made: Any = ListQueueBroker(url=URL)
if os.environ.get("BENCH_BROKER") == "stream":
    _made = RedisStreamBroker(url=URL, consumer_id="0")
broker: Any = _made.with_result_backend(RedisAsyncResultBackend(redis_url=URL, result_ex_time=3600))


@broker.task(task_name="noop")
async def noop(number: int) -> int:
    tick()
    return number


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


async def one_by_one(total: int) -> None:
    for number in range(total):
        await noop.kiq(number)


async def call(number: int) -> Any:
    task = await noop.kiq(number)
    return (await task.wait_result(check_interval=0.001, timeout=30)).return_value


if __name__ == "__main__":
    main(opened, {"one": one_by_one}, call)
