"""Measure ours and the others in turn and print how they compare.

python -m benchmarks.peers                          everybody, three repetitions, some 15 minutes
python -m benchmarks.peers --only drain --who ours,huey,Celery
python -m benchmarks.peers --quick                  tiny counts: does everything run? The figures mean nothing
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from benchmarks import charts, counter
from benchmarks.options import often, some
from benchmarks.peers import report
from benchmarks.peers.measures import MEASURES, PeerBench, scale
from benchmarks.peers.systems import SYSTEMS, System
from benchmarks.programs import Failed
from benchmarks.report import machine
from onserver.redis.search import find_server

_VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; the exit status is 1 where something failed."""
    options = _options(arguments)
    began = time.monotonic()
    failures: list[str] = []
    results: report.Results = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=counter.folder()) as folder:
        for repetition in range(options.reps):
            for name in options.only:
                _measure(results, name, Path(folder) / f"{repetition}-{name}", repetition, options, failures)
            content = _content(results, failures, options, began, repetition + 1)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(content, indent=1) + "\n")  # after each, for whoever stops it
    rows = report.compare(results)
    print(report.everybody(rows), report.ours(rows), sep="\n\n")
    print(f"\n{find_server()}, {time.monotonic() - began:.0f} s, {options.reps} repetitions; written to {options.out}")
    for drawn in charts.drawn(options.out):
        print(f"drawn: {drawn}")
    for failure in failures:
        print(f"failed: {failure}")
    return 1 if failures else 0


def _content(
    results: report.Results, failures: list[str], options: argparse.Namespace, began: float, repetitions: int
) -> dict[str, object]:
    facts = {
        "at": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "repetitions": repetitions,
        "quick": options.quick,
        "engine": str(find_server()),
        "versions": {name: versions(SYSTEMS[name]) for name in options.who},
    }
    rows = [asdict(row) for row in report.compare(results)]
    return {"kind": "peers", "facts": facts | machine(), "rows": rows, "results": results, "failures": failures}


def _measure(
    results: report.Results, name: str, folder: Path, repetition: int, options: argparse.Namespace, failures: list[str]
) -> None:
    who = options.who if repetition % 2 == 0 else options.who[::-1]
    for system in who:
        if name == "batch" and SYSTEMS[system].batched is None:
            continue
        began = time.monotonic()
        figures = None
        try:
            figures = MEASURES[name](PeerBench(folder, SYSTEMS[system], scale(quick=options.quick)))
        except Failed as failure:
            failures.append(f"{name} of {system}: {failure}")
        results.setdefault(name, {}).setdefault(system, []).append(figures)
        print(f"{repetition + 1} {name} {system}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def versions(system: System) -> dict[str, str]:
    """Ask its environment for the versions of what is measured."""
    said = subprocess.run(
        [system.python, "-c", _VERSIONS, *system.packages], capture_output=True, check=True, text=True
    )
    found: dict[str, str] = json.loads(said.stdout)
    return found


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", type=some(MEASURES), default=list(MEASURES), metavar="M1,M2", help=", ".join(MEASURES)
    )
    parser.add_argument("--who", type=some(SYSTEMS), default=list(SYSTEMS), metavar="S1,S2", help=", ".join(SYSTEMS))
    parser.add_argument("--reps", type=often, default=3, help="repetitions (3)")
    parser.add_argument("--quick", action="store_true", help="tiny counts, one repetition")
    parser.add_argument("--out", type=Path, help="the JSON file; by default in .onserver/bench/")
    options = parser.parse_args(arguments)
    if options.quick:
        options.reps = 1
    if options.out is None:
        options.out = Path(".onserver/bench") / f"peers-{datetime.now().astimezone():%Y%m%d-%H%M%S}.json"
    return options


if __name__ == "__main__":
    sys.exit(main())
