"""What a client program does, the same for both sides: it enqueues or calls, and prints one line of JSON.

enqueue VARIANT N       so many, in the way that VARIANT names
call VARIANT N          call, wait for the result, N times
callers VARIANT W N     W threads of one program, N calls together
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

Enqueue = Callable[[int], object]
Call = Callable[[int], Any]


def main(enqueue: Mapping[str, Enqueue], calls: Mapping[str, Call]) -> None:
    """Do what the command line says."""
    verb, variant, *numbers = sys.argv[1:]
    if verb == "enqueue":
        report = _enqueue(enqueue[variant], int(numbers[0]))
    elif verb == "call":
        report = _call(calls[variant], int(numbers[0]))
    else:
        report = _callers(calls[variant], int(numbers[0]), int(numbers[1]))
    sys.stdout.write(json.dumps(report) + "\n")


def _enqueue(enqueue: Enqueue, total: int) -> dict[str, float]:
    warm = min(50, total // 10)
    enqueue(warm)
    cpu, started = time.process_time(), time.perf_counter()
    enqueue(total - warm)
    return reported(total - warm, time.perf_counter() - started, time.process_time() - cpu)


def _call(call: Call, total: int) -> dict[str, float]:
    for number in range(max(5, total // 20)):
        _checked(call, number)
    times: list[float] = []
    cpu, started = time.process_time(), time.perf_counter()
    for number in range(total):
        began = time.perf_counter()
        _checked(call, number)
        times.append(time.perf_counter() - began)
    return reported(total, time.perf_counter() - started, time.process_time() - cpu, times)


def _callers(call: Call, threads: int, total: int) -> dict[str, float]:
    times: list[float] = []
    failures: list[BaseException] = []
    gate = threading.Barrier(threads + 1)
    numbers = count()

    def caller() -> None:
        mine: list[float] = []
        try:
            _checked(call, next(numbers))
            gate.wait(60)
            for _ in range(total // threads):
                began = time.perf_counter()
                _checked(call, next(numbers))
                mine.append(time.perf_counter() - began)
        except BaseException as failure:
            failures.append(failure)
            gate.abort()
        times.extend(mine)

    running = [threading.Thread(target=caller, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        gate.wait(60)
    except threading.BrokenBarrierError:
        raise failures[0] from None
    cpu, started = time.process_time(), time.perf_counter()
    for thread in running:
        thread.join()
    if failures:
        raise failures[0]
    return reported(len(times), time.perf_counter() - started, time.process_time() - cpu, times)


def _checked(call: Call, number: int) -> None:
    if call(number) != number:
        raise AssertionError(f"call {number} returned something else")


def reported(total: int, seconds: float, cpu: float, times: list[float] | None = None) -> dict[str, float]:
    report = {"per_s": total / seconds, "client_cpu_us": cpu / total * 1e6}
    if times:
        times.sort()
        report |= {f"p{share}": times[min(len(times) - 1, share * len(times) // 100)] * 1e3 for share in (50, 95, 99)}
    return report
