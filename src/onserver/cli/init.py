"""`onserver init`: let the Celery application of this folder join a server."""

import sys
from pathlib import Path

import click

from onserver.cli import exits
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.process.key_file import make_first_key
from onserver.scaffold.joining import Application, difference, find_application, joined, new_files

_KEYS = ".onserver/keys.json"


@click.command()
@click.option("--celery", "named", metavar="MODULE:APP", default="", help="The application, if it is not found.")
@click.option("--django", is_flag=True, help="It is where Celery's guide for Django has it: beside the settings.")
@click.option(
    "--broker",
    type=click.Choice(["keep", "onserver"]),
    default="keep",
    show_default=True,
    help="Whether its messages travel as before, or are records of the server.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@common_options
@pass_invocation
def init(invocation: Invocation, named: str, django: bool, broker: str, dry_run: bool, yes: bool) -> int:
    """Let an existing Celery application join: settings, a signing key, and two lines in the file that makes it.

    Taking the two lines out makes the application what it was.

    Exit status: 0 done, 2 there is no such application, 8 it has joined already.
    """
    folder, screen = invocation.explicit or Path.cwd(), invocation.screen
    try:
        application = find_application(folder, named, django=django)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    before = application.file.read_bytes().decode()
    try:
        after = joined(before, application.name, broker)
        made = new_files(folder, application)
    except (ValueError, FileExistsError) as error:
        screen.complaint(str(error))
        return exits.CONFLICT
    shown = [str(path.relative_to(folder)) for path in made]
    said = f"found Celery application {application.path} · adds {', '.join(shown)}, 2 lines in "
    screen.say(said + str(application.file.relative_to(folder)))
    if dry_run or not (yes or screen.json or _agreed()):
        screen.result({"application": application.path, "written": []}, difference(application.file, before, after))
        return exits.DONE
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if not (folder / _KEYS).exists():
        make_first_key(folder / _KEYS)
    application.file.write_bytes(after.encode())
    written = [*shown, str(application.file.relative_to(folder))]
    screen.result({"application": application.path, "written": written}, f"✓ {' '.join(written)}")
    screen.say(_next(application, broker))
    return exits.DONE


def _agreed() -> bool:
    """Ask, where there is somebody to ask."""
    return not sys.stdin.isatty() or click.confirm("write?", default=False, err=True)


def _next(application: Application, broker: str) -> str:
    if broker == "keep":
        return f"next: celery -A {application.module} worker, and `onserver ps`; `onserver compat` tells what holds"
    return "next: onserver worker, and `onserver ps`"
