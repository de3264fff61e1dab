"""A loop that one run keeps from turning is named: which process it is, and where it stands.

Nothing else in the executor goes on meanwhile, which is what `async` is not for; the run is not ended for it, but once
the screen and its log say it.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Mapping
from contextvars import copy_context
from time import monotonic, sleep
from typing import Final

from onserver.life import driven
from onserver.life.async_run import AsyncRun
from onserver.life.driven import Driver, here
from onserver.process import runner

#: Seconds that one step may take before it is named.
LONG_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.25
#: What drives a step; below it in a stack is the step.
_OURS: Final = (driven.__file__, runner.__file__)


def watch_loop(driver: Driver, runs: Mapping[int, AsyncRun]) -> None:
    """Watch the loop of the main thread from a thread."""
    threading.Thread(target=_watch, args=(driver, runs), name="onserver-loop-watch", daemon=True).start()


def _watch(driver: Driver, runs: Mapping[int, AsyncRun]) -> None:
    named: set[int] = set()
    while True:
        sleep(_LOOK_SECONDS)
        present = driver.present
        named.intersection_update(runs)
        if present is None or present[0].number in named:
            continue
        run, since = present
        seconds = monotonic() - since
        if seconds >= LONG_SECONDS and isinstance(run, AsyncRun):
            stack = _stack()
            if driver.present is present:  # it is still that step whose stack this is
                named.add(run.number)
                context = copy_context()
                context.run(here.set, run)
                context.run(_name, run, seconds, len(runs) - 1, stack)


def _stack() -> str:
    """Where the main thread stands, from the code of the project on."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    frames = traceback.extract_stack(frame)
    ours = max((index for index, found in enumerate(frames) if found.filename in _OURS), default=-1)
    return "".join(traceback.format_list(frames[ours + 1 :]))


def _name(run: AsyncRun, seconds: float, others: int, stack: str) -> None:
    waiting = f", and {others} other{'s wait' if others != 1 else ' waits'}" if others else ""
    sys.stderr.write(
        f"#{run.number} {run.claim.procedure} has kept its loop from turning for {seconds:.1f} s{waiting}. "
        f"Await what takes time, or give it to a thread: `await asyncio.to_thread(…)`.\n{stack}"
    )
