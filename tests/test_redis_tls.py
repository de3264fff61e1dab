"""`rediss://`: the same through TLS, which ends at a small proxy, since not every Redis is built with it.

`tests/tls` has a certificate for localhost and its key, made for this and good for nothing else.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from onserver import execute_on_server
from onserver.celery_app.app import make_app
from onserver.redis.address import Address, parse
from onserver.redis.answers import LinkError, Unreachable
from onserver.redis.link import Link
from onserver.testing.cluster import open_cluster
from tests.cluster.jobs import TASKS

TLS = Path(__file__).parent / "tls"


class Terminator:
    """Takes TLS connections on a port of its own, and passes on what is inside to a Unix socket."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tls", daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(60)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        far_reader, far = await asyncio.open_unix_connection(self._upstream)
        try:
            await asyncio.gather(_pump(near_reader, far), _pump(far_reader, near))
        finally:
            for side in (near, far):
                side.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the other side is gone: so is this one, next
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@pytest.fixture
def terminator(redis_address: Address) -> Iterator[Terminator]:
    with Terminator(redis_address.path) as made:
        yield made


def test_commands_and_large_answers(terminator: Terminator) -> None:
    address = parse(f"rediss://localhost:{terminator.port}?ssl_ca_certs={TLS / 'certificate.pem'}")
    with Link(address, command_seconds=60) as link:
        assert link.command("PING") == b"PONG"
        large = os.urandom(5_000_000)
        assert link.command("ECHO", large) == large
        assert link.pipeline([("ECHO", n) for n in range(5000)]) == [b"%d" % n for n in range(5000)]


def test_a_certificate_that_nobody_vouches_for_is_refused(terminator: Terminator) -> None:
    with Link(parse(f"rediss://localhost:{terminator.port}")) as link, pytest.raises(Unreachable) as refused:
        link.command("PING")
    assert "certificate" in str(refused.value).lower()
    with Link(parse(f"rediss://localhost:{terminator.port}?ssl_cert_reqs=none")) as link:
        assert link.command("PING") == b"PONG"


def test_no_tls_where_tls_is_spoken_ends_in_a_named_error(terminator: Terminator) -> None:
    with Link(parse(f"redis://localhost:{terminator.port}"), command_seconds=1) as link, pytest.raises(LinkError):
        link.command("PING")


def test_a_worker_and_celery_through_tls(onserver_redis: str, tmp_path: Path) -> None:
    with Terminator(parse(onserver_redis).path) as terminator:
        url = f"rediss://localhost:{terminator.port}?ssl_ca_certs={TLS / 'certificate.pem'}"
        with open_cluster(url, tmp_path, tasks=TASKS) as cluster, cluster.as_current():
            cluster.start(1)
            assert execute_on_server("jobs.work", 1).result(timeout=60) == 1
            assert cluster.storage["started"] == 1
            app = make_app(cluster.server)
            assert app.send_task("jobs.work", (2,)).get(timeout=60) == 2
