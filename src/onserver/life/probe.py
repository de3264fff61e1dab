"""Readiness and liveness over HTTP, for those who look from outside: `/ready` and `/live`.

A thread answers with what its program last knew, so no look costs a beat or waits for Redis. 200 is yes, 503 no; the
body says in JSON what was known. Children that are forked meanwhile do not keep the port.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import msgspec

from onserver.errors import BadSetting

#: Seconds that one who looks may take to say what it wants.
_PATIENCE: Final = 5.0
_READY, _LIVE = "/ready", "/live"


class Probe:
    """Answers on one address until it is closed.

    Args:
        address: as in "127.0.0.1:8080"; "[::1]:8080" for one of IPv6; port 0 takes any that is free.
        known: gives what is known: of it `ready` and `live` decide, and all is told.

    Raises:
        BadSetting: ONS-1007, the address cannot be listened on.
    """

    def __init__(self, address: str, known: Callable[[], dict[str, Any]]) -> None:
        host, _, port = address.rpartition(":")

        class Handler(_Handler):
            facts = staticmethod(known)

        try:
            family = _SixServer if host.startswith("[") else ThreadingHTTPServer
            self._server = family((host.strip("[]"), int(port)), Handler)
        except (OSError, ValueError, OverflowError) as error:
            raise BadSetting("worker.health", address, f"it cannot be listened on: {error}") from error
        _close_in_children(self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="onserver-health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """In a child: the port is its parent's."""
        self._server.socket.close()


class _SixServer(ThreadingHTTPServer):
    address_family = 10  # socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    facts: Callable[[], dict[str, Any]]

    def do_GET(self) -> None:
        """Answer a look."""
        facts = self.facts()
        right = {_READY: facts["ready"], _LIVE: facts["live"]}.get(self.path.partition("?")[0])
        body = msgspec.json.encode(facts) + b"\n" if right is not None else b"/ready and /live are what there is\n"
        self.send_response(404 if right is None else 200 if right else 503)
        self.send_header("Content-Type", "text/plain" if right is None else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # the name is the protocol's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Say nothing: a look each second is no news."""


def _close_in_children(probe: Probe) -> None:
    mine = weakref.ref(probe)

    def forget() -> None:
        found = mine()
        if found is not None:
            found.forget()

    os.register_at_fork(after_in_child=forget)
