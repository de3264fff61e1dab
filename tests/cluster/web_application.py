"""A web application under gunicorn with --preload: forks of one program that had used the server before the fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from onserver import Server, session

server = Server.current()
with server.storage.use() as root:  # a member, with sockets and a cache, before anything is forked
    root["web"] = {"count": 0, "pids": []}
assert server.storage["web"]["count"] == 0


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """Count one request in the shared storage."""
    with server.storage.use("web") as web:
        web["count"] += 1
        if os.getpid() not in web["pids"]:
            web["pids"].append(os.getpid())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{server.client.holder()} {session()}".encode()]
