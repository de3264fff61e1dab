"""`onserver maintenance`: close the server for new work, open it again, or tell how it stands."""

from typing import Any, Final

import click

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.process.maintenance import Maintenance, begin_maintenance, end_maintenance, maintenance_on
from onserver.redis.store import Store
from onserver.views.members import members

_OPEN: Final = "off: the server takes new work"


@click.group()
@common_options
def maintenance() -> None:
    """Close the server for new work: what runs goes on, hooks and operators get in."""


@maintenance.command()
@click.option("--message", metavar="TEXT", default="", help="What those are told who are refused.")
@click.option("--for", "for_seconds", type=SECONDS, metavar="D", help="It ends by itself after this time.")
@click.option("--reject-connections", is_flag=True, help="Refuse new connections as well.")
@common_options
@pass_invocation
def on(invocation: Invocation, message: str, for_seconds: float | None, reject_connections: bool) -> int:
    """Refuse new calls with ONS-4104 and the message, until `maintenance off`, whatever is restarted.

    Exit status: 0 done, 2 wrong usage, 6 cannot reach Redis.
    """
    server = invocation.server()
    closed = begin_maintenance(message, for_seconds=for_seconds, reject_connections=reject_connections)
    running = _running(server.store)
    told = f"ONS-4104 and “{closed.message}”" if closed.message else "ONS-4104"
    who = "new calls and new connections get" if reject_connections else "new calls get"
    goes_on = f"{running} {'process goes' if running == 1 else 'processes go'} on"
    invocation.screen.result(_facts(closed, running), f"on: {who} {told}; {goes_on}")
    return exits.DONE


@maintenance.command()
@common_options
@pass_invocation
def off(invocation: Invocation) -> int:
    """Take new work again; what schedules have missed meanwhile is started as each wants it.

    Exit status: 0 done, or it was off; 6 cannot reach Redis.
    """
    server = invocation.server()
    was = end_maintenance()
    text = _OPEN if was else "was off: the server takes new work"
    invocation.screen.result(_facts(None, _running(server.store)) | {"changed": was}, text)
    return exits.DONE


@maintenance.command()
@common_options
@pass_invocation
def status(invocation: Invocation) -> int:
    """Tell whether the server takes new work.

    Exit status: 0 it does, 3 it is in maintenance, 6 cannot reach Redis.
    """
    store = invocation.server().store
    closed = maintenance_on(store)
    invocation.screen.result(_facts(closed, _running(store)), _OPEN if closed is None else f"on: {closed.text}")
    return exits.DONE if closed is None else exits.REFUSED


def _running(store: Store) -> int:
    return sum(member.runs for member in members(store))


def _facts(closed: Maintenance | None, running: int) -> dict[str, Any]:
    facts = {"on": closed is not None, "running": running}
    return facts if closed is None else facts | closed._asdict()
