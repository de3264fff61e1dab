"""What tells one program on one machine from every other: enough to prove that it is gone.

A pid alone proves nothing, since it is used again, and since another machine or container counts its own. Together with
the machine's boot id, the pid namespace and the start time of the process it does: when this machine is the one that
was booted then, and no process of that pid started at that time is in the namespace, the program has ended.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A program: where it runs and since when.

    Attributes:
        host: name of the machine.
        pid: process id in its namespace.
        started: start of the process, seconds since 1970 as the kernel keeps it.
        boot: boot id of the machine, or "" where there is none to read.
        space: pid namespace, or "" where there is none.
    """

    host: str
    pid: int
    started: float
    boot: str
    space: str

    @classmethod
    def mine(cls) -> Identity:
        """The identity of this program."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(), pid=pid, started=psutil.Process(pid).create_time(), boot=_boot(), space=_space()
        )

    @classmethod
    def read(cls, fields: Mapping[bytes, bytes]) -> Identity:
        """The identity in a member's record."""
        return cls(
            host=fields.get(b"host", b"").decode(),
            pid=int(fields.get(b"pid", b"0")),
            started=float(fields.get(b"start", b"0")),
            boot=fields.get(b"boot", b"").decode(),
            space=fields.get(b"space", b"").decode(),
        )

    def fields(self) -> list[str]:
        """The identity as field, value … of a member's record."""
        return [
            "host",
            self.host,
            "pid",
            str(self.pid),
            "start",
            repr(self.started),
            "boot",
            self.boot,
            "space",
            self.space,
        ]

    def is_gone(self) -> bool:
        """Whether it is proved that this program has ended: it ran on this machine, and is not there.

        False for a program of another machine, of which nothing can be known but its silence.
        """
        if not self.boot or (self.boot, self.space) != (_boot(), _space()):
            return False
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return True  # it has ended, and its parent has not asked how
            return abs(process.create_time() - self.started) > 1.0
        except psutil.NoSuchProcess:
            return True


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else f"{socket.gethostname()}:{psutil.boot_time():.0f}"


def _space() -> str:
    path = Path("/proc/self/ns/pid")
    return str(path.readlink()) if path.is_symlink() else ""
