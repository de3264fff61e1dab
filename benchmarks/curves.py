"""What each step costs as more is stored: `python -m benchmarks.curves`, a table and a chart.

Three things grow, one at a time, while the other two stay small: processes queued, sessions, members. Each point has a
Redis of its own, and all are there at the same time and measured in turn; what is shown is the median (`growth`).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from statistics import median

from benchmarks import charts, counter, growth
from benchmarks.measures import FULL, Bench
from benchmarks.options import often
from benchmarks.programs import Failed
from benchmarks.report import aligned, machine, number
from onserver.redis.search import find_server

#: Title to its sizes, and at which place of (queued, sessions, members) it stands.
AXES = {
    "processes queued": (0, (1_000, 10_000, 100_000, 1_000_000)),
    "sessions": (1, (1_000, 10_000, 100_000)),
    "members that beat": (2, (1, 10, 100, 1_000)),
}
QUICK_AXES = {title: (place, sizes[:2]) for title, (place, sizes) in AXES.items()}
_SMALL = (1_000, 1_000, 1)
_STEPS, _QUICK_STEPS = 100, 10
STEPS = {
    "claim_us": "claim",
    "keyed_us": "claim with a limit for each key",
    "settle_us": "settle",
    "lock_us": "lock",
    "commit_us": "commit",
    "session_us": "session()",
    "beat_us": "beat",
    "ps_ms": "first page of ps",
}
Point = tuple[int, int, int]


def main(arguments: list[str] | None = None) -> int:
    """Draw the curves; the exit status is 1 where something failed."""
    options = _options(arguments)
    axes, steps = (QUICK_AXES, _QUICK_STEPS) if options.quick else (AXES, _STEPS)
    points = {_point(place, size) for place, sizes in axes.values() for size in sizes}
    runs: list[dict[Point, dict[str, float]]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=counter.folder()) as folder:
        bench = Bench(Path(folder), "ours", FULL)
        for _ in range(options.reps):
            try:
                runs.append(_measured(bench, sorted(points), steps))
            except Failed as failure:
                print(f"failed: {failure}")
                return 1
    costs = {point: {name: median(run[point][name] for run in runs) for name in STEPS} for point in points}
    curves = {
        title: {
            "sizes": sizes,
            "steps": {said: [costs[_point(place, size)][name] for size in sizes] for name, said in STEPS.items()},
        }
        for title, (place, sizes) in axes.items()
    }
    facts = {"seconds": round(time.monotonic() - began, 1), "repetitions": options.reps, "engine": str(find_server())}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        json.dumps({"kind": "curves", "facts": facts | machine(), "curves": curves}, indent=1) + "\n"
    )
    print(table(axes, costs))
    print(f"\n{facts['engine']}, {facts['seconds']} s; written to {options.out}")
    for drawn in charts.drawn(options.out):
        print(f"drawn: {drawn}")
    return 0


def table(axes: dict[str, tuple[int, tuple[int, ...]]], costs: dict[Point, dict[str, float]]) -> str:
    """A line for each size, a column for each step, and how many times the last is the first."""
    head = ["", *(f"{said} {name.rpartition('_')[2].replace('us', 'µs')}" for name, said in STEPS.items())]
    rows = [head]
    for title, (place, sizes) in axes.items():
        rows += [[f"{size:,} {title}", *(number(costs[_point(place, size)][name]) for name in STEPS)] for size in sizes]
        first, last = (costs[_point(place, size)] for size in (sizes[0], sizes[-1]))
        rows.append(["  the last to the first", *(f"{last[name] / first[name]:.2f} x" for name in STEPS)])
    return aligned(rows, left={0})


def _point(place: int, size: int) -> Point:
    queued, sessions, members = (size if index == place else small for index, small in enumerate(_SMALL))
    return queued, sessions, members


def _measured(bench: Bench, points: Sequence[Point], steps: int) -> dict[Point, dict[str, float]]:
    began = time.monotonic()
    with ExitStack() as running:
        found = growth.measured([(running.enter_context(bench.open())[1], point) for point in points], steps)
    print(f"{len(points)} sizes: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    return dict(zip(points, found, strict=True))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=__doc__.splitlines()[0])
    parser.add_argument("--reps", type=often, default=2, help="repetitions (2)")
    parser.add_argument("--quick", action="store_true", help="the two smallest sizes of each, once")
    parser.add_argument("--out", type=Path, help="the JSON file; by default in .onserver/bench/")
    options = parser.parse_args(arguments)
    if options.quick:
        options.reps = 1
    if options.out is None:
        options.out = Path(".onserver/bench") / f"curves-{datetime.now().astimezone():%Y%m%d-%H%M%S}.json"
    return options


if __name__ == "__main__":
    sys.exit(main())
