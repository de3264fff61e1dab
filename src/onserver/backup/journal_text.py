"""`Backup Journal[001].txt`: what was done about backups on this machine, a line each, for people.

The file with the last change is the present one. Before a scheduled backup it is looked at: above 10 MB the next number
begins, and after 999 comes 1, which is written over (specification 7.9). With `backup.verbose = false` only starts,
ends and errors are written.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_FULL_BYTES: Final = 10_000_000
_LAST: Final = 999
_NAME: Final = re.compile(r"Backup Journal\[(\d{3})\]\.txt")


class JournalText:
    """See the top of this module.

    Args:
        folder: where it is; the setting `backup.journal_folder`, from the project's folder on.
        verbose: whether details are written.
        full_bytes: the size above which the next number begins.
    """

    def __init__(self, folder: Path, *, verbose: bool = True, full_bytes: int = _FULL_BYTES) -> None:
        self._folder = folder
        self._verbose = verbose
        self._full = full_bytes

    @property
    def path(self) -> Path:
        """The present file."""
        return self._folder / _name(self._present())

    def turn(self) -> None:
        """Begin the next number if the present one is full."""
        try:
            self._turn()
        except OSError as error:
            sys.stderr.write(f"the backup journal cannot be numbered up: {error}\n")

    def _turn(self) -> None:
        number = self._present()
        present = self._folder / _name(number)
        if present.exists() and present.stat().st_size > self._full:
            following = self._folder / _name(number % _LAST + 1)
            following.write_bytes(b"")
            later = present.stat().st_mtime_ns + 1  # clocks of file systems are slow
            os.utime(following, ns=(later, max(later, following.stat().st_mtime_ns)))

    def write(self, text: str, *, detail: bool = False) -> None:
        """Add a line, with the time; a detail only where they are wanted. Where it cannot be, it is said instead."""
        if detail and not self._verbose:
            return
        words = " ".join(text.split())
        try:
            self._append(f"{datetime.now(UTC).isoformat(timespec='milliseconds')}  {words}\n".encode())
        except OSError as error:
            sys.stderr.write(f"the backup journal cannot be written ({error}): {words}\n")

    def _append(self, line: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)  # in one piece: others may write to it
        finally:
            os.close(descriptor)

    def _present(self) -> int:
        if not self._folder.is_dir():
            return 1
        found = [(path.stat().st_mtime_ns, path.name) for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        match = _NAME.fullmatch(max(found)[1]) if found else None
        return int(match[1]) if match else 1


def _name(number: int) -> str:
    return f"Backup Journal[{number:03}].txt"
