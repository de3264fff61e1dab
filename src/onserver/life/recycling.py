"""Which executors have done enough: long-lived programs gather memory that nobody frees any more.

A worn executor is replaced before it leaves: the new one is forked first, and the old one finishes what it runs and
takes nothing more. Nothing is lost or waits for that.
"""

from time import monotonic
from typing import Final

from onserver.life.child import Child
from onserver.settings import WorkerSettings

_MEGABYTE: Final = 1024


def is_worn(child: Child, settings: WorkerSettings) -> bool:
    """Whether an executor is to be replaced: by what it has run, its age, or the most memory that it has taken."""
    runs, seconds, megabytes = settings.recycle_processes, settings.recycle_seconds, settings.recycle_megabytes
    return (
        bool(runs and child.page.runs >= runs)
        or bool(seconds and monotonic() - child.born >= seconds)
        or bool(megabytes and child.page.peak_kilobytes >= megabytes * _MEGABYTE)
    )
