"""The bar of `onserver call --progress`: on a terminal one line that grows, elsewhere a line for each report."""

import shutil
import sys
from typing import Final, Self

import click

from onserver.cli.screen import Screen
from onserver.process.progress import Progress

_WIDEST: Final = 40
_CLEAR: Final = "\r\x1b[K"


class Bar:
    """Shows how far a process is, on the standard error; nothing with `--quiet`."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._terminal = sys.stderr.isatty()
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            click.echo(_CLEAR, nl=False, err=True)

    def show(self, progress: Progress) -> None:
        """Show this."""
        if not self._terminal:
            self._screen.say(f"{progress} {progress.note}".rstrip())
        elif not self._screen.quiet:
            self._drawn = True
            click.echo(_CLEAR + line(progress, shutil.get_terminal_size().columns - 1), nl=False, err=True)


def line(progress: Progress, width: int) -> str:
    """Lay out one line that is at most so wide: `███████░░░  71 % 71 of 100 customers`."""
    said = f"{progress.done:g}" + (f" of {progress.total:g}" if progress.total is not None else "")
    words = f"{said} {progress.note}".rstrip()
    if progress.percent is None:
        return words[:width]
    size = max(0, min(_WIDEST, width - len(words) - len(" 100 % ")))
    full = size * progress.percent // 100
    return f"{'█' * full}{'░' * (size - full)} {progress.percent:3} % {words}"[:width]
