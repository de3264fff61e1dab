"""Where the time of a worker at full rate goes: `python -m benchmarks.flames`, a flame graph and a table of shares.

A queue is drained by a worker of two executors while py-spy looks at all its programs, some hundred times a second.
Only looks that find Python at work (a thread holds the interpreter's lock) count: the shares are of what Python does,
without the waiting for Redis and without what the system does to send and receive. py-spy has to be allowed to look
into other programs of this user: root may, and everybody where `kernel.yama.ptrace_scope` is 0.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import counter
from benchmarks.measures import FULL, Bench
from benchmarks.programs import Failed, Place, Worker
from benchmarks.report import aligned

_SPY = Path(sys.prefix) / "bench-tools" / "bin" / "py-spy"
_QUEUED, _RATE, _SECONDS = 250_000, 500, 12
_SHOWN = 24


def main(arguments: list[str] | None = None) -> int:
    """Record, draw, and print what takes how much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flames", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(".onserver/bench/worker.svg"), help="the flame graph")
    parser.add_argument("--side", choices=("ours", "ordinary"), default="ours", help="procedures, or Celery tasks")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=counter.folder()) as folder:
        bench = Bench(Path(folder), options.side, FULL)
        try:
            with bench.open() as (_, place):
                place.client(bench.client, "enqueue", "many", _QUEUED, seconds=600)
                with bench.worker(place) as worker:
                    worker.wait_count(_QUEUED // 100)
                    _record(worker, "flamegraph", options.out)
                    options.out.write_text(plain(options.out.read_text()))
                    _record(worker, "raw", Path(folder) / "stacks")
                    _require_left(place)
            print(shares((Path(folder) / "stacks").read_text()))
        except Failed as failure:
            print(f"failed: {failure}")
            return 1
    print(f"drawn: {options.out}")
    return 0


def _record(worker: Worker, form: str, out: Path) -> None:
    command = [
        str(_SPY), "record", "--subprocesses", "--pid", str(worker.pid), "--rate", str(_RATE),
        "--duration", str(_SECONDS), "--format", form, "--gil", "--function", "--output", str(out),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"py-spy: {done.stderr[-1000:]}")


def plain(drawing: str) -> str:
    """Return the flame graph without the paths of this machine."""
    titled = re.sub(r'(<text id="title"[^>]*>)[^<]*', r"\1a worker at full rate", drawing)
    return titled.replace(sys.executable, "python")


def _require_left(place: Place) -> None:
    if place.count() >= _QUEUED:
        raise Failed("the queue was drained before it had been looked at: queue more")


def shares(stacks: str) -> str:
    """For each function the share of the looks in which it was the one that ran, and in which it was on the stack."""
    alone, within = Counter[str](), Counter[str]()
    for line in stacks.splitlines():
        path, _, count = line.rpartition(" ")
        frames = [frame for frame in path.split(";") if not frame.startswith("process ")]
        alone[frames[-1]] += int(count)
        for frame in set(frames):
            within[frame] += int(count)
    total = alone.total()
    rows = [("function", "itself", "with what it calls")]
    rows += [(name, f"{count / total:.1%}", f"{within[name] / total:.1%}") for name, count in alone.most_common(_SHOWN)]
    return aligned(rows, left={0})


if __name__ == "__main__":
    sys.exit(main())
