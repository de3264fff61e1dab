"""arq: 50 jobs at a time and a look every 10 ms, since a look every half second is for other loads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.counter import tick
from benchmarks.loops import main
from benchmarks.peers.at import PORT

LOG = {"version": 1, "disable_existing_loggers": False, "loggers": {"arq": {"level": "WARNING"}}}
_AT = RedisSettings(host="127.0.0.1", port=PORT)
_pool: Any = None


async def noop(_: object, number: int) -> int:
    tick()
    return number


class WorkerSettings:
    functions = (noop,)
    redis_settings = _AT
    max_jobs = 50
    poll_delay = 0.01


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    global _pool
    _pool = await create_pool(_AT)
    yield
    await _pool.aclose()


async def one_by_one(total: int) -> None:
    for number in range(total):
        await _pool.enqueue_job("noop", number)


async def call(number: int) -> Any:
    job = await _pool.enqueue_job("noop", number)
    return await job.result(timeout=30, poll_delay=0.001)


if __name__ == "__main__":
    main(opened, {"one": one_by_one}, call)
