"""A ledger outside the system under test: one file, opened with O_APPEND, a line an event.

Bodies write to it directly, from whichever program they run in. A line is one `write` of fewer bytes than a page, so
that lines of many writers never mix, and what was written before a `kill -9` is there after it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

#: Names the file to every program of a test's cluster.
VARIABLE = "LEDGER"


def note(*words: object) -> None:
    """Append one line to the ledger of this cluster; called in the procedures of a test's project.

    Raises:
        KeyError: No test's cluster started this program: LEDGER is not set.
    """
    line = "\t".join(str(word) for word in words) + "\n"
    descriptor = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


class Ledger:
    """The ledger as the test reads it: every line as its words."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def __iter__(self) -> Iterator[list[str]]:
        for line in self.path.read_text().splitlines():
            yield line.split("\t")

    def of(self, first: str) -> list[list[str]]:
        """Return the lines that begin with this word, in the order in which they were written."""
        return [words for words in self if words[0] == first]

    def count(self, *words: object) -> int:
        """Return how many lines begin with these words."""
        wanted = [str(word) for word in words]
        return sum(1 for line in self if line[: len(wanted)] == wanted)
