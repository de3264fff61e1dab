"""`onserver connections`: the connections of remote clients, and whether new ones are taken."""

from typing import Any, Final

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.connections.records import Connections
from onserver.process.control import asked_by
from onserver.process.rejecting import connections_rejected, reject_new_connections
from onserver.views.session_found import pages

_MOST: Final = 1_000
#: More clients than any server has.
_ALL: Final = 1_000_000


@click.group()
@common_options
def connections() -> None:
    """List the connections of remote clients; tell clients something; reject new ones, or take them again.

    One client is told something, and dropped, by its session: `onserver session message` and `drop`.
    """


@connections.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=_MOST, show_default=True, help="How many clients.")
@common_options
@pass_invocation
def ls(invocation: Invocation, limit: int) -> int:
    """List the connections, by client, those clients first that came last.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    server = invocation.server()
    known = server.part(Connections)
    rows: list[dict[str, Any]] = [
        {"client": record.id, "user": record.user, "number": record.number, "connection": link.number}
        | {"name": link.name, "state": link.state, "since_ms": link.since_ms}
        for record in pages(server, kind="remote", most=limit)
        for link in known.links(record.id)
    ]
    shown = columns(("client", "user", "number", "connection", "name", "state"), rows, right=("number", "connection"))
    invocation.screen.result(rows, shown if rows else "no remote client has a connection")
    return exits.DONE


@connections.command()
@click.argument("text")
@common_options
@pass_invocation
def tell(invocation: Invocation, text: str) -> int:
    """Leave a message for all remote clients that there are.

    Exit status: 0 done, 2 the text is too long, 6 cannot reach Redis.
    """
    server = invocation.server()
    by, told = asked_by(server), list[str]()
    try:
        for record in pages(server, kind="remote", most=_ALL):
            if server.sessions.message(record.id, text, by=by):
                told.append(record.id)
    except ValueError as error:
        raise click.UsageError(f"TEXT: {error}") from error
    count = f"{len(told)} {'client has' if len(told) == 1 else 'clients have'}"
    invocation.screen.result({"told": told}, f"{count} a message" if told else "there is no remote client")
    return exits.DONE


@connections.command()
@common_options
@pass_invocation
def reject(invocation: Invocation) -> int:
    """Take no new connections, until `accept`, whatever is restarted; clients that are connected go on.

    Exit status: 0 done, or it was so; 6 cannot reach Redis.
    """
    invocation.server()
    was = reject_new_connections(True)
    text = "new connections were rejected already" if was else "new connections are rejected with ONS-4113"
    invocation.screen.result({"rejected": True, "changed": not was}, text)
    return exits.DONE


@connections.command()
@common_options
@pass_invocation
def accept(invocation: Invocation) -> int:
    """Take new connections again.

    Exit status: 0 done, or it was so; 6 cannot reach Redis.
    """
    invocation.server()
    was = reject_new_connections(False)
    text = "new connections are taken again" if was else "new connections were taken already"
    invocation.screen.result({"rejected": False, "changed": was}, text)
    return exits.DONE


@connections.command()
@common_options
@pass_invocation
def status(invocation: Invocation) -> int:
    """Tell whether new connections are taken, and how many clients there are.

    Exit status: 0 they are, 3 they are rejected, 6 cannot reach Redis.
    """
    server = invocation.server()
    by, count = connections_rejected(), server.sessions.counts()["remote"]
    clients = f"{count} remote {'client' if count == 1 else 'clients'}"
    text = "new connections are taken" if by is None else f"new connections are rejected by {by}"
    invocation.screen.result({"rejected": by is not None, "by": by, "clients": count}, f"{text}; {clients}")
    return exits.DONE if by is None else exits.REFUSED
