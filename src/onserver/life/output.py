"""What an executor prints goes through a pipe that its supervisor reads: so a killed one's last words are kept.

Lines are passed on whole, with the number of the process that was running in front, to the supervisor's own standard
output or error.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable
from typing import TextIO

#: A line without an end is passed on in pieces of this many bytes.
LONGEST = 65536
_KEPT = 40


class Pipe:
    """One stream of one executor, read by its supervisor."""

    def __init__(self, stream: int) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._stream = stream
        self._rest = b""
        #: The last lines that were read.
        self.last: deque[str] = deque(maxlen=_KEPT)

    def adopt(self) -> None:
        """In the executor: write to this pipe whatever is written to the stream."""
        os.dup2(self._writer, self._stream)
        os.close(self._writer)
        os.close(self.reader)

    def keep(self) -> None:
        """In the supervisor: keep the reading end only."""
        os.close(self._writer)

    def read(self, emit: Callable[[str], None]) -> bool:
        """Pass on the lines that have arrived. False at the end of the stream."""
        try:
            chunk = os.read(self.reader, LONGEST)
        except BlockingIOError:
            return True
        *lines, rest = (self._rest + chunk).split(b"\n")
        if rest and (not chunk or len(rest) >= LONGEST):
            lines, rest = [*lines, rest], b""
        self._rest = rest
        for line in lines:
            text = line.decode("utf-8", "replace")
            self.last.append(text)
            emit(text)
        return bool(chunk)

    def close(self, emit: Callable[[str], None]) -> None:
        """Read what is left and close."""
        while self.read(emit):
            if not _readable(self.reader):
                break
        os.close(self.reader)


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def writer(stream: TextIO, tag: Callable[[], str]) -> Callable[[str], None]:
    """A function that writes lines to `stream` behind a tag asked for at each."""

    def emit(line: str) -> None:
        mark = tag()
        stream.write(f"{mark} {line}\n" if mark else f"{line}\n")
        stream.flush()

    return emit
