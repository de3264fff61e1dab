"""`onserver version`."""

import click

from onserver import __version__, lazy
from onserver.cli.invocation import Invocation, common_options, pass_invocation


@click.command()
@common_options
@pass_invocation
def version(invocation: Invocation) -> None:
    """Print the version of onserver; with -v or --json, of what it stands on too."""
    versions = {"onserver": __version__}
    if invocation.screen.verbose or invocation.screen.json:
        versions |= lazy.load("onserver.views.versions:versions")()  # 30 ms, for who asks for more than ours
    invocation.screen.result(versions, "\n".join(f"{name} {number}" for name, number in versions.items()))
