"""A Redis that a test kills, stops and restarts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onserver.redis.search import find_server
from onserver.testing.wait import wait_for


class RedisProgram:
    """One server on a Unix socket, with an append-only file in `folder`."""

    def __init__(self, folder: Path, appendfsync: str) -> None:
        self.folder = folder
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"
        self._appendfsync = appendfsync
        self._program: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.socket.unlink(missing_ok=True)
        words = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", ""]
        words += ["--appendonly", "yes", "--appendfsync", self._appendfsync, "--maxmemory-policy", "noeviction"]
        self._program = subprocess.Popen([str(find_server().path), *words], stdout=subprocess.DEVNULL)
        wait_for(self.socket.exists, what="the socket of Redis")

    @property
    def pid(self) -> int:
        assert self._program is not None
        return self._program.pid

    def kill(self) -> None:
        """kill -9; until `start`, connections are refused."""
        assert self._program is not None
        self._program.kill()
        self._program.wait()

    def freeze(self) -> None:
        """Stand still: connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def redis_program(folder: Path, appendfsync: str = "always") -> Iterator[RedisProgram]:
    """A Redis of the test's own, ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    program = RedisProgram(folder, appendfsync)
    program.start()
    try:
        yield program
    finally:
        program.thaw()
        program.kill()
