"""A port before a Unix socket, with TLS or without: not every Redis is built with it, and ours has no port.

`tests/tls` has a certificate for localhost and its key, made for this and good for nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

TLS = Path(__file__).parent / "tls"


class Terminator:
    """Takes connections on a port of its own, and passes on what is inside to a Unix socket.

    Args:
        upstream: path of the socket.
        tls: whether TLS is spoken on the port.
    """

    def __init__(self, upstream: str, *, tls: bool = True) -> None:
        self._upstream = upstream
        self._context: ssl.SSLContext | None = None
        if tls:
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
