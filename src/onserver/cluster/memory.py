"""How much memory a worker takes: its program and the children that it has forked.

Memory that several of them share is counted once where the kernel tells it apart (PSS), else in each of them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def of_tree(proc: Path = _PROC) -> int:
    """The bytes of this program and its children; 0 on a system that does not say."""
    pid = str(os.getpid())
    with suppress(OSError):  # a thread that has just ended, or a kernel without such lists
        children = [child for task in (proc / pid / "task").iterdir() for child in _words(task / "children")]
        return _of_one(proc / pid) + sum(_of_one(proc / child) for child in children)
    return _of_one(proc / pid)


def _of_one(program: Path) -> int:
    with suppress(OSError):  # it may not be looked into so closely; or it has ended, then the next has no answer either
        words = _words(program / "smaps_rollup")
        return int(words[words.index("Pss:") + 1]) * 1024
    with suppress(OSError):
        return int(_words(program / "statm")[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _words(file: Path) -> list[str]:
    return file.read_text().split()
