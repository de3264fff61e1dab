"""The body that every system runs: one byte appended to a file in memory.

The size of the file is the number of runs, whatever runs them; it costs about a microsecond, no lock and no trip to
Redis. A run that is repeated is seen: there are more bytes than tasks.
"""

import os
import tempfile
from pathlib import Path

#: Names the file to every program of a measurement.
VARIABLE = "BENCH_COUNTER"


def folder() -> Path:
    """Return a folder whose files are in memory, if this machine has one."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


def tick() -> None:
    """Count one run."""
    os.write(_descriptor, b".")


_descriptor = os.open(os.environ.get(VARIABLE, os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
