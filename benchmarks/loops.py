"""What a client program of coroutines does: the same words, and the same report, as in `benchmarks.clients`."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any

from benchmarks.clients import reported

Enqueue = Callable[[int], Awaitable[object]]
Call = Callable[[int], Awaitable[Any]]
Opened = Callable[[], AbstractAsyncContextManager[object]]


def main(opened: Opened, enqueue: Mapping[str, Enqueue], call: Call, *, uvloop: bool = True) -> None:
    """Do what the command line says, on uvloop where the system's own documentation advises it."""

    async def do() -> dict[str, float]:
        verb, variant, *numbers = sys.argv[1:]
        async with opened():
            if verb == "enqueue":
                return await _enqueue(enqueue[variant], int(numbers[0]))
            if verb == "call":
                return await _call(call, int(numbers[0]))
            return await _callers(call, int(numbers[0]), int(numbers[1]))

    if uvloop:
        import uvloop as faster  # noqa: PLC0415  # only those that want it have it

        report = faster.run(do())
    else:
        report = asyncio.run(do())
    sys.stdout.write(json.dumps(report) + "\n")


async def _enqueue(enqueue: Enqueue, total: int) -> dict[str, float]:
    warm = min(50, total // 10)
    await enqueue(warm)
    cpu, started = time.process_time(), time.perf_counter()
    await enqueue(total - warm)
    return reported(total - warm, time.perf_counter() - started, time.process_time() - cpu)


async def _call(call: Call, total: int) -> dict[str, float]:
    for number in range(max(5, total // 20)):
        await _checked(call, number)
    times: list[float] = []
    cpu, started = time.process_time(), time.perf_counter()
    for number in range(total):
        began = time.perf_counter()
        await _checked(call, number)
        times.append(time.perf_counter() - began)
    return reported(total, time.perf_counter() - started, time.process_time() - cpu, times)


async def _callers(call: Call, callers: int, total: int) -> dict[str, float]:
    times: list[float] = []
    numbers = count()

    async def caller() -> None:
        for _ in range(total // callers):
            began = time.perf_counter()
            await _checked(call, next(numbers))
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(_checked(call, next(numbers)) for _ in range(callers)))
    cpu, started = time.process_time(), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return reported(len(times), time.perf_counter() - started, time.process_time() - cpu, times)


async def _checked(call: Call, number: int) -> None:
    if await call(number) != number:
        raise AssertionError(f"call {number} returned something else")
