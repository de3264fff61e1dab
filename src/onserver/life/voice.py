"""Whose words come out of the pipes of one executor: told by the executor, used by the supervisor that reads them.

What is in a pipe has no name on it, and when the supervisor reads it another process may run already. So the executor
says on its page who speaks, before each run. That is enough where the pipes are empty by then: what was in them has
been read, and its reader has seen who spoke. Where something is unread, or is being read just now, the executor writes
a *mark* into the pipe itself, between the words of one process and those of the next. A process that prints nothing
costs two looks at a pipe, and the supervisor nothing.

| at | type | written by | is |
|---|---|---|---|
| 0 | unsigned | executor | number of the process that speaks: the one that began last, 0 for none |
| 8, 16 | unsigned | executor | how many marks it has written into its output, and into its error output |
| 24, 25 | byte | supervisor | 1 while it reads from that pipe |

The reader says that it reads, reads, looks who speaks, looks how many marks there are, and says that it has read. The
writer looks whether anything is unread, then whether it is being read; a mark is in the pipe before it is counted, and
counted before somebody else speaks. So if as many marks are counted as were read, what came behind the last of them is
of the one who speaks; else a mark is still to come, and says whose it is.
"""

import array
import fcntl
import mmap
import os
import secrets
import struct
import sys
import termios
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

_UNSIGNED: Final = struct.Struct("=Q")
_SPEAKER, _MARKS, _READING = 0, 8, 24

#: The descriptors of the two pipes in the executor, by their index here.
_DESCRIPTORS: Final = (1, 2)
_count: Final = array.array("i", [0])


class Voice:
    """See the top of this module.

    Args:
        memory: shared by the two.
        at: where in it this begins.
    """

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory, self._at = memory, at
        #: Begins each mark; "BEFORE AFTER COUNT" and the end of the line follow.
        self.mark: Final = b"\x1e" + secrets.token_hex(12).encode() + b" "

    @property
    def speaker(self) -> int:
        """Number of the process that speaks, or 0."""
        return self._get(_SPEAKER)

    def begins(self, number: int) -> None:
        """Let this process speak from here on (executor)."""
        self.pauses()
        for index, descriptor in enumerate(_DESCRIPTORS):
            if _unread(descriptor) or self._memory[self._at + _READING + index]:
                self._write_mark(index, descriptor, number)
        self._set(_SPEAKER, number)

    def pauses(self) -> None:
        """Let what was said so far be heard, to the last letter (executor)."""
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (ValueError, OSError):
            return  # a task has closed it: nothing is left in it to be said

    def marks(self, index: int) -> int:
        """How many marks were written into output (0) or error output (1)."""
        return self._get(_MARKS + 8 * index)

    @contextmanager
    def being_read(self, index: int) -> Generator[None]:
        """Say that this pipe is being read (supervisor)."""
        self._memory[self._at + _READING + index] = 1
        try:
            yield
        finally:
            self._memory[self._at + _READING + index] = 0

    def _write_mark(self, index: int, descriptor: int, number: int) -> None:
        count = self.marks(index) + 1
        with suppress(OSError):  # closed, or full of what nobody may block on: then nobody can be told apart
            os.write(descriptor, self.mark + b"%d %d %d\n" % (self.speaker, number, count))
            self._set(_MARKS + 8 * index, count)

    def _get(self, at: int) -> int:
        return int(_UNSIGNED.unpack_from(self._memory, self._at + at)[0])

    def _set(self, at: int, value: int) -> None:
        _UNSIGNED.pack_into(self._memory, self._at + at, value)


def _unread(descriptor: int) -> bool:
    """Whether something lies in this pipe that was not read."""
    try:
        fcntl.ioctl(descriptor, termios.FIONREAD, _count)
    except OSError:
        return False  # a task has closed it, or put something else in its place
    return _count[0] > 0
