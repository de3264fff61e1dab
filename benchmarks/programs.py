"""Workers and clients as programs of the operating system, and what a tree of them costs."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.counter import VARIABLE

ROOT = Path(__file__).resolve().parent.parent
#: A worker that counts nothing for so long has failed.
STALL_SECONDS = 15.0
_CLIENT_SECONDS = 90.0
_MB = 1 << 20
#: Variables that would change what is measured; compiled modules are kept, as on every other machine.
_NOT_OURS = ("ONSERVER_", "CELERY_", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")


class Failed(Exception):
    """A program of the measurement failed; the text has its last words."""


@dataclass(frozen=True)
class Place:
    """Where one measurement happens: its folder and the environment of its programs."""

    folder: Path
    counter: Path
    variables: Mapping[str, str]
    python: str = sys.executable

    def environment(self) -> dict[str, str]:
        """Return the environment of a program that belongs to the measurement."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        own = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", VARIABLE: str(self.counter), "C_FORCE_ROOT": "1"}
        return kept | own | dict(self.variables)

    def count(self) -> int:
        """Return how many runs there have been."""
        return self.counter.stat().st_size if self.counter.exists() else 0

    def reset(self) -> None:
        """Begin to count at 0 again."""
        self.counter.write_bytes(b"")

    def client(self, module: str, *words: object, seconds: float = _CLIENT_SECONDS) -> dict[str, Any]:
        """Run a client program and return its report, one line of JSON.

        Raises:
            Failed: it has ended without one, or not within so many seconds.
        """
        command = [self.python, "-m", f"benchmarks.{module}", *map(str, words)]
        try:
            ended = subprocess.run(
                command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=False,
                timeout=seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{' '.join(command[2:])}: nothing within {late.timeout:.0f} s") from late
        lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
        if ended.returncode or not lines:
            raise Failed(f"{' '.join(command[2:])}: {(ended.stderr or ended.stdout)[-2000:]}")
        report: dict[str, Any] = json.loads(lines[-1])
        return report

    def talk(self, module: str, *words: object, seconds: float = _CLIENT_SECONDS) -> "Talk":
        """Start a client program that is asked again and again; each of its answers comes within so many seconds."""
        return Talk(self, [self.python, "-m", f"benchmarks.{module}", *map(str, words)], seconds)


class Talk:
    """A client program that answers each line with a line of JSON; it is killed with the block."""

    def __init__(self, place: Place, command: Sequence[str], seconds: float) -> None:
        self._name, self._seconds = " ".join(command[2:]), seconds
        self._log = place.folder / "talk.log"
        with self._log.open("wb") as log:
            self._program = subprocess.Popen(
                command, cwd=place.folder, env=place.environment(), text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()
        self._program.communicate()

    def ask(self, line: str) -> dict[str, Any]:
        """Say a line, and return what is answered."""
        if self._program.stdin is not None and self._program.poll() is None:
            self._program.stdin.write(line + "\n")
            self._program.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """Return what it says next.

        Raises:
            Failed: it has ended, or says nothing.
        """
        said = self._program.stdout
        if said is None or not select.select([said], [], [], self._seconds)[0]:
            raise Failed(f"{self._name}: nothing within {self._seconds:.0f} s")
        line = said.readline()
        if not line.startswith("{"):
            raise Failed(f"{self._name}: {line}{self._log.read_text(errors='replace')[-2000:]}")
        report: dict[str, Any] = json.loads(line)
        return report


class Worker:
    """A worker, which may be several programs, each in a session of its own. `close` kills exactly those sessions."""

    def __init__(self, place: Place, *commands: Sequence[str]) -> None:
        self._place = place
        self._log = place.folder / "worker.log"
        self.started = time.perf_counter()
        with self._log.open("ab") as log:
            self._programs = [
                subprocess.Popen(
                    [place.python, *command], cwd=place.folder, env=place.environment(), stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, start_new_session=True,
                )
                for command in commands
            ]  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(program.pid, signal.SIGKILL)
        for program in self._programs:
            program.wait()

    @property
    def pid(self) -> int:
        """The process id of the program that was started first."""
        return self._programs[0].pid

    def tree(self) -> list[psutil.Process]:
        """Return the programs and all their descendants."""
        programs = [psutil.Process(program.pid) for program in self._programs]
        return [found for program in programs for found in [program, *program.children(recursive=True)]]

    def cpu(self) -> float:
        """Return the seconds of CPU time of the tree so far."""
        times = [process.cpu_times() for process in self.tree()]
        return float(sum(t.user + t.system + t.children_user + t.children_system for t in times))

    def memory(self) -> dict[str, float]:
        """Return the memory of the tree in MB: resident, and with what is shared counted once."""
        found = [process.memory_full_info() for process in self.tree()]
        return {"rss": sum(m.rss for m in found) / _MB, "pss": sum(m.pss for m in found) / _MB, "programs": len(found)}

    def wait_count(self, wanted: int) -> float:
        """Wait until so many runs were counted, and return when that was by `perf_counter`.

        Raises:
            Failed: the worker ended, or nothing was counted for `STALL_SECONDS`.
        """
        last, moved = -1, time.perf_counter()
        while (count := self._place.count()) < wanted:
            now = time.perf_counter()
            if count != last:
                last, moved = count, now
            ended = any(program.poll() is not None for program in self._programs)
            if ended or now - moved > STALL_SECONDS:
                raise Failed(f"worker stands at {count} of {wanted}: {self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.001)
        return time.perf_counter()
