"""`onserver logs`: what processes have written, the last lines of one or of all, and those that come."""

import re
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click
import msgspec

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import Screen
from onserver.errors import ProcessNotFound
from onserver.process.log import LEVELS, LogLine, as_dict, lines_of, published, read_log
from onserver.process.record import State
from onserver.redis.answers import Silent
from onserver.redis.link import Link
from onserver.redis.store import Store
from onserver.views.finding import find, named
from onserver.views.processes import Seen

#: Of how many processes lines are read, where none is named: those that live, and those that ended last.
PROCESSES: Final = 500
#: Seconds after which the process that is followed is looked at, and that it gets to be heard after its end.
LOOK_SECONDS: Final = 1.0


class Pattern(click.ParamType[re.Pattern[str]]):
    """A regular expression on the command line."""

    name = "pattern"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        """Read it, or fail with what is wrong with it."""
        try:
            return re.compile(value)
        except re.error as error:
            self.fail(f"`{value}` is no regular expression: {error}", param, ctx)


@click.command()
@click.argument("process", metavar="[PROC]", default="")
@click.option("-f", "--follow", is_flag=True, help="Go on with the lines that come, until the process ends.")
@click.option("-n", "count", type=click.IntRange(0, 100_000), default=100, show_default=True, help="How many lines.")
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), help="Only lines of this level, or above.")
@click.option("--since", type=SECONDS, metavar="D", help="Only lines that are not older.")
@click.option("--worker", metavar="W", help="Only those from workers whose name has this in it.")
@click.option("--grep", type=Pattern(), metavar="RE", help="Only lines in which this regular expression is found.")
@common_options
@pass_invocation
def logs(
    invocation: Invocation,
    process: str,
    follow: bool,
    count: int,
    level: str | None,
    since: float | None,
    worker: str | None,
    grep: re.Pattern[str] | None,
) -> int:
    """Print what a process has printed and logged, and the programs that it started; without PROC that of all.

    PROC is a number, or the name of a process that lives. The last lines of each are kept with its record, also those
    of an executor that was killed; `process.log_lines` says how many. With --follow and --json, each line is an object.

    Exit status: 0 done, 4 there is no such process, 6 cannot reach Redis.
    """
    store = invocation.server().store
    seen = Seen(store)
    number = named(seen, process) if process else None
    oldest = None if since is None else seen.now_ms - int(since * 1000)
    wanted = Wanted(LEVELS.index(level.upper()) if level else None, oldest, worker, grep)
    if follow:
        return _follow(invocation, number, count, wanted)
    lines, _ = history(seen, number, count, wanted)
    invocation.screen.result([as_dict(line) for line in lines], "\n".join(map(shown, lines)) or "no line")
    return exits.DONE


@dataclass(frozen=True)
class Wanted:
    """Which lines are shown."""

    level: int | None = None
    since_ms: int | None = None
    worker: str | None = None
    grep: re.Pattern[str] | None = None

    def __call__(self, line: LogLine) -> bool:
        """Answer whether this one is."""
        return (
            (self.level is None or (line.level != "" and LEVELS.index(line.level) >= self.level))
            and (self.since_ms is None or line.at_ms >= self.since_ms)
            and (self.worker is None or self.worker in line.worker)
            and (self.grep is None or self.grep.search(line.text) is not None)
        )


def history(seen: Seen, number: int | None, count: int, wanted: Wanted) -> tuple[list[LogLine], dict[int, int]]:
    """Answer the last lines that are kept, of one process or of those that live and those that ended last.

    Returns:
        The lines, and how many each process has written in all by then.

    Raises:
        ProcessNotFound: ONS-2001, there is no such process.
    """
    if number is None:
        found, totals = _of_all(seen, count)
    else:
        log = read_log(seen.store, number)
        if log is None:
            raise ProcessNotFound(number)
        found, totals = list(log.lines), {number: log.total}
    lines = [line for line in found if wanted(line)]
    return (lines[-count:] if count else []), totals


def _of_all(seen: Seen, count: int) -> tuple[list[LogLine], dict[int, int]]:
    store, numbers = seen.store, [row.number for row in find(seen, "", PROCESSES, ended=True)]
    commands: list[tuple[str | int, ...]] = [("MULTI",)]
    for number in numbers:
        commands += (("LRANGE", store.key(f"log:{number}"), -count, -1), ("HGET", store.key(f"p:{number}"), "ln"))
    *_, answers = store.pipeline([*commands, ("EXEC",)])
    kept = zip(numbers, answers[::2], answers[1::2], strict=True)
    lines: list[LogLine] = []
    totals: dict[int, int] = {}
    for number, texts, total in kept:
        lines += lines_of(number, texts)
        totals[number] = int(total or 0)
    return sorted(lines, key=lambda line: line.at_ms), totals


def shown(line: LogLine) -> str:
    """Lay out a line for people."""
    at = datetime.fromtimestamp(line.at_ms / 1000).astimezone()
    level = f"{line.level} " if line.source == "log" and line.level else ""
    return f"{at:%H:%M:%S} #{line.number} {line.worker} {level}{line.text}"


def subscribe(link: Link, store: Store, number: int | None) -> None:
    """Hear the lines that come, of one process or of all."""
    if number is None:
        link.command("PSUBSCRIBE", store.key("l:*"))
    else:
        link.command("SUBSCRIBE", store.key(f"l:{number}"))


def _follow(invocation: Invocation, number: int | None, count: int, wanted: Wanted) -> int:
    screen, store = invocation.screen, invocation.server().store
    with closing(store.link()) as link:
        subscribe(link, store, number)  # before what is there is read: what comes twice is told by its count
        lines, totals = history(Seen(store), number, count, wanted)
        for line in lines:
            _print(screen, line)
        while True:
            try:
                *_, channel, message = link.receive(LOOK_SECONDS)
            except Silent:
                if number is not None and _has_ended(store, number):
                    return exits.DONE
                continue
            speaker = int(channel.rpartition(b":")[2])
            before, kept = published(message)
            for line in lines_of(speaker, kept[max(0, totals.get(speaker, 0) - before) :]):
                if wanted(line):
                    _print(screen, line)


def _has_ended(store: Store, number: int) -> bool:
    """Whether it has; then it has been silent since, for one look."""
    state: bytes | None = store.command("HGET", store.key(f"p:{number}"), "s")
    return state is None or State(state.decode()).ended


def _print(screen: Screen, line: LogLine) -> None:
    click.echo(msgspec.json.encode({"v": 1} | as_dict(line)).decode() if screen.json else shown(line))
