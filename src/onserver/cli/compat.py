"""`onserver compat`: what holds for the Celery application of the project, with the broker that it has."""

import click

from onserver import lazy
from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns

_MARKS = {True: "✓", False: "✗"}


@click.command()
@common_options
@pass_invocation
def compat(invocation: Invocation) -> int:
    """Print what holds with the broker in use, and which settings of the application stand against it.

    Nothing is connected to. Exit status: 0 everything holds, 2 the application cannot be loaded, 10 something does not.
    """
    found = lazy.load("onserver.celery_app.compat:report_of")(invocation.server())
    rows = [
        {"": _MARKS[row.holds], "what": row.what, f"on {found.broker}": row.here, "on onserver": row.ours}
        for row in found.rows
    ]
    lines = [columns(("", "what", f"on {found.broker}", "on onserver"), rows)]
    lines += [f"✗ {finding}" for finding in found.findings]
    data = {
        "application": found.application,
        "broker": found.broker,
        "rows": [row._asdict() for row in found.rows],
        "findings": list(found.findings),
    }
    invocation.screen.result(data, "\n".join(lines))
    return exits.DONE if found.holds else exits.FINDINGS
