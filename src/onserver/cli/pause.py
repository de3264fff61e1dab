"""`onserver pause` and `onserver resume`: processes one by one, or a queue, a procedure, everything."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.errors import ProcessNotFound
from onserver.process.gates import (
    pause_all,
    pause_procedure,
    pause_queue,
    paused,
    resume_all,
    resume_procedure,
    resume_queue,
)
from onserver.process.handle import Process
from onserver.process.record import Record, State
from onserver.views.finding import full_name, named
from onserver.views.processes import Seen

F = TypeVar("F", bound=Callable[..., Any])

#: Seconds between two looks at a process that is to pause.
_LOOK: Final = 0.05


def _what(command: F) -> F:
    """Add what is meant: the arguments and options that both verbs have."""
    options = (
        click.argument("processes", nargs=-1, metavar="[PROC]…"),
        click.option("--queue", metavar="Q", help="A queue: nothing in it begins; what runs goes on."),
        click.option("--procedure", metavar="P", help="A procedure: no process of it begins; what runs goes on."),
        click.option("--all", "everything", is_flag=True, help="Everything: nothing begins; what runs goes on."),
        click.option("--running", is_flag=True, help="With these three: each process that runs as well."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_what
@click.option("--for", "for_seconds", type=SECONDS, metavar="D",
              help="It ends by itself after this time; with --queue, --procedure and --all.")  # fmt: skip
@click.option("--timeout", type=SECONDS, default=2.0, show_default=True, metavar="S",
              help="How long to wait until processes are paused; the order stays.")  # fmt: skip
@common_options
@pass_invocation
def pause(
    invocation: Invocation,
    processes: Sequence[str],
    queue: str | None,
    procedure: str | None,
    everything: bool,
    running: bool,
    for_seconds: float | None,
    timeout: float,
) -> int:
    """Pause processes: what waits stays where it is, what runs is stopped, or pauses at its next checkpoint.

    PROC is a number, or the name of a process that lives. What is paused stays so, whatever is restarted, until
    `resume`.

    Exit status: 0 done, or they will pause at their next checkpoint; 2 wrong usage; 4 there is no such process or
    procedure.
    """
    _check(processes, queue, procedure, everything=everything, running=running)
    if not processes:
        return _shut(invocation, queue, procedure, for_seconds, running=running)
    if for_seconds is not None:
        raise click.UsageError("--for goes with --queue, --procedure or --all.")
    until = time.monotonic() + timeout
    return _each(invocation, processes, lambda process: _pause(process, until))


@click.command()
@_what
@common_options
@pass_invocation
def resume(
    invocation: Invocation,
    processes: Sequence[str],
    queue: str | None,
    procedure: str | None,
    everything: bool,
    running: bool,
) -> int:
    """Let paused processes go on where they were.

    PROC is a number, or the name of a process that lives. --all ends a pause of everything; those of queues, procedures
    and single processes stay.

    Exit status: 0 done, or it was not paused; 2 wrong usage; 4 there is no such process or procedure.
    """
    _check(processes, queue, procedure, everything=everything, running=running)
    return _each(invocation, processes, _resume) if processes else _open(invocation, queue, procedure, running=running)


def _check(
    processes: Sequence[str], queue: str | None, procedure: str | None, *, everything: bool, running: bool
) -> None:
    given = [bool(processes), queue is not None, procedure is not None, everything]
    if sum(given) != 1:
        raise click.UsageError("Name processes, or give one of --queue Q, --procedure P and --all.")
    if processes and running:
        raise click.UsageError("--running goes with --queue, --procedure or --all.")


# ---- a queue, a procedure, everything


def _shut(
    invocation: Invocation, queue: str | None, procedure: str | None, for_seconds: float | None, *, running: bool
) -> int:
    server = invocation.server()
    if queue is not None:
        gate = pause_queue(server, queue, for_seconds=for_seconds, running=running)
    elif procedure is not None:
        gate = pause_procedure(server, procedure, for_seconds=for_seconds, running=running)
    else:
        gate = pause_all(server, for_seconds=for_seconds, running=running)
    what_runs = "what runs is paused as well" if running else "what runs goes on"
    invocation.screen.result(gate._asdict() | {"text": gate.text}, f"{gate.text}; {what_runs}")
    return exits.DONE


def _open(invocation: Invocation, queue: str | None, procedure: str | None, *, running: bool) -> int:
    server = invocation.server()
    if queue is not None:
        what, was = f"queue `{queue}`", resume_queue(server, queue, running=running)
    elif procedure is not None:
        name = full_name(server.store, procedure)
        what, was = f"procedure `{name}`", resume_procedure(server, name, running=running)
    else:
        what, was = "everything", resume_all(server, running=running)
    text = f"{what} goes on" if was else f"{what} was not paused"
    invocation.screen.result({"was_paused": was, "text": text}, text)
    for left in paused(server):
        invocation.screen.say(left.text)
    return exits.DONE


# ---- processes one by one


def _each(invocation: Invocation, words: Sequence[str], order: Callable[[Process[Any]], dict[str, Any]]) -> int:
    server = invocation.server()
    seen, told, status = Seen(server.store), list[dict[str, Any]](), exits.DONE
    for word in words:
        process: Process[Any]
        try:
            process = Process(server, named(seen, word))
            told.append(order(process))
        except ProcessNotFound as error:
            invocation.screen.say(str(error))
            told.append({"process": word, "state": None, "level": "unknown", "text": error.message})
            status = exits.NOT_FOUND
    lines = [f"{facts['process']} {facts['name']}: {facts['text']}" for facts in told if "name" in facts]
    invocation.screen.result(told, "\n".join(lines))
    return status


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
