"""A server of a test's own, and a worker in a thread of the test's program."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onserver.server import Server
from onserver.settings import MemberSettings, ProcessSettings, Settings, SigningSettings
from onserver.testing import OnServer

KEY = "a key that only the tests have"


def make_server(name: str, redis: str, **process: Any) -> Server:
    """A server of the test's own, with a key and a lease that no test waits for."""
    settings = Settings(
        name=name,
        redis=redis,
        signing=SigningSettings(key=KEY),
        member=MemberSettings(lease_seconds=60.0),
        process=ProcessSettings(**process),
    )
    return Server(settings=settings)


@contextmanager
def working(server: Server, *queues: str) -> Iterator[OnServer]:
    """A worker for the block."""
    worker = OnServer(server, queues or ("default",), live=True)
    worker.open()
    try:
        yield worker
    finally:
        worker.close()
