"""What an executor prints goes through a pipe that its supervisor reads: so a killed one's last words are kept.

It does not matter who writes: `print`, logging, a library in C, a program that the process started. Lines come out
whole, each with the number of the process whose it is (see `voice`); a line that has no end yet is kept back until it
has one, its process has ended, or somebody else speaks.
"""

import os
import select
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TextIO, TypeAlias

from onserver.life.voice import Voice

#: A line without an end is passed on in pieces of this many bytes.
LONGEST: Final = 65536
_MARK_BEGINS: Final = b"\x1e"
_LONGEST_MARK: Final = 120


class Spoken(NamedTuple):
    """One line, without its end, and the process that spoke it, 0 for none."""

    number: int
    text: str


Emit: TypeAlias = Callable[[Sequence[Spoken]], None]


class Pipe:
    """One stream of one executor, read by its supervisor.

    Args:
        stream: 1 for the output, 2 for the error output.
        voice: says whose words these are.
    """

    def __init__(self, stream: int, voice: Voice) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._stream, self._index = stream, stream - 1
        self._voice = voice
        self._marks = 0
        self._owner: int = 0
        self._rest = b""
        self._held: list[str] = []

    def adopt(self) -> None:
        """In the executor: write to this pipe whatever is written to the stream."""
        os.dup2(self._writer, self._stream)
        os.close(self._writer)
        os.close(self.reader)

    def keep(self) -> None:
        """In the supervisor: keep the reading end only."""
        os.close(self._writer)

    def read(self, emit: Emit) -> bool:
        """Pass on the lines that have arrived. False at the end of the stream."""
        with self._voice.being_read(self._index):
            try:
                chunk = os.read(self.reader, LONGEST)
            except BlockingIOError:
                return True
            speaker, marks = self._voice.speaker, self._voice.marks(self._index)
        spoken = self._sorted(chunk, speaker, marks)
        if spoken:
            emit(spoken)
        return bool(chunk)

    def complete(self, running: int, emit: Emit) -> None:
        """Pass on a line without an end, if its process is not the one that runs and nothing more is in the pipe."""
        if not self._rest or running == self._owner or _MARK_BEGINS in self._rest or _readable(self.reader):
            return
        if self._voice.marks(self._index) == self._marks:
            owner, rest, self._rest = self._owner, self._rest, b""
            emit([Spoken(owner, _text(rest))])

    def close(self, emit: Emit) -> None:
        """Read what is left and close."""
        while self.read(emit):
            if not _readable(self.reader):
                break
        if self._held:
            emit([Spoken(self._owner, text) for text in self._held])
        os.close(self.reader)

    def _sorted(self, chunk: bytes, speaker: int, marks: int) -> list[Spoken]:
        """Say whose each line is; what stands before a mark that is still to come is held back."""
        spoken: list[Spoken] = []
        if self._voice.mark not in self._rest + chunk and marks == self._marks and speaker != self._owner:
            if self._rest:
                spoken.append(Spoken(self._owner, _text(self._rest)))
                self._rest = b""
            self._owner = speaker
        *lines, rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            said, mark, names = line.partition(self._voice.mark)
            if not mark:
                self._held.append(_text(line))
                continue
            before, after, count = map(int, names.split())
            self._owner, self._marks = after, count
            spoken += [Spoken(before, text) for text in self._held]
            if said:
                spoken.append(Spoken(before, _text(said)))
            self._held.clear()
        if rest and (not chunk or len(rest) >= LONGEST):
            cut = rest.find(_MARK_BEGINS, -_LONGEST_MARK) if chunk else -1  # half a mark is no text
            self._held.append(_text(rest if cut < 0 else rest[:cut]))
            rest = b"" if cut < 0 else rest[cut:]
        self._rest = rest
        if self._marks >= marks:
            self._owner = speaker
            spoken += [Spoken(speaker, text) for text in self._held]
            self._held.clear()
        return spoken


def writer(stream: TextIO) -> Emit:
    """A function that writes lines to `stream`, each behind the number of the process whose it is."""

    def emit(spoken: Sequence[Spoken]) -> None:
        stream.write("".join(f"#{number} {text}\n" if number else f"{text}\n" for number, text in spoken))
        stream.flush()

    return emit


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])
