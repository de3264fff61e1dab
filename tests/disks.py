"""File systems of their own: a small one, one that cannot be written to, one whose folders a test may leave."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int = 1024) -> Iterator[Path]:
    """Mount a disk of this size; skips the test where this program may not mount anything."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def make_read_only(folder: Path) -> None:
    """Let nobody, the superuser included, write to a disk that was mounted by `small_disk`."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
