"""What a whole run of the tests must not leave behind: programs, and sockets and folders outside of its own folder.

Keys are looked for after each test, by the fixtures that give a server.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from onserver.testing.wait import wait_for

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def nothing_is_left(own: Path) -> Iterator[None]:
    """Fail at the end of the block if a program of this run lives, or something lies where it has no business.

    Args:
        own: the folder of this run, which every program that a test starts has in its command or its environment.
    """
    runtime = Path(tempfile.mkdtemp(prefix="onserver-"))
    data = ROOT / ".onserver"
    before = data.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        yield
    try:
        wait_for(lambda: not programs(own), 60, "the programs of this run to end")
    except AssertionError as failure:
        failure.add_note("\n".join(programs(own)))
        raise
    assert [str(path) for path in runtime.rglob("*") if path.name != f"onserver-{os.getuid()}"] == []
    assert data.exists() == before, f"{data} was made by a test"
    shutil.rmtree(runtime)


def has_ended(process: psutil.Process) -> bool:
    """Whether a program has ended, also where whoever adopted it takes seconds to notice: psutil waits for that."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def programs(own: Path) -> list[str]:
    """The programs whose command or environment names this folder, but for the one that runs the tests."""
    us = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: list[str] = []
    for process in psutil.process_iter(["pid"]):
        if process.pid in us:
            continue
        with suppress(psutil.Error):  # it ended meanwhile, or is somebody else's
            if process.status() != psutil.STATUS_ZOMBIE and str(own) in f"{process.cmdline()} {process.environ()}":
                found.append(f"{process.pid}: {' '.join(process.cmdline())}")
    return found
