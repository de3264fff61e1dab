"""What single promises cost: the signature of each message, and the history of what has ended.

    python -m benchmarks.costs          both; two minutes

Three servers stand side by side, one with everything and two with one promise left out (`without`). Each in turn starts
some processes one by one and runs them, again and again; what is compared is the CPU time of all sides for a process:
of the program that starts it, of Redis and of the worker. On processors that are full a share of that is the same share
of the throughput, and it varies less.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import counter, engine
from benchmarks.measures import FULL, Bench
from benchmarks.options import often
from benchmarks.programs import Failed, Place, Worker
from benchmarks.without import MAC, VARIABLE

_TURNS, _PROCESSES = 25, 3000
_QUICK_TURNS, _QUICK_PROCESSES = 1, 50
_ALL = ""
#: What is left out, and what may be its share of the throughput.
_MOST = {"signature": 0.05, "history": 0.15}


class Without(Bench):
    """Ours, with one promise left out in all its programs."""

    def __init__(self, folder: Path, what: str) -> None:
        super().__init__(folder, "ours", FULL)
        self.what = what

    @contextmanager
    def open(self, variant: str = "") -> Iterator[tuple[engine.Engine, Place]]:
        """Give a new Redis, and the place where its programs run."""
        with super().open(variant) as (redis, place):
            tasks = place.folder / "tasks" / "without.py"
            tasks.write_text("from benchmarks.without import leave_out\n\nleave_out()\n")
            yield redis, replace(place, variables={**place.variables, VARIABLE: self.what})


class Side:
    """One of the servers, with its worker."""

    def __init__(self, bench: Without, redis: engine.Engine, place: Place, worker: Worker) -> None:
        self._bench, self._redis, self._place, self._worker = bench, redis, place, worker

    def cost(self, processes: int) -> float:
        """Start so many and run them; answer microseconds of CPU time for one."""
        before, done, cpu = self._redis.counts(), self._place.count(), self._worker.cpu()
        told = self._place.client(self._bench.client, "enqueue", "one", processes)
        self._worker.wait_count(done + processes)
        cpu = self._worker.cpu() - cpu + self._redis.counts().since(before).cpu
        return float(told["client_cpu_us"]) + cpu / processes * 1e6

    def check(self) -> None:
        """See to it that what is to be left out is left out, and nothing else.

        Raises:
            Failed: it is not so. That a worker does not make sure of signatures is seen by what it runs without one.
        """
        record: Any = next(self._redis.client.scan_iter("*:p:1", count=10_000))
        envelope: Any = self._redis.client.hget(record, "c")
        missing = {"signature": envelope.endswith(MAC), "history": self._redis.client.ttl(record) == -1}
        if missing != {what: what == self._bench.what for what in missing}:
            raise Failed(f"with `{self._bench.what}` to leave out, this is left out: {missing}")


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print the shares; the exit status is 1 where something failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=often, default=_TURNS, help=f"how often each is measured ({_TURNS})")
    parser.add_argument("--quick", action="store_true", help="tiny counts, once")
    options = parser.parse_args(arguments)
    turns, processes = (_QUICK_TURNS, _QUICK_PROCESSES) if options.quick else (options.turns, _PROCESSES)
    try:
        costs = measured(turns, processes)
    except Failed as failure:
        print(f"failed: {failure}")
        return 1
    for what, most in _MOST.items():
        shares = [1 - without / all_ for without, all_ in zip(costs[what], costs[_ALL], strict=True)]
        spread = f"{min(shares):.0%} to {max(shares):.0%} in {turns} turns"
        print(f"{what}: {median(shares):.1%} of the CPU time of a process ({spread}); at most {most:.0%} is to be")
    return 0


def measured(turns: int, processes: int) -> dict[str, list[float]]:
    """Microseconds of CPU time for a process in each turn: with everything, and by what was left out."""
    costs: dict[str, list[float]] = {what: [] for what in (_ALL, *_MOST)}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=counter.folder()) as folder, ExitStack() as open_:
        sides: dict[str, Side] = {}
        for what in costs:
            bench = Without(Path(folder) / (what or "all"), what)
            redis, place = open_.enter_context(bench.open())
            sides[what] = side = Side(bench, redis, place, open_.enter_context(bench.worker(place)))
            side.cost(_QUICK_PROCESSES)  # all are connected
            side.check()
        for turn in range(turns):
            for what in list(sides) if turn % 2 == 0 else list(sides)[::-1]:
                costs[what].append(sides[what].cost(processes))
                print(f"{turn + 1} {what or 'all'}: {costs[what][-1]:.1f} µs", file=sys.stderr, flush=True)
    return costs


if __name__ == "__main__":
    sys.exit(main())
