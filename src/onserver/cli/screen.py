"""What a verb prints: results to the standard output, narration to the standard error.

With `--json` the result is one object, `{"v":1,"ok":true,"data":...}`, or `{"v":1,"ok":false,"error":{...}}`, and
nothing else is on the standard output. Colour only on a terminal, and never with NO_COLOR.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
import msgspec

from onserver.errors import NoWorker, OnServerError


class Screen:
    """The two outputs of one run of the command."""

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.verbose = False

    def result(self, data: object, text: str | None = None) -> None:
        """Print the result: `data` for programs, `text` for people (without one, `data` as people read it)."""
        if self.json:
            click.echo(msgspec.json.encode({"v": 1, "ok": True, "data": data}).decode())
        else:
            shown = readable(data) if text is None else text
            if shown:
                click.echo(shown)

    def say(self, text: str) -> None:
        """Narrate: what goes on, for people, on the standard error; nothing with `--quiet`."""
        if not self.quiet:
            click.echo(text, err=True)

    def detail(self, text: str) -> None:
        """Narrate what only `--verbose` asks for."""
        if self.verbose:
            self.say(text)

    def warn(self, warning: NoWorker) -> None:
        """Print a warning of ours in one line, with its code."""
        self.say(f"{paint('warning', 'yellow')} ONS-{warning.code}  {warning}")

    def error(self, error: OnServerError) -> None:
        """Print an error in one line: its code, what happened, the next step."""
        if self.json:
            click.echo(msgspec.json.encode({"v": 1, "ok": False, "error": error.as_dict()}).decode())
        else:
            text = f"{error.message} {error.hint}".rstrip()
            click.echo(f"{paint('error', 'red')} ONS-{error.code}  {text}", err=True)

    def complaint(self, text: str, hint: str = "") -> None:
        """Print an error that has no code of ours: wrong usage, a file that is there already, remote exceptions."""
        if self.json:
            error = {"code": None, "message": text, "hint": hint, "docs": ""}
            click.echo(msgspec.json.encode({"v": 1, "ok": False, "error": error}).decode())
        else:
            click.echo(f"{paint('error', 'red')}  {text}{' ' + hint if hint else ''}", err=True)


def readable(value: object) -> str:
    """Return a value as a person reads it: text as it is, nothing for None, everything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def paint(word: str, colour: str) -> str:
    """Colour a word, if people look at it on a terminal and did not forbid it."""
    wanted = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return click.style(word, fg=colour, bold=True) if wanted else word


def columns(heads: Sequence[str], rows: Iterable[Mapping[str, Any]], right: Sequence[str] = ()) -> str:
    """Lay out rows in columns as wide as their widest cell.

    Args:
        heads: The keys of the cells, in order; in capitals they are the head line.
        rows: One mapping a line; an absent cell is empty.
        right: The columns that are set flush right, as numbers are.

    Returns:
        Lines without trailing blanks.
    """
    lines = [[head.upper() for head in heads], *([str(row.get(head, "")) for head in heads] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(heads))]
    shown = (
        "  ".join(
            cell.rjust(width) if head in right else cell.ljust(width)
            for head, cell, width in zip(heads, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )
    return "\n".join(shown)


def duration(seconds: float) -> str:
    """Return a length of time as a person reads it: `0.4 s`, `12 s`, `03:12`, `5:03:12`, `2 d 04:00`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02}:{minute:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"
