"""The server process of the embedded Redis, as its keeper sees it: started, asked, ended."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from onserver.redis.binary import ServerBinary
from onserver.redis.home import Home

#: The last write of a stop in good order; the script `greet` consumes it.
CLEAN_STOP = "onserver:clean-stop"

_LOOK_SECONDS = 0.002
_ANSWER_SECONDS = 1.0
_GO_DOWN_SECONDS = 10.0
_LONGEST_LOG = 1 << 20
_PR_SET_PDEATHSIG = 1


class DidNotStart(Exception):
    """Why there is no server, and what to do: `reason` and `remedy` of the `BrokerUnavailable` that a program gets."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy


class Serving:
    """One server on the data of one home; `lock_fd` is the open lock file that it inherits."""

    def __init__(self, home: Home, binary: ServerBinary, appendfsync: str, lock_fd: int) -> None:
        self.home = home
        self.binary = binary
        self._appendfsync = appendfsync
        self._lock_fd = lock_fd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the server; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def ended(self) -> bool:
        """Whether the server has ended, or never began."""
        return self._process is None or self._process.poll() is not None

    def start(self) -> None:
        """Start the server without waiting for it."""
        if self.home.log.exists() and self.home.log.stat().st_size > _LONGEST_LOG:
            self.home.log.unlink()
        with self.home.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.binary.path, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(self._lock_fd,),
                preexec_fn=_end_with_parent(),  # noqa: PLW1509 (a keeper has one thread)
                env=surroundings(),
            )
        if self._process.stdin is not None:
            self._process.stdin.write(self._configuration().encode())
            self._process.stdin.close()

    def wait_until_up(self) -> None:
        """Return when the server has read its data and answers.

        Raises:
            DidNotStart: it ended instead; the reason is the last thing that it said.
        """
        while not self.ended:
            if answers(self.home):
                return
            time.sleep(_LOOK_SECONDS)
        raise DidNotStart(f"could not be started: {self._last_words()}", f"Its log is {self.home.log}.")

    def stop(self) -> None:
        """End the server in good order: stamp, SHUTDOWN, and force only where neither helps."""
        if self._process is None:
            return
        with suppress(OSError):  # it is deaf: see below
            ask(self.home, f"SET {CLEAN_STOP} 1")
            ask(self.home, "SHUTDOWN")
        for force in (None, signal.SIGTERM, signal.SIGKILL):
            if force is not None:
                self._process.send_signal(force)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GO_DOWN_SECONDS)
                return

    def _configuration(self) -> str:
        lines = {
            "port": "0",
            "unixsocket": _quoted(str(self.home.socket)),
            "unixsocketperm": "700",
            "dir": _quoted(str(self.home.data)),
            "save": '""',
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "maxmemory-policy": "noeviction",
            "hash-max-listpack-value": "1024",
            "loglevel": "warning",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _last_words(self) -> str:
        lines = self.home.log.read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")


def ask(home: Home, command: str) -> str:
    """Send the server of a home one line, and return the line that it answers; empty when it closes the connection.

    Redis reads commands that way too. It spares a keeper, which must come up quickly, everything that a `Link` needs.

    Raises:
        OSError: the server is not there, or does not answer within a second.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(home.socket))
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(4096).decode().rstrip()


def answers(home: Home) -> bool:
    """Whether a server is there and has read its data."""
    try:
        return ask(home, "PING") == "+PONG"
    except OSError:
        return False


def surroundings() -> dict[str, str]:
    """Answer the environment of a server: this program's, in which the C library keeps more of what was freed at hand.

    The wheel's server has no allocator of its own, and what a script makes and frees for its commands is more than the
    seven pieces of a size that are kept by default: a sixth of its time went there.
    """
    return {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=500", **os.environ}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _end_with_parent() -> Callable[[], None] | None:
    """What a child runs so that the kernel ends it (SIGTERM) when its parent dies; elsewhere than on Linux, nothing."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def end_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return end_with_parent
