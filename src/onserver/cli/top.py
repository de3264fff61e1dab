"""`onserver top`: how the server stands, again every second, on a terminal; keys abort, pause and resume."""

import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import Any, Final

import click

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.top_screen import VIEWS, Shown, draw, room
from onserver.errors import OnServerError, ProcessNotFound
from onserver.process.control import Answer
from onserver.process.handle import Process
from onserver.process.log import read_log
from onserver.server import Server
from onserver.views.overview import Overview, look

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_CLEAR_LINE: Final = "\x1b[K"
_ARROWS: Final = {b"\x1b[A": "k", b"\x1b[B": "j"}
#: What `--once` shows where there is no terminal that has a size.
_PAPER: Final = (120, 60)


@click.command()
@click.option("--interval", type=SECONDS, default=1.0, show_default=True, metavar="S", help="Time between two looks.")
@click.option("--once", is_flag=True, help="Print how it stands and leave; needs no terminal.")
@common_options
@pass_invocation
def top(invocation: Invocation, interval: float, once: bool) -> int:
    """Show processes, queues and workers as they are now, until q or Ctrl-C. The key ? lists what the others do.

    Exit status: 0 done, 2 this is no terminal, 6 cannot reach Redis.
    """
    server = invocation.server()
    if once or invocation.screen.json:
        width, height = _PAPER
        seen = look(server, "", room(height))
        text = "\n".join(line.rstrip() for line in draw(seen, Shown(note=" "), [], width, height)[1:])
        invocation.screen.result(seen.as_dict(), f"{seen.name}: {seen.state}\n{text}".rstrip())
        return exits.DONE
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("`onserver top` needs a terminal. `--once` prints how it stands now, `--json` as data.")
    with _terminal():
        _Top(server, max(0.1, interval)).run()
    return exits.DONE


@contextmanager
def _terminal() -> Generator[None]:
    """Another screen, and keys as they are typed; as it was before, whatever happens."""
    before = termios.tcgetattr(sys.stdin)
    sys.stdout.write(_ENTER)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()


class _Top:
    """The screen, and what the keys do."""

    def __init__(self, server: Server, interval: float) -> None:
        self._server = server
        self._interval = interval
        self._keys = _Keys()
        self._shown = Shown()
        self._look()

    def run(self) -> None:
        """Draw and obey until somebody leaves."""
        due = monotonic() + self._interval
        while True:
            self._draw()
            key = self._keys.next(max(0.0, due - monotonic()))
            if key == "q":
                return
            if key:
                self._obey(key)
            if monotonic() >= due or key:
                due = monotonic() + self._interval
                if not self._shown.still:
                    self._look()

    def _look(self) -> None:
        height = shutil.get_terminal_size().lines
        try:
            self._seen: Overview = look(self._server, self._shown.pattern, room(height))
        except OnServerError as error:
            if not hasattr(self, "_seen"):
                raise
            self._shown = replace(self._shown, note=str(error))  # what was seen last stays, and the next look may do
            return
        if self._shown.chosen not in {row.number for row in self._seen.processes}:
            self._shown = self._shown.moved(self._seen, 0)

    def _draw(self) -> None:
        width, height = shutil.get_terminal_size()
        log = self._log(height) if self._shown.log_of else []
        lines = draw(self._seen, self._shown, log, width, height)
        sys.stdout.write(_HOME + f"{_CLEAR_LINE}\r\n".join(lines) + _CLEAR_LINE)
        sys.stdout.flush()

    def _log(self, height: int) -> list[str]:
        found = read_log(self._server.store, self._shown.log_of, room(height))
        return [] if found is None else [f"{line.at.astimezone():%H:%M:%S} {line.text}" for line in found.lines]

    def _obey(self, key: str) -> None:
        self._shown = replace(self._shown, note="")
        if key in _MOVES:
            self._shown = self._shown.moved(self._seen, _MOVES[key])
        elif key in "123" or key == "\t":
            at = VIEWS.index(self._shown.view) + 1 if key == "\t" else int(key) - 1
            self._shown = replace(self._shown, view=VIEWS[at % len(VIEWS)], log_of=0, help=False)
        elif key == "?":
            self._shown = replace(self._shown, help=not self._shown.help)
        elif key == " ":
            self._shown = replace(self._shown, still=not self._shown.still)
        elif key == "l":
            self._shown = replace(self._shown, log_of=0 if self._shown.log_of else self._shown.chosen)
        elif key == "/":
            self._shown = replace(self._shown, pattern=self._typed("show only: "))
        elif key in "apr":
            self._order(key)

    def _order(self, key: str) -> None:
        """Abort, pause or resume the chosen process."""
        number = self._shown.chosen
        if not number or (key == "a" and not self._typed(f"abort #{number}? y or n: ", 1).startswith("y")):
            return
        process: Process[Any] = Process(self._server, number)
        orders: Mapping[str, Callable[[], Answer]] = {
            "a": lambda: process.abort("by `onserver top`"),
            "p": process.pause,
            "r": process.resume,
        }
        try:
            self._shown = replace(self._shown, note=f"#{number} {orders[key]().text}")
        except ProcessNotFound as error:
            self._shown = replace(self._shown, note=str(error))

    def _typed(self, question: str, letters: int = 80) -> str:
        """Ask in the last line; Enter ends the answer, Esc drops it."""
        answer = ""
        while len(answer) < letters:
            self._shown = replace(self._shown, note=f"{question}{answer}")
            self._draw()
            key = self._keys.next(self._interval)
            if key == "\x1b":
                answer = ""
                break
            if key in ("\r", "\n"):
                break
            answer = answer[:-1] if key in ("\x7f", "\b") else answer + key
        self._shown = replace(self._shown, note="")
        return answer


_MOVES: Final = {"j": 1, "k": -1}


class _Keys:
    """What is typed, key by key."""

    def __init__(self) -> None:
        self._typed = b""

    def next(self, seconds: float) -> str:
        """The key that is pressed within this time, or nothing."""
        if not self._typed and select.select([sys.stdin], [], [], seconds)[0]:
            self._typed = os.read(sys.stdin.fileno(), 1024)
        arrow = _ARROWS.get(self._typed[:3])
        size = 3 if arrow else 1
        key, self._typed = self._typed[:size], self._typed[size:]
        return arrow or key.decode("ascii", "ignore")
