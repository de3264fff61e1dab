"""Workers of a test, as programs of the operating system: started, signalled, killed, and gone at the end."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

#: Seconds that a program gets to end when it was told to; longer, and the test that left it so has failed. It takes
#: well under two where the machine has time, which the machine that runs tests may not have.
ENDS = 20.0


class WorkerProgram:
    """One worker: a program with a process group of its own, and the file that its output goes to."""

    def __init__(
        self,
        node: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        folder: Path,
        ends: float = ENDS,
    ) -> None:
        self.node = node
        self.log = log
        self._ends = ends
        with log.open("ab") as output:
            self.program = subprocess.Popen(
                command,
                env=environment,
                process_group=0,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
            )
        self.pid = self.program.pid

    def __repr__(self) -> str:
        return f"<worker {self.node} pid {self.pid}>"

    @property
    def alive(self) -> bool:
        """Whether its supervisor runs, or is stopped."""
        return self.program.poll() is None

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    @property
    def executors(self) -> list[int]:
        """The pids of its children."""
        try:
            children = psutil.Process(self.pid).children()
            return [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the supervisor, or to it and everything that it started."""
        if group:
            os.killpg(self.pid, number)
        elif self.alive:
            os.kill(self.pid, number)

    def wait(self, timeout: float = 60.0) -> int:
        """Wait until it has ended and return its exit status.

        Raises:
            subprocess.TimeoutExpired: It goes on.
        """
        return self.program.wait(timeout)

    def end(self) -> str:
        """End it and everything that it started.

        Returns:
            An empty text, or what is wrong: it did not end within `ENDS` seconds of being told to, and where its
            threads were.
        """
        complaint = "" if self._ends_by_itself() else self._stacks()
        with suppress(ProcessLookupError):  # the whole group has ended: nothing to kill
            os.killpg(self.pid, signal.SIGKILL)
        self.program.wait()
        return complaint

    def _ends_by_itself(self) -> bool:
        if not self.alive:
            return True
        self.signal(signal.SIGCONT, group=True)
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):  # said by the answer
            self.program.wait(self._ends)
        return not self.alive

    def _stacks(self) -> str:
        before = len(self.output)
        self.signal(signal.SIGABRT, group=True)  # PYTHONFAULTHANDLER makes each write the stacks of its threads
        with suppress(subprocess.TimeoutExpired):  # it is killed next
            self.program.wait(5.0)
        return f"{self!r} did not end within {self._ends} s of SIGTERM:\n{self.output[before:]}"


def left_in_group(group: int, seconds: float = 10.0) -> list[int]:
    """Return the pids that are left in a process group, after giving them a moment to be gone."""
    deadline = time.monotonic() + seconds
    while (left := _members(group)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _members(group: int) -> list[int]:
    found: list[int] = []
    for process in psutil.process_iter(["pid", "status"]):
        with suppress(ProcessLookupError, psutil.NoSuchProcess):  # it ended while we looked
            if process.status() != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group:
                found.append(process.pid)
    return found
