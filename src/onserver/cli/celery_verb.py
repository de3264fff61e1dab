"""`celery -A proj onserver …`: the verbs of this command, for those who start everything with `celery`.

Celery finds it by the entry point `celery.commands`. It loads no Celery by itself; the application that `-A` names has
been imported by then, so its server is the current one's.
"""

import sys

import click

from onserver.cli.command import run


@click.command(
    "onserver", context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def onserver(words: tuple[str, ...]) -> None:
    """Work with the server that the application has joined: `ps`, `abort`, `storage` and the other verbs."""
    sys.exit(run(words))
