"""`python manage.py onserver …`: the verbs of this command, for those who start everything with `manage.py`.

Django has loaded the project by then, and with it the Celery application that has joined, if the project imports it as
Celery's guide has it. `BASE_DIR` of Django's settings is the project's folder, from wherever this is called, unless
`--project` or ONSERVER_PROJECT says otherwise.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from onserver.cli.command import run


class Command(BaseCommand):
    """The verbs of `onserver`, with their own options and exit statuses."""

    help = "Work with the server that the project has joined: `ps`, `abort`, `storage` and the other verbs."
    requires_system_checks: Sequence[str] = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Hand all words on as they are: no option is Django's."""
        sys.exit(run([*_project(argv), *argv[2:]]))

    def add_arguments(self, parser: Any) -> None:
        """For `call_command("onserver", "ps", "--json")`."""
        parser.add_argument("args", nargs=argparse.REMAINDER)

    def handle(self, *words: str, **_options: object) -> None:
        """Run a verb for `call_command`.

        Raises:
            CommandError: it ended with a status that is not 0, which is the error's `returncode`.
        """
        status = run([*_project(words), *words])
        if status:
            raise CommandError(f"`onserver {' '.join(words)}` ended with status {status}.", returncode=status)


def _project(given: Sequence[str]) -> list[str]:
    said = "ONSERVER_PROJECT" in os.environ or any(word.partition("=")[0] == "--project" for word in given)
    folder = getattr(settings, "BASE_DIR", None)
    if said or folder is None or not (Path(folder) / "config/onserver.toml").is_file():
        return []
    return ["--project", str(folder)]
