"""Two libraries that both want to be the one that asks: age and object stores pull what we push, and push what we pull.

Between them is a pipe, with the library in a thread at its other end. An error there comes up here, where the next
bytes are written or read; closing one end ends the other.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import BinaryIO, TypeAlias

from onserver.backup.tape import PIECE

Work: TypeAlias = Callable[[BinaryIO], object]


class Pushed:
    """What is written here can be read by `work`, in a thread of its own.

    Args:
        work: Reads the file that it is given up to its end.
        name: The thread's name.
    """

    def __init__(self, work: Work, name: str) -> None:
        reader, self._writer = os.pipe()
        self._open = True
        self._end = _End(work, os.fdopen(reader, "rb", PIECE), name)

    def write(self, data: bytes) -> None:
        """Write all of it, or raise what went wrong on the other side."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._writer, rest) :]
        except BrokenPipeError:
            self.close()
            raise

    def close(self) -> None:
        """Say that this is all, wait for the other side, and raise what went wrong there."""
        self.abandon()
        if self._end.error:
            raise self._end.error

    def abandon(self) -> None:
        """The same, and whatever the other side says no longer matters."""
        if self._open:
            self._open = False
            os.close(self._writer)
        self._end.thread.join()


class Pulled:
    """What `work` writes, in a thread of its own, can be read here. Its error is raised at the end of what it wrote."""

    def __init__(self, work: Work, name: str) -> None:
        reader, writer = os.pipe()
        self._reader = os.fdopen(reader, "rb", PIECE)
        self._end = _End(work, os.fdopen(writer, "wb", PIECE), name)

    def read(self, size: int) -> bytes:
        """Read up to so many bytes."""
        data = self._reader.read(size)
        if not data:
            self._end.thread.join()
            if self._end.error:
                raise self._end.error
        return data

    def close(self) -> None:
        """Read no more."""
        self._reader.close()
        self._end.thread.join()


class _End:
    """The thread at the other end."""

    def __init__(self, work: Work, file: BinaryIO, name: str) -> None:
        self._work, self._file = work, file
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._work(self._file)
            self._file.flush()
        except BaseException as error:  # noqa: BLE001  # raised at our end, whatever it is
            self.error = error
        finally:
            with contextlib.suppress(BrokenPipeError):  # what is still in its buffer, and nobody wants any more
                self._file.close()
