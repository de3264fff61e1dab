"""One private Redis for one measurement: the program and the configuration of the embedded one, empty."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from onserver.redis.search import find_server
from onserver.redis.serving import surroundings

#: As the keeper of an embedded Redis configures it.
_CONFIGURATION = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "hash-max-listpack-value": "1024",
    "loglevel": "warning",
}
_START_SECONDS = 20.0


@dataclass(frozen=True)
class Counts:
    """What Redis counted up to one moment."""

    #: Requests that were read from a connection: one for each round trip, however many commands it brought.
    trips: int
    #: Commands, those that scripts ran included.
    commands: int
    #: Seconds of CPU time.
    cpu: float
    #: Calls by command.
    calls: dict[str, int]

    def since(self, before: "Counts") -> "Counts":
        """Return what was counted since then; this program's own questions are left out."""
        calls = {name: n - before.calls.get(name, 0) for name, n in self.calls.items()}
        own = 1
        return Counts(
            self.trips - before.trips - own,
            self.commands - before.commands - own,
            self.cpu - before.cpu,
            {name: n for name, n in calls.items() if n and name != "info"},
        )


class Engine:
    """A running Redis, and what it counts."""

    def __init__(self, path: Path, port: int = 0) -> None:
        self.socket = path
        #: The port of 127.0.0.1 where it listens too, or 0.
        self.port = port
        self.client = redis.Redis(unix_socket_path=str(path), protocol=2)

    def memory(self) -> int:
        """Return the bytes that it uses for data."""
        said: Any = self.client.info("memory")
        return int(said["used_memory"])

    def counts(self) -> Counts:
        """Ask for all counters, in one trip."""
        said: Any = self.client.info("everything")
        calls = {
            name.removeprefix("cmdstat_"): int(found["calls"])
            for name, found in said.items()
            if name.startswith("cmdstat_")
        }
        cpu = said["used_cpu_user"] + said["used_cpu_sys"]
        return Counts(said["total_reads_processed"], said["total_commands_processed"], cpu, calls)


@contextmanager
def running(folder: Path, port: int = 0) -> Iterator[Engine]:
    """Run an empty Redis in this folder, and end it with the block."""
    folder.mkdir(parents=True)
    path = folder / "s"
    options = _CONFIGURATION | {"dir": str(folder), "unixsocket": str(path), "logfile": str(folder / "log")}
    options |= {"port": str(port), "bind": "127.0.0.1"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    with subprocess.Popen([str(find_server().path), *words], stdin=subprocess.DEVNULL, env=surroundings()) as server:
        try:
            engine = Engine(path, port)
            _wait_until_up(engine, server)
            yield engine
        finally:
            server.kill()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_until_up(engine: Engine, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            engine.client.ping()
        except redis.ConnectionError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return
