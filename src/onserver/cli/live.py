"""Showing the same again and again, on a terminal in one place."""

import sys
import time
from collections.abc import Callable
from typing import Final

import click

from onserver.cli.screen import Screen

#: Seconds between two looks.
INTERVAL: Final = 1.0

_HOME_AND_CLEAR: Final = "\x1b[H\x1b[J"


def repeat(screen: Screen, show: Callable[[], int], seconds: float) -> int:
    """Show something every so often until Ctrl-C; where nobody looks (no terminal) what is shown follows what was."""
    while True:
        if sys.stdout.isatty() and not screen.json:
            click.echo(_HOME_AND_CLEAR, nl=False)
        show()
        sys.stdout.flush()
        time.sleep(seconds)
