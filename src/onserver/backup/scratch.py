"""Folders for what is needed while a backup is made or checked, and no longer: copies of databases, a Redis of its own.

They are in the project's `.onserver`, which is no file system of 64 MB in memory as `/tmp` may be. Each is locked as
long as its program lives; what a killed one left is removed by the next that needs one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOCK = "lock"


@contextlib.contextmanager
def scratch(above: Path) -> Iterator[Path]:
    """Make a private folder below `above`, which is made as well, and remove it at the end.

    Raises:
        OSError: it cannot be made.
    """
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_dead(above)
    folder = Path(tempfile.mkdtemp(dir=above))
    fd = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what stays is removed by the next one
        os.close(fd)


def scratch_of(project: Path) -> Path:
    """Where a project's programs have such folders."""
    return project / ".onserver" / "scratch"


def _remove_dead(above: Path) -> None:
    for folder in above.iterdir():
        try:
            fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # it is just being made or removed
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its program lives
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(fd)
