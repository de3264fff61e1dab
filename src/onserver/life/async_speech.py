"""What the processes of an async executor print, line by line, each in the name of its process.

Many run at once and share two pipes. So the streams of this program are given another end: what is written there is
kept for each process until a line is whole, and a line is then passed on in the name of the process that wrote it (see
`voice`). Who wrote is told by the context: coroutines, and threads that were started with it. What a program writes
that a process has started, or a library in C, is taken to be of the process that spoke last.
"""

from __future__ import annotations

import io
import os
import sys
import threading

from onserver.life.driven import here
from onserver.life.voice import Voice

_LONGEST = 65536


class Speech:
    """See the top of this module.

    Args:
        voice: of the page.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._guard = threading.RLock()
        self._unsaid: dict[tuple[int, int], bytes] = {}

    def begin(self) -> None:
        """Let all that this program prints come here, also through what refers to its streams already."""
        for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
            if isinstance(stream, io.TextIOWrapper):
                stream.flush()
                stream.__init__(  # type: ignore[misc]  # the same object, for handlers of logging that have it
                    _End(self, descriptor), encoding="utf-8", errors="backslashreplace", write_through=True
                )

    def say(self, descriptor: int, text: bytes) -> None:
        """Pass on the lines that are whole now."""
        run = here.get()
        number = 0 if run is None else run.number
        with self._guard:
            lines, end, rest = (self._unsaid.pop((descriptor, number), b"") + text).rpartition(b"\n")
            if rest and len(rest) < _LONGEST:
                self._unsaid[descriptor, number] = rest
            elif rest:
                lines, end, rest = lines + end, rest, b""
            if lines or end:
                self._pass_on(descriptor, number, lines + end)

    def ends(self, number: int) -> None:
        """A process has ended: what it has said last is passed on without the end of a line."""
        with self._guard:
            for descriptor in (1, 2):
                rest = self._unsaid.pop((descriptor, number), b"") if self._unsaid else b""
                if rest:
                    self._pass_on(descriptor, number, rest + b"\n")

    def _pass_on(self, descriptor: int, number: int, text: bytes) -> None:
        if self._voice.speaker != number:
            self._voice.begins(number)
        while text:
            text = text[os.write(descriptor, text) :]


class _End(io.RawIOBase):
    """The end of one stream."""

    def __init__(self, speech: Speech, descriptor: int) -> None:
        super().__init__()
        self._speech, self._descriptor = speech, descriptor

    def writable(self) -> bool:
        """Answer True."""
        return True

    def fileno(self) -> int:
        """The descriptor that it ends in."""
        return self._descriptor

    def write(self, data: object, /) -> int:
        """Take bytes."""
        text = bytes(data)  # type: ignore[call-overload]  # whatever is a buffer
        self._speech.say(self._descriptor, text)
        return len(text)
