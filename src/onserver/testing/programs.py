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
#: Seconds between two looks whether it has ended.
_LOOK_SECONDS = 0.01


class WorkerProgram:
    """One worker: a program with a process group of its own, and the file that its output goes to.

    It is not reaped before `end`: until then nobody else gets its pid, which is that of its group, and a signal to the
    group hits nobody else.
    """

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
        #: What was left of its group when it was ended.
        self.left: list[int] = []

    def __repr__(self) -> str:
        return f"<worker {self.node} pid {self.pid}>"

    @property
    def alive(self) -> bool:
        """Whether its supervisor runs, or is stopped."""
        return self.status is None

    @property
    def status(self) -> int | None:
        """Its exit status, negative where a signal ended it; None while it lives."""
        if self.program.returncode is not None or not hasattr(os, "waitid"):  # macOS reaps it here
            return self.program.poll()
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

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
        deadline = time.monotonic() + timeout
        while (status := self.status) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.program.args, timeout)
            time.sleep(_LOOK_SECONDS)
        return status

    def end(self) -> str:
        """End it and everything that it started.

        Returns:
            An empty text, or what is wrong: it did not end within `ENDS` seconds of being told to, and where its
            threads were.
        """
        if self.program.returncode is not None:
            return ""  # that was done before
        complaint = "" if self._ends_by_itself() else self._stacks()
        with suppress(ProcessLookupError):  # the whole group has ended: nothing to kill
            os.killpg(self.pid, signal.SIGKILL)
        self.left = left_in_group(self.pid)
        self.program.wait()
        return complaint

    def _ends_by_itself(self) -> bool:
        if not self.alive:
            return True
        self.signal(signal.SIGCONT, group=True)
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):  # said by the answer
            self.wait(self._ends)
        return not self.alive

    def _stacks(self) -> str:
        before = len(self.output)
        self.signal(signal.SIGABRT, group=True)  # PYTHONFAULTHANDLER makes each write the stacks of its threads
        with suppress(subprocess.TimeoutExpired):  # it is killed next
            self.wait(5.0)
        return f"{self!r} did not end within {self._ends} s of SIGTERM:\n{self.output[before:]}"


def left_in_group(group: int, seconds: float = 10.0) -> list[int]:
    """Return the pids that are left in a process group, after giving them a moment to be gone."""
    deadline = time.monotonic() + seconds
    while (left := _members(group)) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return left


def _members(group: int) -> list[int]:
    found: list[int] = []
    for process in psutil.process_iter(["pid", "status"]):
        with suppress(ProcessLookupError, psutil.NoSuchProcess):  # it ended while we looked
            if process.status() != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group:
                found.append(process.pid)
    return found
