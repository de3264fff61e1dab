"""Interrupting what a thread runs, where there is no signal that could: in a program that runs processes in threads.

Python raises an exception in another thread at that thread's next step of Python code, wherever that is. So it is sent
only while the thread is in code of the project, or in a library that such code has called: what is ours has connections
and locks to keep in order, and comes back by itself. Code in C (a long `time.sleep`) is not disturbed; the exception is
raised when it returns.
"""

from __future__ import annotations

import ctypes
import sys
from types import FrameType
from typing import Final

from onserver.interrupt import Interrupted
from onserver.process import coroutines

_OURS: Final = "onserver."
#: Modules of ours from which code of the project is called: what lies above their frames is the project's.
_CALLERS: Final = frozenset({
    "onserver.life.hook_call",
    "onserver.life.in_place",
    "onserver.process.procedure",
    "onserver.process.runner",
    "onserver.process.server_method",
})  # fmt: skip


def raise_in(thread: int, error: type[Interrupted]) -> bool:
    """Raise in a thread; a coroutine that its loop runs is cancelled. False, and nothing done, while it is in our code.

    Args:
        thread: its identifier.
        error: made by Python without arguments.
    """
    if coroutines.cancel(thread):
        return True
    frame = sys._current_frames().get(thread)
    if frame is None or not _is_of_project(frame):
        return False
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
    return True


def _is_of_project(frame: FrameType) -> bool:
    at: FrameType | None = frame
    while at is not None:
        module = str(at.f_globals.get("__name__", ""))
        if module.startswith(_OURS):
            return at is not frame and module in _CALLERS
        at = at.f_back
    return False
