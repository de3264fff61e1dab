"""The keeper: a detached process that holds the embedded Redis of a project for as long as somebody uses it.

    python -m onserver.redis.keeper ORDER        ORDER is a JSON text, see `Order`

Who is authoritative: three locked files (`home`). A program that uses the server holds `users.lock` shared; the one
keeper holds `keeper.lock`; server and keeper hold `server.lock`, so that a new keeper can wait for the end of a server
whose keeper was killed. A lock falls when its process dies, in whatever way: no process id is trusted.

| what happens | what follows |
|---|---|
| two programs start at once | both may start a keeper; the second one finds the lock taken and ends |
| the last program ends | after `linger_seconds` the keeper takes `users.lock` exclusively, stops the server, ends |
| a program starts while the keeper ends | it waits for `users.lock`, finds no server, and starts a keeper |
| the server is killed | the keeper starts it again at once; programs reconnect |
| the keeper is killed | the server gets SIGTERM from the kernel (Linux); whoever misses it starts a keeper |
| the keeper gets SIGTERM | it stops the server in good order and ends |

A stop in good order writes `onserver:clean-stop` as the very last thing: the next connection sees by it that nothing of
the last second was lost, and lets the numbers go on where they were.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from onserver.redis.binary import ServerBinary
from onserver.redis.home import FileLock, Home, note
from onserver.redis.serving import DidNotStart, Serving, ask
from onserver.redis.stamp import choose, write

_LOOK_SECONDS = 0.25
_GO_DOWN_SECONDS = 10.0
_MOST_CRASHES = 5
_CRASHES_SECONDS = 10.0


class Order(NamedTuple):
    """What a program tells the keeper that it starts."""

    folder: str
    socket: str
    path: str
    engine: str
    version: str
    source: str
    appendfsync: str
    linger_seconds: float


class Report(NamedTuple):
    """What the keeper tells that program, once."""

    outcome: str  # ready · other (another keeper lives) · failed
    reason: str = ""
    remedy: str = ""


class Running(NamedTuple):
    """What is written into `running.json`: process ids."""

    keeper: int
    server: int


class Keeper:
    """Starts, watches and ends one server."""

    def __init__(self, order: Order) -> None:
        self.home = Home(Path(order.folder), Path(order.socket))
        self._order = order
        self._wake = _woken_by_signals()
        self._told_to_stop = False
        self._crashes: list[float] = []

    def run(self, report: Callable[[Report], None]) -> None:
        """Hold the server until nobody uses it; say once how it began."""
        lock, server_lock, users = FileLock(self.home.keeper), FileLock(self.home.server), FileLock(self.home.users)
        if not lock.take(seconds=0.05):
            report(Report("other"))
            return
        try:
            self._clear_the_way(server_lock)
            serving = self._serve(server_lock)
        except DidNotStart as error:
            report(Report("failed", error.reason, error.remedy))
            return
        report(Report("ready"))
        self._watch(serving, users)
        self.home.running.unlink(missing_ok=True)
        serving.stop()
        self._tidy()
        lock.close()  # before the exit closes the users' lock: whoever gets that one must find this one free

    def _clear_the_way(self, server_lock: FileLock) -> None:
        if server_lock.take():
            return
        with suppress(OSError):  # gone by itself, or deaf: the lock tells
            ask(self.home, "SHUTDOWN")
        if not server_lock.take(seconds=_GO_DOWN_SECONDS):
            raise DidNotStart(
                "cannot be started: a server whose keeper was killed does not end",
                f"Kill the process that has {self.home.server} open.",
            )

    def _serve(self, server_lock: FileLock) -> Serving:
        order = self._order
        found = ServerBinary(Path(order.path), order.engine, order.version, order.source)
        binary = choose(self.home, found)
        self.home.data.mkdir(mode=0o700, exist_ok=True)
        self.home.socket.parent.mkdir(mode=0o700, exist_ok=True)  # see `_tidy`
        write(self.home, binary)
        serving = Serving(self.home, binary, order.appendfsync, server_lock.fd)
        self._start(serving)
        return serving

    def _tidy(self) -> None:
        """Leave no folder behind that was only for the socket."""
        if self.home.socket.parent != self.home.folder:
            with suppress(OSError):  # something of somebody else is in it
                self.home.socket.parent.rmdir()

    def _start(self, serving: Serving) -> None:
        serving.start()
        note(self.home.running, Running(os.getpid(), serving.pid)._asdict())
        serving.wait_until_up()

    def _watch(self, serving: Serving, users: FileLock) -> None:
        """Return when the server is to be stopped; `users` is locked exclusively then, or a signal said so."""
        idle_since: float | None = None
        while not self._told_to_stop:
            if serving.ended and not self._mended(serving):
                return
            if not users.take():
                idle_since = None
            else:
                now = time.time()
                idle_since = now if idle_since is None else idle_since
                if now - max(idle_since, users.touched()) >= self._order.linger_seconds:
                    return
                users.give_back()
            self._wait()

    def _mended(self, serving: Serving) -> bool:
        """Start a crashed server again, unless it crashes over and over."""
        now = time.monotonic()
        self._crashes = [at for at in self._crashes if now - at < _CRASHES_SECONDS] + [now]
        if len(self._crashes) > _MOST_CRASHES:
            return False
        try:
            self._start(serving)
        except DidNotStart:
            return False  # its own log says why; the next program to use it starts a keeper, and is told
        return True

    def _wait(self) -> None:
        readable, _, _ = select.select([self._wake], [], [], min(_LOOK_SECONDS, max(self._order.linger_seconds, 0.01)))
        if readable:
            self._told_to_stop = signal.SIGTERM in self._wake.recv(100)


def main() -> None:
    """Detach from whoever started this, then keep. The report goes to standard output, and ends it."""
    if os.fork():
        os._exit(0)
    order = Order(**json.loads(sys.argv[1]))
    Keeper(order).run(_report)


def _report(report: Report) -> None:
    with suppress(BrokenPipeError):  # the program that asked is gone: others may be there
        os.write(1, json.dumps(report._asdict()).encode())
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.close(nothing)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the byte in the socket is the notice."""


def _woken_by_signals() -> socket.socket:
    """A socket that gets a byte for each signal: the end of a child, or a request to stop."""
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
    signal.set_wakeup_fd(os.dup(waker.fileno()))
    waker.close()
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _noted)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return wake


if __name__ == "__main__":
    main()
