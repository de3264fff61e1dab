"""A task's soft time limit in our executors: `SoftTimeLimitExceeded` is raised in it, by the clock's signal.

The hard limit is the supervisor's business: it kills the executor.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from celery.exceptions import SoftTimeLimitExceeded


@contextmanager
def soft_time_limit(seconds: float | None) -> Iterator[None]:
    """Raise in the block when it takes longer than `seconds`; in the main thread only. None is no limit."""
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    def exceeded(_number: int, _frame: FrameType | None) -> None:
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGALRM, exceeded)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
