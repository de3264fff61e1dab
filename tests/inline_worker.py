"""A server of a test's own, and a worker in a thread of the test's program."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from onserver.server import Server
from onserver.settings import MemberSettings, ProcessSettings, Settings, SigningSettings
from onserver.testing import OnServer
from onserver.testing.proxy import Proxy

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


@contextmanager
def behind(proxy: Proxy) -> Iterator[Server]:
    """A program that knows Redis through the proxy, as current server; its worker is beside it, on the real Redis."""
    name = f"t{uuid4().hex[:8]}"
    with make_server(name, f"unix://{proxy.upstream.path}") as server, working(server):
        with make_server(name, f"unix://{proxy.address.path}") as made:
            made.store.command("PING")
            yield made
        server.make_current()
