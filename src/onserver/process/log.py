"""The log of a process: what it has written to its output, kept with its record, the last lines of it.

What it prints, what it logs, and what the programs that it starts print, in the order in which it came. Whoever reads
finds the level of a line where the line begins with one, as `logging` writes it; the lines of a traceback have that of
the line above them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from onserver.redis.store import Store
from onserver.values import decode, encode

#: Where a line was written: standard output, standard error, or a log record under Celery's pools.
Source: TypeAlias = Literal["out", "err", "log"]

#: The levels of `logging`, lowest first.
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_OTHER_NAMES: Final = {"WARN": "WARNING", "FATAL": "CRITICAL"}
#: A level at the beginning of a line, or behind a time of day: `INFO x`, `[2026-10-25 02:00:00,123: INFO/MainProcess]`.
_LEVEL: Final = re.compile(
    r"[\[(<]?(?:[\d:.,/TZ+ -]*[\])>]? ?[\[(<]?)?(?:[\w.]+ - )?(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b"
)
_CONTINUES: Final = re.compile(r"\s|Traceback \(most recent call last\)|During handling of|The above exception was|$")
_ENDS_TRACEBACK: Final = re.compile(r"[A-Za-z_][\w.]*(?:: |$)")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log of a process.

    Attributes:
        number: of the process.
        at_ms: when its worker got it, milliseconds since 1970.
        worker: name of the worker.
        source: `out` or `err`; `log` for a log record under Celery's pools.
        level: DEBUG, INFO, WARNING, ERROR or CRITICAL, or empty where the line says none.
        text: without the end of the line.
    """

    number: int
    at_ms: int
    worker: str
    source: Source
    level: str
    text: str

    @property
    def at(self) -> datetime:
        """When its worker got it, in UTC."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)

    def __str__(self) -> str:
        return self.text


def encode_line(at_ms: int, worker: str, source: Source, level: str, text: str) -> bytes:
    """Turn a line into what is kept of it."""
    return encode([at_ms, worker, source, level, text.encode("utf-8", "replace").decode()])


@dataclass(frozen=True, slots=True)
class Log:
    """The kept lines of one process, and what there is beside them."""

    lines: Sequence[LogLine]
    #: How many lines it has written in all.
    total: int
    #: Whether it has ended.
    ended: bool


def read_log(store: Store, number: int, last: int | None = None) -> Log | None:
    """Read the last lines of a process, all that are kept by default; None where there is no such process."""
    answer = store.run("read_log", number, 10**9 if last is None else last)
    if answer is None:
        return None
    _state, ended, total, lines = answer
    return Log(list(lines_of(number, lines)), int(total), bool(ended))


def lines_of(number: int, kept: Iterable[bytes]) -> Iterator[LogLine]:
    """Read lines as they are kept, and find their levels."""
    above, in_traceback = "", False
    for line in kept:
        at_ms, worker, source, level, text = decode(line)
        found = level or level_of(text)
        if not found and above and (_CONTINUES.match(text) or (in_traceback and _ENDS_TRACEBACK.match(text))):
            found = above
        in_traceback = in_traceback if text[:1] == " " else text.startswith("Traceback (")
        above = found
        yield LogLine(number, at_ms, worker, source, found, text)


def level_of(text: str) -> str:
    """Answer the level that a line begins with, or nothing."""
    found = _LEVEL.match(text)
    return _OTHER_NAMES.get(found[1], found[1]) if found else ""


def published(message: bytes) -> tuple[int, list[bytes]]:
    """Read what is published of new lines: how many came before them, and the lines."""
    first, _, rest = message.partition(b" ")
    lines: list[bytes] = []
    while rest:
        length, _, rest = rest.partition(b":")
        lines.append(rest[: int(length)])
        rest = rest[int(length) :]
    return int(first), lines


def as_dict(line: LogLine) -> dict[str, Any]:
    """Answer a line ready for JSON."""
    return {
        "process": line.number,
        "at": line.at.isoformat(timespec="milliseconds"),
        "worker": line.worker,
        "source": line.source,
        "level": line.level,
        "text": line.text,
    }
