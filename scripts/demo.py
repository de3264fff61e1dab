"""The main job, from end to end, on real input: `make demo` runs this.

A server starts on a private Redis in a folder of its own; its start-up hook fills the shared storage with the stations.
Two workers take what an application (a separate program) sends them: the 17,518 hourly temperatures of two stations,
in batches, each counted into the statistics that both workers share. Then the server is stopped, its shutdown hook
writes the report, and the report is compared with a plain computation over the same files.

Exit status: 0 when both agree to the last digit, 1 when they do not or when a part failed, 130 when interrupted.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
FILES = {"sf": "sf-temps.csv", "seattle": "seattle-temps.csv"}
WORKERS = 2
#: Seconds within which a worker is ready, an orderly stop has ended, and a worker that was told to end is gone.
READY, STOPPED, GONE = 30.0, 60.0, 10.0

console = Console(highlight=False)


class DemoFailed(Exception):
    """A part of the demo failed; the text says which, and shows what it wrote last."""


class WorkerProgram:
    """One `onserver worker`, in a process group of its own, so that it can be ended whole."""

    def __init__(self, node: str, environment: dict[str, str]) -> None:
        self.node = node
        self.lines: list[str] = []
        self.ready = threading.Event()
        self.program = subprocess.Popen(
            onserver("worker", "-n", node, "-c", "1"),
            env=environment,
            process_group=0,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.program.stdout is not None
        for line in self.program.stdout:
            self.lines.append(line.rstrip())
            console.print(f"  {self.node}  {line.rstrip()}", style="dim", markup=False)
            if " ready" in line:
                self.ready.set()
        self.ready.set()  # the end of the output: whoever waits shall look whether the worker lives

    def wait_ready(self) -> None:
        """Wait until the worker takes work; raises DemoFailed when it ended or took too long."""
        if not self.ready.wait(READY) or self.program.poll() is not None:
            raise DemoFailed(f"worker {self.node} did not start:\n" + "\n".join(self.lines[-20:]))

    def end(self) -> None:
        """End the worker and all that it started, first asking, then by force."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.program.poll() is None:
                with suppress(ProcessLookupError):  # it ended by itself in between
                    os.killpg(self.program.pid, number)
                with suppress(subprocess.TimeoutExpired):  # then the next signal is stronger
                    self.program.wait(GONE)


def onserver(*words: str) -> list[str]:
    """Return the command line of `onserver` with these words, run by this Python."""
    return [sys.executable, "-m", "onserver.cli", *words]


@contextmanager
def project() -> Iterator[Path]:
    """Copy the project's three folders to a place of their own, and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="onserver-demo-"))
    try:
        for part in ("config", "tasks", "workers"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # the private Redis may be writing its last file


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of a program that works in this project and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONSERVER_")}
    return kept | {"ONSERVER_PROJECT": str(folder), "PYTHONPATH": str(folder)}


def run(what: str, command: list[str], environment: dict[str, str], timeout: float | None = None) -> None:
    """Run one part to its end; raises DemoFailed when it failed."""
    status = subprocess.run(command, env=environment, check=False, timeout=timeout).returncode
    if status:
        raise DemoFailed(f"{what} ended with exit status {status}")


def serve(folder: Path) -> dict[str, Any]:
    """Run the server through its whole life and return the report that its shutdown hook wrote."""
    environment = environment_of(folder)
    with ExitStack() as started:
        workers: list[WorkerProgram] = []
        for number in range(1, WORKERS + 1):
            workers.append(WorkerProgram(f"demo-{number}", environment))
            started.callback(workers[-1].end)
        for worker in workers:
            worker.wait_ready()
        run("the application", [sys.executable, str(ROOT / "scripts/demo_application.py")], environment)
        run("onserver stop", onserver("stop"), environment, STOPPED)
        for worker in workers:
            worker.program.wait(GONE)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    stations: dict[str, Any] = report["stations"]
    return stations


def computed_plainly() -> dict[str, dict[str, Any]]:
    """Compute the same figures in one loop over the files, with nothing of onserver in it."""
    figures: dict[str, dict[str, Any]] = {}
    for station, name in FILES.items():
        path = Path(str(distribution("vega_datasets").locate_file(f"vega_datasets/_data/{name}")))
        with path.open(newline="", encoding="utf-8") as file:
            temperatures = [Decimal(row["temp"]) for row in csv.DictReader(file)]
        figures[station] = {
            "readings": len(temperatures),
            "mean": str(sum(temperatures, Decimal(0)) / len(temperatures)),
            "minimum": str(min(temperatures)),
            "maximum": str(max(temperatures)),
        }
    return figures


def differences(report: dict[str, Any], plain: dict[str, dict[str, Any]]) -> list[str]:
    """Name every figure in which the server's report and the plain computation are not equal."""
    return [
        f"{station} {figure}: the server says {report.get(station, {}).get(figure)}, the files say {expected}"
        for station, figures in plain.items()
        for figure, expected in figures.items()
        if report.get(station, {}).get(figure) != expected
    ]


def show(report: dict[str, Any]) -> None:
    """Print the report as a table."""
    table = Table("station", "readings", "mean °F", "minimum °F", "maximum °F")
    for figures in report.values():
        mean = f"{Decimal(figures['mean']):.3f}"
        table.add_row(figures["name"], f"{figures['readings']:,}", mean, figures["minimum"], figures["maximum"])
    console.print(table)


def main() -> int:
    """Run the demo and return its exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stop from outside cleans up like Ctrl-C
    began = time.monotonic()
    try:
        with project() as folder:
            report = serve(folder)
    except KeyboardInterrupt:
        console.print("interrupted; everything that was started has ended")
        return 130
    except (DemoFailed, subprocess.TimeoutExpired) as failure:
        console.print(f"failed  {failure}", style="red", markup=False)
        return 1
    show(report)
    wrong = differences(report, computed_plainly())
    for line in wrong:
        console.print(f"not equal  {line}", style="red", markup=False)
    if wrong:
        return 1
    readings = sum(figures["readings"] for figures in report.values())
    console.print(f"✓ {readings:,} readings, equal to the plain computation, in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
