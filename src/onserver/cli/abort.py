"""`onserver abort`: stop processes for good, and tell how far that has come."""

import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import click

from onserver.cli import exits
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.errors import ProcessNotFound
from onserver.process.handle import Process
from onserver.process.record import Record, State
from onserver.server import Server
from onserver.views.finding import every, named
from onserver.views.processes import Seen

#: Seconds between two looks at a process that is to stop.
_LOOK: Final = 0.05

#: How a process was stopped, by the level that its abort had come to.
_STOPPED: Final = {
    "asked": "stopped at a checkpoint",
    "interrupted": "interrupted",
    "killed": "its executor was killed",
}


@click.command()
@click.argument("processes", nargs=-1, metavar="[PROC]…")
@click.option("--reason", default="", metavar="T", help="Why, for those who wait for it and who look at it.")
@click.option("--force", is_flag=True, help="Kill its executor at once instead of asking.")
@click.option("--force-after", type=SECONDS, metavar="D", help="Kill its executor if it still runs after this time.")
@click.option("--all", "every_one", is_flag=True, help="All processes of --procedure that have not ended.")
@click.option("--procedure", metavar="P", help="Which procedure, with --all.")
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True, metavar="S",
              help="How long to wait until they have stopped; 0 only asks.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only tell which it would be.")
@click.option("--yes", is_flag=True, help="Do not ask whether --all is meant.")
@common_options
@pass_invocation
def abort(
    invocation: Invocation,
    processes: Sequence[str],
    reason: str,
    force: bool,
    force_after: float | None,
    every_one: bool,
    procedure: str | None,
    timeout: float,
    dry_run: bool,
    yes: bool,
) -> int:
    """Stop processes for good: what waits is taken from its queue, what runs is asked, then interrupted.

    PROC is a number, or the name of a process that lives. The order is kept: it is obeyed by whoever has the process
    next, also when no worker is up, and the process is not run again.

    Exit status: 0 all have stopped, 2 wrong usage, 4 there is no such process, 5 one has not stopped in time.
    """
    if bool(processes) == every_one or every_one != bool(procedure):
        raise click.UsageError("Name processes, or give --all with --procedure P.")
    server = invocation.server()
    seen = Seen(server.store)
    numbers = [row.number for row in every(seen, procedure)] if procedure else [named(seen, word) for word in processes]
    if dry_run:
        rows = [row._asdict() for row in seen.rows(numbers)]
        told = "\n".join(f"{row['number']} {row['name']}: would be aborted ({row['state']})" for row in rows)
        invocation.screen.result(rows, told or "no process")
        return exits.DONE if rows or procedure else exits.NOT_FOUND
    if every_one and numbers and not yes:
        confirm(f"Abort {len(numbers)} processes of {procedure}?")
    return _abort_all(invocation, server, numbers, reason, 0.0 if force else force_after, timeout)


def confirm(question: str) -> None:
    """Ask on a terminal, and refuse where there is none to ask.

    Raises:
        click.Abort: The answer is no.
        click.UsageError: Nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} There is nobody to ask here: --yes says so, --dry-run shows which.")
    click.confirm(question, abort=True, err=True)


def _abort_all(
    invocation: Invocation,
    server: Server,
    numbers: Sequence[int],
    reason: str,
    force_after: float | None,
    timeout: float,
) -> int:
    began, told, status = time.monotonic(), list[dict[str, Any]](), exits.DONE
    orders: list[_Order] = []
    for number in numbers:
        try:
            orders.append(_Order(server, number, reason, force_after))
        except ProcessNotFound as error:
            invocation.screen.say(str(error))
            told.append({"process": number, "state": None, "level": "unknown", "text": error.message})
            status = exits.NOT_FOUND
    for order in orders:
        facts = order.outcome(began, timeout)
        told.append(facts)
        if not facts["ended"] and timeout and status == exits.DONE:
            status = exits.TIMED_OUT
    lines = [f"{facts['process']} {facts['name']}: {facts['text']}" for facts in told if "name" in facts]
    invocation.screen.result(told, "\n".join(lines) or ("" if told else "no process"))
    return status


class _Order:
    """One abort: asked when this is made."""

    def __init__(self, server: Server, number: int, reason: str, force_after: float | None) -> None:
        self._process: Process[Any] = Process(server, number)
        self._server = server
        self._before = self._process.record()
        self._locks = _locks(server, self._before)
        self._answer = self._process.abort(reason, force=force_after == 0, force_after=force_after)

    def outcome(self, began: float, timeout: float) -> dict[str, Any]:
        """Wait until it has stopped, and answer how that went; ready for JSON."""
        record = self._process.record()
        while not record.state.ended and time.monotonic() - began < timeout:
            time.sleep(_LOOK)
            record = self._process.record()
        level = record.level or self._answer.level
        return {
            "process": record.number,
            "name": record.name or record.procedure,
            "state": record.state,
            "ended": record.state.ended,
            "level": level,
            "locks": self._locks if record.state.ended else [],
            "text": self._text(record, time.monotonic() - began),
        }

    def _text(self, record: Record, seconds: float) -> str:
        if self._answer.level != "asked":
            return self._answer.text
        if not record.state.ended:
            return f"{record.level or 'asked'}, and {record.state} still{f': {record.why}' if record.why else ''}"
        if record.state is not State.ABORTED:
            return f"ended meanwhile: {record.state}"
        released = f" · locks released: {', '.join(self._locks)}" if self._locks else ""
        return f"asked … {_STOPPED.get(record.level, 'stopped')} after {seconds:.1f} s{released}"


def _locks(server: Server, record: Record) -> list[str]:
    """What a process has locked: entries of the storage, `(root)`, and semaphores."""
    store = server.store
    if record.state.ended or not record.holder:
        return []
    own = f"{record.holder}/{record.number}."
    kept = [text.decode().split(" ", 3) for text in store.command("SMEMBERS", store.key(f"locks:{record.holder}"))]
    mine = sorted((name, owner) for _, owner, _, name in kept if owner.startswith(own))
    commands = [("HEXISTS", store.key(f"sem:h:{name[4:]}"), owner) if name.startswith("sem:") else
                ("HGET", store.key(name), "o") for name, owner in mine]  # fmt: skip
    has = store.pipeline(commands) if commands else []
    held = [name for (name, owner), found in zip(mine, has, strict=True) if found in (1, owner.encode())]
    return [name if name.startswith("sem:") else name.partition(":l:")[2] or "(root)" for name in held]
