"""`onserver web`: the gateway of the project, served by uvicorn."""

from __future__ import annotations

import signal
import socket

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.lazy import load
from onserver.process.server_method import ServerMethod
from onserver.server import Server
from onserver.web.published import published

_BIND = "127.0.0.1:8000"


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
            self.fail(f"`{value}` is no address with a port, as in {_BIND}", param, ctx)
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  # whoever writes `:8000` means every address


@click.command()
@click.option("--bind", type=Bind(), default=_BIND, metavar="A:P", show_default=True, help="Where to listen.")
@click.option("--behind-proxy", default="", metavar="ADDR",
              help="A server in front, whose word is taken for who asks and by which scheme.")  # fmt: skip
@click.option("--component", default="", metavar="NAME", help="Be the web server of this component.")
@common_options
@pass_invocation
def web(invocation: Invocation, bind: tuple[str, int], behind_proxy: str, component: str) -> int:
    """Serve what the project has published, its pages, hooks and REST.

    TLS, HTTP/2 and files that never change are for an ordinary server in front.

    Exit status: 0 stopped, 2 the project cannot be loaded or the address is taken, 6 cannot reach Redis.
    """
    for module in ("starlette", "jinja2", "uvicorn"):
        load(module, "web")
    server = invocation.server()
    application = load("onserver.web.gateway:Gateway")(server, component)
    server.store.command("PING")
    try:
        family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
        listening = socket.create_server(bind, family=family, backlog=1024)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it on sockets of its own only
    except OSError as error:
        raise click.UsageError(f"{bind[0]}:{bind[1]} cannot be listened on: {error.strerror}.") from error
    with listening, server:
        host, port = listening.getsockname()[:2]
        at = f"[{host}]" if ":" in host else host
        invocation.screen.say(f"serving http://{at}:{port} · {_offered(server, component)}")
        _serve(application, listening, behind_proxy, server.settings.worker.grace_seconds)
    return exits.DONE


def _serve(application: object, listening: socket.socket, behind_proxy: str, grace: float) -> None:
    """Serve until somebody says stop; requests may end within the grace time."""
    uvicorn = load("uvicorn", "web")
    config = uvicorn.Config(
        application, log_config=None, access_log=False, server_header=False, lifespan="off",
        proxy_headers=bool(behind_proxy), forwarded_allow_ips=behind_proxy or None,
        timeout_graceful_shutdown=max(1, int(grace)),
    )  # fmt: skip
    for stops in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stops, signal.SIG_IGN)  # uvicorn hears it, and sends it once more when it has stopped
    uvicorn.Server(config).run(sockets=[listening])


def _offered(server: Server, component: str) -> str:
    found = published(server, component)
    methods = sum(isinstance(one, ServerMethod) for one in found)
    procedures = len(found) - methods
    said = f"{methods} published {'method' if methods == 1 else 'methods'}"
    return f"{said}, {procedures} {'procedure' if procedures == 1 else 'procedures'}"
