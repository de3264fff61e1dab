"""Named steps at which a program kills itself, for tests that ask what a ``kill -9`` right there leaves behind.

``ONSERVER_CRASH_AT=NAME[:NTH][@ROLE]``, together with ``ONSERVER_TESTING=1``, is read once when the program starts:

- ``before_settle`` dies the first time that the program, or any process forked from it, comes by;
- ``before_settle:3`` the third time; ``before_settle:each`` every time, until the process is dead-lettered;
- ``before_settle@executor`` counts and dies only in a process that called ``role("executor")``.

The count is kept in a pipe that is filled before anything is forked: each one that comes by takes one byte out, and
who gets the last one dies. So exactly one process of the tree does, whichever comes first, and its successor does not.
"""

import os
import signal
from typing import Final, NamedTuple


class _Target(NamedTuple):
    name: str
    role: str
    tickets: int | None
    """The reading end of the pipe with the count; None: every time."""


def _read_target(text: str) -> _Target | None:
    if not text or os.environ.get("ONSERVER_TESTING") != "1":
        return None
    step, _, wanted_role = text.partition("@")
    name, _, nth = step.partition(":")
    if nth == "each":
        return _Target(name, wanted_role, None)
    tickets, filling = os.pipe()
    os.set_blocking(tickets, False)
    os.write(filling, b"." * (int(nth or 1) - 1) + b"X")
    # The writing end stays open: a closed one would read as an end, and not as "nothing left".
    return _Target(name, wanted_role, tickets)


_target: Final = _read_target(os.environ.get("ONSERVER_CRASH_AT", ""))
_role = ""


def role(name: str) -> None:
    """Say what this process is, ``supervisor`` or ``executor``, for targets that name one."""
    global _role
    _role = name


def crash_point(name: str) -> None:
    """Kill this process without warning if a test asked for it at this step; otherwise do nothing."""
    if _target is None or _target.name != name:
        return
    if _target.role and _target.role != _role:
        return
    if _target.tickets is not None:
        try:
            if os.read(_target.tickets, 1) != b"X":
                return
        except BlockingIOError:
            return  # the one that was asked for has died already
    os.kill(os.getpid(), signal.SIGKILL)
