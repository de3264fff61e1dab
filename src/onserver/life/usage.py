"""What the runs of a worker have used: processor time since they began, and the memory that their executors have now.

The supervisor looks at each beat, and its beat says it: of runs that are older than a beat, and where something has
changed since the last one. What a run is charged with is what its executor has used since the end of the run before, as
the page of the executor has it: of short runs not each is noted, so up to fifteen of a millisecond may be in it.
Programs that a run starts are counted nowhere. An executor that runs many at once has one account for all of them, so
nothing is said of these; nor of the runs in Celery's pools, which no supervisor of ours watches.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

import psutil

from onserver.life.child import Child


def usage_of(children: Iterable[Child], older_seconds: float) -> str:
    """Answer `NUMBER CPU_MS BYTES` of each run that is older, joined by commas; empty where there is none."""
    return ",".join(filter(None, (_of_one(child, older_seconds) for child in children if child.role != "async")))


def _of_one(child: Child, older_seconds: float) -> str:
    page = child.page
    number, began = page.current, page.run_began
    if not number or monotonic() - began < older_seconds:
        return ""
    used, rss = 0.0, 0
    with suppress(psutil.NoSuchProcess):  # it has ended, and is buried soon
        program = psutil.Process(child.pid)
        with program.oneshot():
            times, rss = program.cpu_times(), program.memory_info().rss
        used = times.user + times.system - page.cpu_before
    if not rss or (page.current, page.run_began) != (number, began):  # another one has begun meanwhile
        return ""
    return f"{number} {max(0, round(used * 1000))} {rss}"
