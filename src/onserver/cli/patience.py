"""What is said while a `call` waits: nothing at first, then what it waits for, whenever that changes.

A worker that has just died is silent before it is declared dead, and meanwhile its process is still shown as running.
Whoever looks at a terminal is told that; a script is told nothing, unless it asked for narration (`-v`).
"""

import re
import sys
from time import monotonic
from typing import Any

from onserver.cli.invocation import Invocation
from onserver.errors import ProcessTimeout
from onserver.process.handle import Process
from onserver.process.record import State
from onserver.server import Server
from onserver.views.members import members
from onserver.views.processes import Row, Seen

#: How long nothing is said, and how often it is looked then, in seconds.
QUIET_SECONDS, LOOK_SECONDS = 3.0, 1.0
#: A worker is called silent when so many of its beats did not come.
_MISSED_BEATS = 2.5
_NUMBER = re.compile(r"\b\d+(\.\d+)? s\b")


def wait_telling(invocation: Invocation, process: Process[Any], until: float | None) -> None:
    """Wait for the end of a process and say meanwhile what it waits for.

    Args:
        invocation: whose screen is used.
        process: the process.
        until: when to stop waiting, by the monotonic clock; None waits as long as it takes.
    """
    screen = invocation.screen
    if not (screen.verbose or sys.stderr.isatty()):
        return
    said, pause = "", QUIET_SECONDS
    while not _ends(process, pause if until is None else min(pause, until - monotonic())):
        if until is not None and monotonic() >= until:
            return
        told = _told(process)
        if _NUMBER.sub("", told) != said:
            said = _NUMBER.sub("", told)
            screen.say(told)
        pause = LOOK_SECONDS


def _ends(process: Process[Any], seconds: float) -> bool:
    try:
        process.wait(timeout=max(0.0, seconds))
    except ProcessTimeout:
        return False
    return True


def _told(process: Process[Any]) -> str:
    row = next(iter(Seen(process.server.store).rows([process.number])), None)
    if row is None:
        return f"#{process.number} is gone"
    if row.state in {State.RUNNING, State.WAITING, State.PAUSED} and row.worker:
        doing = "runs" if row.state == State.RUNNING else f"is {row.state}"
        why = f" ({row.why})" if row.why else ""
        return f"#{row.number} {doing} on {row.worker}{why}{_silence(process.server, row)}"
    return f"#{row.number} is {row.state}: {row.why}" if row.why else f"#{row.number} is {row.state}"


def _silence(server: Server, row: Row) -> str:
    settings = server.settings.member
    silences = [member.silence for member in members(server.store) if member.node == row.worker]
    silence = min(silences, default=None)
    if silence is None:
        return ", which is gone"
    if silence < _MISSED_BEATS * settings.beat_seconds:
        return ""
    if silence >= settings.lease_seconds:
        return f", which is silent for {silence:.0f} s: dead, as soon as another worker is there to find it so"
    lease = settings.lease_seconds
    return (
        f", which is silent for {silence:.0f} s: at {lease:g} s it is declared dead, and what it ran is run elsewhere"
    )
