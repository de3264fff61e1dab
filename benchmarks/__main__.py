"""Measure ours and stock Celery in turn and print how they compare.

python -m benchmarks                       everything, three repetitions, a few minutes
python -m benchmarks --only drain,calls    some of it
python -m benchmarks --quick               tiny counts: does everything run? The figures mean nothing
"""

import argparse
import sys
import tempfile
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import charts, counter, report
from benchmarks.measures import FULL, MEASURES, ONCE, QUICK, SIDES, Bench, Scale
from benchmarks.options import often, some
from benchmarks.programs import Failed
from onserver.redis.search import find_server


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; the exit status is 1 where something failed, and never because of a figure."""
    options = _options(arguments)
    began = time.monotonic()
    results: report.Results = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=counter.folder()) as folder:
        for repetition in range(options.reps):
            for name in options.only:
                if repetition and name in ONCE:
                    continue
                _measure(results, name, Path(folder) / f"{repetition}-{name}", repetition, options)
    found = report.lines(results)
    print(report.table(found))
    facts: dict[str, object] = {
        "at": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "repetitions": options.reps,
        "quick": options.quick,
        "celery": version("celery"),
        "engine": str(find_server()),
    }
    report.save(options.out, results, found, facts)
    print(f"\n{facts['engine']}, {facts['seconds']} s, {options.reps} repetitions; written to {options.out}")
    for drawn in charts.drawn(options.out):
        print(f"drawn: {drawn}")
    behind = [] if options.quick else report.slower(found)
    if behind:
        print(f"slower than stock Celery, or growing: {', '.join(behind)}")
    for failure in options.failures:
        print(f"failed: {failure}")
    return 1 if options.failures else 0


def _measure(results: report.Results, name: str, folder: Path, repetition: int, options: argparse.Namespace) -> None:
    measure, sides = MEASURES[name]
    scale: Scale = QUICK if options.quick else FULL
    for side in sides if repetition % 2 == 0 else sides[::-1]:
        if side not in options.sides:
            continue
        began = time.monotonic()
        try:
            figures = measure(Bench(folder, side, scale))
        except Failed as failure:
            options.failures.append(f"{name} of {side}: {failure}")
            continue
        results.setdefault(name, {}).setdefault(side, []).append(figures)
        if not options.silent:
            print(f"{repetition + 1} {name} {side}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", type=some(MEASURES), default=list(MEASURES), metavar="M1,M2", help=", ".join(MEASURES)
    )
    parser.add_argument("--sides", type=some(SIDES), default=list(SIDES), metavar="S1,S2", help=", ".join(SIDES))
    parser.add_argument("--reps", type=often, default=3, help="repetitions (3)")
    parser.add_argument("--quick", action="store_true", help="tiny counts, one repetition")
    parser.add_argument("--silent", action="store_true", help="say nothing until the table")
    parser.add_argument("--out", type=Path, help="the JSON file; by default in .onserver/bench/")
    options = parser.parse_args(arguments, argparse.Namespace(failures=[]))
    if options.quick:
        options.reps = 1
    if options.out is None:
        options.out = Path(".onserver/bench") / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}.json"
    return options


if __name__ == "__main__":
    sys.exit(main())
