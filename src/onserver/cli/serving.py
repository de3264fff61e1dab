"""Listening and serving over HTTP, for the verbs that do: the gateway and the admin page."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading

import click

from onserver.lazy import load


class Bind(click.ParamType[tuple[str, int]]):
    """An address and a port: `127.0.0.1:8000`, `[::1]:8000`, `:8000`."""

    name = "address"

    def convert(
        self, value: str | tuple[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Read it, or fail with the form that it has."""
        if isinstance(value, tuple):
            return value
        host, colon, port = value.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            self.fail(f"`{value}` is no address with a port, as in 127.0.0.1:8000", param, ctx)
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  # whoever writes `:8000` means every address


def listen(bind: tuple[str, int]) -> socket.socket:
    """Listen at an address.

    Raises:
        click.UsageError: it is taken, or none of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
        listening = socket.create_server(bind, family=family, backlog=1024)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it on sockets of its own only
    except OSError as error:
        raise click.UsageError(f"{bind[0]}:{bind[1]} cannot be listened on: {error.strerror}.") from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Return where a socket listens, as a URL has it."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_here(host: str) -> bool:
    """Tell whether an address is reached from this machine alone.

    Args:
        host: an address, or a name, all of whose addresses have to be.
    """
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None)}
        return bool(found) and all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in found)
    except (OSError, ValueError):
        return False


def serve(
    application: object, listening: socket.socket, *, behind_proxy: str = "", grace: float = 1.0, until: int = -1
) -> None:
    """Serve until somebody says stop; requests may end within the grace time.

    Args:
        application: of ASGI.
        listening: where.
        behind_proxy: address of a server in front, whose word is taken for who asks and by which scheme.
        grace: seconds.
        until: the end of a pipe; when the other one is closed, serving ends, and no signal of a terminal does it.
    """
    uvicorn = load("uvicorn", "web")
    config = uvicorn.Config(
        application, log_config=None, access_log=False, server_header=False, lifespan="off",
        proxy_headers=bool(behind_proxy), forwarded_allow_ips=behind_proxy or None,
        timeout_graceful_shutdown=max(1, int(grace)),
    )  # fmt: skip
    for stops in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stops, signal.SIG_IGN)  # uvicorn hears it, and sends it once more when it has stopped
    server = uvicorn.Server(config)
    if until >= 0:
        threading.Thread(target=_end_with, args=(server, until), daemon=True, name="onserver-until").start()
    server.run(sockets=[listening])


def _end_with(server: object, until: int) -> None:
    while os.read(until, 1):
        pass  # nobody writes: it ends with the program that has the other end
    server.should_exit = True  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
