"""Parents and children, as Linux has them: nobody outlives whom it belongs to.

An executor dies with its supervisor (PR_SET_PDEATHSIG). The supervisor is the *subreaper* of everything below it: what
an executor that was killed, or ended before its run had, leaves behind becomes its child, and is ended with it: that
run comes again, or is not wanted any more. Elsewhere than on Linux neither exists; there an executor's watch thread
notices another parent, and left-over children end with their pipes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def become_subreaper() -> None:
    """Take over what children of this program leave behind (supervisor)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends (executor). `parent` is its pid as it was before the fork."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(1)


def kill_orphans(known: Collection[int]) -> list[int]:
    """Kill what a dead executor left behind: children of this program that it did not fork itself, and theirs.

    Returns:
        The pids killed. They are reaped by whoever waits for any child.
    """
    killed: list[int] = []
    for child in psutil.Process().children():
        if child.pid in known:
            continue
        with suppress(psutil.NoSuchProcess):
            family = [child, *child.children(recursive=True)]
            for one in family:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
                    killed.append(one.pid)
    return killed
