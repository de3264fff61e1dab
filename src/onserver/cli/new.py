"""`onserver new NAME`: make a project's folder."""

from pathlib import Path

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.process.key_file import make_first_key
from onserver.scaffold import write_project


@click.command()
@click.argument("name")
@click.option("--dir", "folder", metavar="D", type=click.Path(path_type=Path), help="Where to; by default ./NAME.")
@common_options
@pass_invocation
def new(invocation: Invocation, name: str, folder: Path | None) -> int:
    """Make a new project: settings, procedures, hooks, a worker, tests, a compose file, a signing key.

    Exit status: 0 done, 2 the name cannot be one, 8 a file is there already.
    """
    target = folder or Path(name)
    try:
        written = write_project(name, target)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except FileExistsError as error:
        invocation.screen.complaint(str(error))
        return exits.CONFLICT
    make_first_key(target / ".onserver/keys.json")
    shown = f"✓ {target}/: {' '.join(written)}"
    invocation.screen.result({"folder": str(target.resolve()), "files": written}, shown)
    invocation.screen.say(f"next: cd {target} && onserver dev")
    return exits.DONE
