"""A gateway on a real port, served by a thread of the test's program, and a wire between it and its clients."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from onserver.server import Server
from onserver.testing import wait_for
from onserver.web.gateway import Gateway

_CHUNK = 65536


@contextmanager
def served(server: Server, certificate: Path | None = None) -> Iterator[str]:
    """Serve the gateway of a server; answers its address.

    Args:
        server: the loaded project.
        certificate: a file with a certificate and its key, of 127.0.0.1: it is served through TLS.
    """
    config = uvicorn.Config(
        Gateway(server), log_config=None, lifespan="off", timeout_graceful_shutdown=1, ssl_certfile=certificate
    )
    program = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `onserver web` does
        thread = threading.Thread(target=program.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        wait_for(lambda: program.started, 20)
        try:
            yield f"http{'s' if certificate else ''}://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            program.should_exit = True
            thread.join(20)


class Wire:
    """Passes connections on to another port, and breaks them as networks do.

    Args:
        url: of what it passes on to.
    """

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._to = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._cut = False
        self._swallow: list[bytes] = []
        #: How many replies were swallowed.
        self.swallowed = 0
        threading.Thread(target=self._accepting, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def cut(self) -> None:
        """Break what is connected, and refuse what connects, until `mend`."""
        self._cut = True
        with self._lock:
            broken, self._open = self._open, []
        for one in broken:
            _end(one)

    def mend(self) -> None:
        """Pass on again."""
        self._cut = False

    def swallow(self, path: str) -> None:
        """Let the next request to this path arrive, and break its connection in place of the reply."""
        self._swallow.append(f"POST {path} ".encode())

    def close(self) -> None:
        """Pass on nothing any more."""
        self.cut()
        _end(self._listening)

    def _accepting(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._cut:
                _end(client)
                continue
            server = socket.create_connection(self._to)
            for one in (client, server):  # what comes is passed on at once
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open += [client, server]
            lost = threading.Event()
            threading.Thread(target=self._up, args=(client, server, lost), daemon=True).start()
            threading.Thread(target=self._down, args=(server, client, lost), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(_CHUNK):
                for wanted in self._swallow:
                    if piece.startswith(wanted):
                        self._swallow.remove(wanted)
                        lost.set()
                        break
                server.sendall(piece)
        _end(server)

    def _down(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(_CHUNK):
                if lost.is_set():
                    self.swallowed += 1
                    break
                client.sendall(piece)
        _end(client)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
