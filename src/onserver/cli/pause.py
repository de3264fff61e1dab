"""`onserver pause` and `onserver resume`: processes, one by one."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from onserver.cli import exits
from onserver.cli.finding import named
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.processes import Seen
from onserver.errors import ProcessNotFound
from onserver.process.handle import Process
from onserver.process.record import Record, State
from onserver.server import Server

#: Seconds between two looks at a process that is to pause.
_LOOK: Final = 0.05


@click.command()
@click.argument("processes", nargs=-1, required=True, metavar="PROC…")
@click.option("--timeout", type=SECONDS, default=2.0, show_default=True, metavar="S",
              help="How long to wait until they are paused; the order stays.")  # fmt: skip
@common_options
@pass_invocation
def pause(invocation: Invocation, processes: Sequence[str], timeout: float) -> int:
    """Pause processes: what waits stays where it is, what runs is stopped, or pauses at its next checkpoint.

    PROC is a number, or the name of a process that lives. They stay paused, whatever is restarted, until `resume`.

    Exit status: 0 done, or they will pause at their next checkpoint; 4 there is no such process.
    """
    until = time.monotonic() + timeout
    return _each(invocation, processes, lambda process: _pause(process, until))


@click.command()
@click.argument("processes", nargs=-1, required=True, metavar="PROC…")
@common_options
@pass_invocation
def resume(invocation: Invocation, processes: Sequence[str]) -> int:
    """Let paused processes go on where they were.

    PROC is a number, or the name of a process that lives.

    Exit status: 0 done, or it was not paused; 4 there is no such process.
    """
    return _each(invocation, processes, _resume)


def _each(invocation: Invocation, words: Sequence[str], order: Callable[[Process[Any]], dict[str, Any]]) -> int:
    server = invocation.server()
    seen, told, status = Seen(server.store), list[dict[str, Any]](), exits.DONE
    for word in words:
        try:
            told.append(order(_process(server, named(seen, word))))
        except ProcessNotFound as error:
            invocation.screen.say(str(error))
            told.append({"process": word, "state": None, "level": "unknown", "text": error.message})
            status = exits.NOT_FOUND
    lines = [f"{facts['process']} {facts['name']}: {facts['text']}" for facts in told if "name" in facts]
    invocation.screen.result(told, "\n".join(lines))
    return status


def _process(server: Server, number: int) -> Process[Any]:
    return Process(server, number)


def _pause(process: Process[Any], until: float) -> dict[str, Any]:
    answer = process.pause()
    record = process.record()
    while answer.level == "asked" and _pauses(record) and time.monotonic() < until:
        time.sleep(_LOOK)
        record = process.record()
    text = answer.text if answer.level != "asked" else _how(record)
    return _facts(record, answer.level, text)


def _resume(process: Process[Any]) -> dict[str, Any]:
    answer = process.resume()
    return _facts(process.record(), answer.level, answer.text)


def _pauses(record: Record) -> bool:
    return record.state is not State.PAUSED and not record.state.ended


def _how(record: Record) -> str:
    """How a run was paused, for people."""
    at = f" at {record.progress}" if record.progress is not None else ""
    if record.state.ended:
        return f"ended meanwhile: {record.state}"
    if record.state is not State.PAUSED:
        return f"will pause at its next checkpoint{at and f'; it is{at}'}"
    if "stopped" in record.why:
        return f"executor stopped{at}; another has taken its place"
    return f"paused {record.why or 'where it was'}{at}"


def _facts(record: Record, level: str, text: str) -> dict[str, Any]:
    return {
        "process": record.number,
        "name": record.name or record.procedure,
        "state": record.state,
        "level": level,
        "text": text,
    }
