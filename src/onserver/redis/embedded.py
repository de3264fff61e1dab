"""A private Redis for one project, shared by all its programs, started when the first of them needs it.

    PROGRAM 1 ─┐ shared lock                 ┌─ keeper (detached, see `keeper`)
    PROGRAM 2 ─┴─ on `users.lock`            └─ server: Unix socket, append-only file, in PROJECT/.onserver/redis

A program takes its share of the lock, looks whether a server answers, and starts a keeper if none does. The keeper
ends the server a few seconds after the last share is gone, however that program ended.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import Self

import onserver
from onserver.errors import BrokerUnavailable
from onserver.redis import stamp
from onserver.redis.address import Address, unix_address
from onserver.redis.binary import ServerBinary
from onserver.redis.home import FileLock, is_locked
from onserver.redis.keeper import Order, Report, Running
from onserver.redis.place import home_of
from onserver.redis.search import find_server
from onserver.redis.serving import answers

_LOOK_SECONDS = 0.005


class Embedded:
    """The embedded Redis of a project. `start` it before use; it is there until `close`, or the end of the program.

    Args:
        project: the project's folder.
        server: path of the server program; found by `find_server` when empty.
        appendfsync: `everysec` (a crash of the machine or of Redis loses a second at most) or `always`.
        linger_seconds: for how long the server outlives its last user.
        start_seconds: how long to wait for it, which includes reading its data.

    Example:
        >>> import tempfile
        >>> with Embedded(Path(tempfile.mkdtemp()), linger_seconds=0) as embedded:
        ...     embedded.start().kind
        'unix'
    """

    def __init__(
        self,
        project: Path,
        *,
        server: str = "",
        appendfsync: str = "everysec",
        linger_seconds: float = 5.0,
        start_seconds: float = 30.0,
    ) -> None:
        self.home = home_of(project)
        self._server = server
        self._appendfsync = appendfsync
        self._linger_seconds = linger_seconds
        self._start_seconds = start_seconds
        self._users: FileLock | None = None
        self._starting = threading.Lock()

    def start(self) -> Address:
        """Use the server, starting it if nobody has yet. Calling it again makes sure that it is still there.

        Raises:
            NoRedis: there is no server program to start.
            BrokerUnavailable: it did not come up; the reason says why, and the remedy what to do.
        """
        deadline = monotonic() + self._start_seconds
        with self._starting:
            if self._users is None:
                users = FileLock(self.home.users)
                if not users.take(shared=True, seconds=self._start_seconds):
                    users.close()
                    raise self._failure("is being stopped and does not end")
                users.touch()
                self._users = users
            self._make_sure(deadline)
        return unix_address(str(self.home.socket))

    def revive(self) -> None:
        """Start a keeper if there is none: for a program whose connection was refused. Does not wait for Redis.

        The keeper starts a crashed server by itself; this is for the case that the keeper was killed as well.
        """
        if self._users is not None and not is_locked(self.home.keeper):
            self.start()

    def close(self) -> None:
        """Use the server no longer. Children that were forked since `start` go on using it until they end."""
        with self._starting:
            if self._users is not None:
                self._users.touch()
                self._users.close()
                self._users = None

    @property
    def binary(self) -> ServerBinary | None:
        """The server program that runs, or ran last; None before the first start."""
        found = stamp.read(self.home)
        return ServerBinary(Path(found.path), found.engine, found.version, found.source) if found else None

    def running(self) -> Running | None:
        """The process ids of keeper and server, or None while there is no server."""
        try:
            return Running(**json.loads(self.home.running.read_bytes()))
        except FileNotFoundError:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_sure(self, deadline: float) -> None:
        while not answers(self.home):
            if monotonic() > deadline:
                raise self._failure(f"did not come up in {self._start_seconds:.0f} s")
            if is_locked(self.home.keeper):
                sleep(_LOOK_SECONDS)
                continue
            report = self._start_keeper(deadline)
            if report.outcome == "failed":
                raise self._failure(report.reason, report.remedy)

    def _start_keeper(self, deadline: float) -> Report:
        found = find_server(self._server)
        order = Order(
            folder=str(self.home.folder),
            socket=str(self.home.socket),
            path=str(found.path),
            engine=found.engine,
            version=found.version,
            source=found.source,
            appendfsync=self._appendfsync,
            linger_seconds=self._linger_seconds,
        )
        with self.home.log.open("ab") as log:
            starting = subprocess.Popen(
                [_python(), "-P", "-m", "onserver.redis.keeper", json.dumps(order._asdict())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        with starting:
            return self._await_report(starting, deadline)

    def _await_report(self, starting: subprocess.Popen[bytes], deadline: float) -> Report:
        if starting.stdout is None:
            raise self._failure("was started without a way to hear of it")
        readable, _, _ = select.select([starting.stdout], [], [], max(0.0, deadline - monotonic()))
        said = os.read(starting.stdout.fileno(), 65536) if readable else b""
        if not said:
            raise self._failure("could not be started: its keeper ended", f"Its log is {self.home.log}.")
        return Report(**json.loads(said))

    def _failure(self, reason: str, remedy: str = "") -> BrokerUnavailable:
        return BrokerUnavailable(
            address=f"unix://{self.home.socket}",
            seconds=self._start_seconds if not remedy else 0.0,
            reason=reason,
            remedy=remedy or f"Its log is {self.home.log}.",
        )


def _python() -> str:
    """The interpreter; inside a program that embeds Python (uWSGI), `sys.executable` is that program."""
    if Path(sys.executable).name.startswith(("python", "pypy")):
        return sys.executable
    return str(Path(sys.prefix) / "bin" / "python3")


def _environment() -> dict[str, str]:
    source = str(Path(onserver.__file__).parents[1])
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{path}" if path else source}
