"""`onserver web`: the gateway of the project, served by uvicorn."""

from __future__ import annotations

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.serving import Bind, address_of, listen, serve
from onserver.lazy import load
from onserver.process.server_method import ServerMethod
from onserver.server import Server
from onserver.web.published import published

_BIND = "127.0.0.1:8000"


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
    with listen(bind) as listening, server:
        invocation.screen.say(f"serving http://{address_of(listening)} · {_offered(server, component)}")
        serve(application, listening, behind_proxy=behind_proxy, grace=server.settings.worker.grace_seconds)
    return exits.DONE


def _offered(server: Server, component: str) -> str:
    found = published(server, component)
    methods = sum(isinstance(one, ServerMethod) for one in found)
    procedures = len(found) - methods
    said = f"{methods} published {'method' if methods == 1 else 'methods'}"
    return f"{said}, {procedures} {'procedure' if procedures == 1 else 'procedures'}"
