"""The shared state: P programs do one thing to it for some seconds. `python -m benchmarks.shared SIDE WHAT P SECONDS`.

| what | ours | by hand, with redis-py |
|---|---|---|
| `use` | `with storage.use("entry")`, one number of a 1 KB entry is changed | `Lock`, GET, SET of 1 KB of JSON |
| `add` | `storage.counter("hits").add()` | HINCRBY |
| `read` | `storage["entry"]`, which comes from the cache | GET |

By hand nothing is fenced, versioned, or done once when a reply is lost. Nothing may be lost on either side: the number
in the entry must be what the programs have counted.
"""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import Any

import redis

from onserver import Server

_ENTRY, _COUNTER, _LOCK = "entry", "hits", "lock"
#: One of several reads is timed: a clock costs about as much as a cached read.
_READS = 100


def document() -> dict[str, Any]:
    """Return about 1 KB: a number, and texts of 20 characters."""
    return {"n": 0} | {f"k{index:02}": "v" * 20 for index in range(36)}


class Ours:
    """Our storage."""

    def __init__(self) -> None:
        self._storage = Server.current().storage

    def prepare(self) -> None:
        with self._storage.use() as root:
            root[_ENTRY] = document()

    def count(self, what: str) -> int:
        return self._storage.counter(_COUNTER).value if what == "add" else int(self._storage[_ENTRY]["n"])

    def close(self) -> None:
        Server.current().close()

    def use(self) -> None:
        with self._storage.use(_ENTRY) as entry:
            entry["n"] += 1

    def add(self) -> None:
        self._storage.counter(_COUNTER).add(1)

    def read(self) -> None:
        for _ in range(_READS):
            _ = self._storage[_ENTRY]


class ByHand:
    """What one writes with redis-py."""

    def __init__(self) -> None:
        self._redis = redis.Redis(unix_socket_path=os.environ["BENCH_SOCKET"], protocol=2)

    def prepare(self) -> None:
        self._redis.set(_ENTRY, json.dumps(document()))

    def count(self, what: str) -> int:
        said: Any = self._redis.hget("counters", _COUNTER) if what == "add" else self._redis.get(_ENTRY)
        return int(said or 0) if what == "add" else int(json.loads(said)["n"])

    def close(self) -> None:
        self._redis.close()

    def use(self) -> None:
        with self._redis.lock(_LOCK, timeout=10, blocking_timeout=10, sleep=0.001):
            said: Any = self._redis.get(_ENTRY)
            entry = json.loads(said)
            entry["n"] += 1
            self._redis.set(_ENTRY, json.dumps(entry))

    def add(self) -> None:
        self._redis.hincrby("counters", _COUNTER, 1)

    def read(self) -> None:
        for _ in range(_READS):
            self._redis.get(_ENTRY)


Side = Ours | ByHand
SIDES: dict[str, Callable[[], Side]] = {"ours": Ours, "stock": ByHand}


def main(side: str, what: str, programs: int, seconds: float) -> dict[str, float]:
    """Measure one thing."""
    preparing = SIDES[side]()
    preparing.prepare()
    preparing.close()
    counts = multiprocessing.Array("d", 2 * programs)
    gate = multiprocessing.Barrier(programs)
    running = [
        multiprocessing.Process(target=_program, args=(side, what, seconds, gate, counts, index))
        for index in range(programs)
    ]
    for program in running:
        program.start()
    for program in running:
        program.join()
        if program.exitcode:
            raise SystemExit(f"a program of {side} {what} ended with {program.exitcode}")
    done, worst = list(counts[:programs]), max(counts[programs:])
    lost = sum(done) + programs - SIDES[side]().count(what) if what != "read" else 0.0
    if lost:
        raise SystemExit(f"{side} {what}: {lost} changes were lost")
    unit = _READS if what == "read" else 1
    return {"per_s": sum(done) * unit / seconds, "worst_ms": worst * 1e3, "fairness": min(done) / max(*done, 1)}


def _program(side: str, what: str, seconds: float, gate: Barrier, counts: Any, index: int) -> None:
    mine = SIDES[side]()
    step: Callable[[], None] = getattr(mine, what)
    step()  # connects; it counts as a change, but not as one in time
    gate.wait(60)
    done, worst, before = 0, 0.0, time.perf_counter()
    end = before + seconds
    while before < end:
        step()
        done += 1
        after = time.perf_counter()
        worst, before = max(worst, after - before), after
    counts[index], counts[len(counts) // 2 + index] = done, worst
    mine.close()


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    report = main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    sys.stdout.write(json.dumps(report) + "\n")
