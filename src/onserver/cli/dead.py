"""`onserver dead`: what is not run again by itself: look at it, run it again, drop it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import click

from onserver.cli import exits
from onserver.cli.abort import confirm
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.errors import ProcessNotFound
from onserver.process.control import replay as replay_process
from onserver.process.letters import LETTERS, Letter, dead_letters, read_letters
from onserver.process.log import read_log
from onserver.process.record import read_record
from onserver.redis.store import Store
from onserver.views.arguments import arguments_of
from onserver.views.processes import Seen

#: How many lines of its log `show` prints.
_LINES: Final = 20


class Number(click.ParamType[int]):
    """The number of a process, with or without `#`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        bare = str(value).removeprefix("#")
        if not bare.isdecimal():
            self.fail(f"`{value}` is no number of a process", param, ctx)
        return int(bare)


_NUMBER: Final = Number()


@click.group()
@common_options
def dead() -> None:
    """Look at processes that are dead or have failed, run them again, drop them."""


@dead.command()
@click.option("--failed", is_flag=True, help="Those that have failed, or were lost with their worker, as well.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True, help="How many at most.")
@common_options
@pass_invocation
def ls(invocation: Invocation, failed: bool, limit: int) -> int:
    """List what is dead, the last first: what its workers died of, or what it raised with `dead_letter=True`.

    Exit status: 0 done, 6 cannot reach Redis.
    """
    seen = Seen(invocation.server().store)
    letters: list[Letter] = []
    for letter in dead_letters(seen.store, failed=failed):
        if len(letters) == limit:
            invocation.screen.say(f"these are {limit}, and there are more: --limit shows others")
            break
        letters.append(letter)
    rows = [_row(seen, letter) for letter in letters]
    heads = ("#", "name", "state", "runs", "last", "worker", "error")
    none = "nothing is dead" + ("" if failed else "; what has failed: `onserver dead ls --failed`")
    invocation.screen.result(rows, columns(heads, map(_cells, rows), right=("#",)) if rows else none)
    return exits.DONE


@dead.command()
@click.argument("number", type=_NUMBER, metavar="N")
@common_options
@pass_invocation
def show(invocation: Invocation, number: int) -> int:
    """Show one: who asked for it, its arguments, its attempts, its last error, and the last lines of its log.

    Exit status: 0 done, 3 it is neither dead nor failed, 4 there is no such process, 6 cannot reach Redis.
    """
    seen = Seen(invocation.server().store)
    found = read_letters(seen.store, [number])
    if not found:
        return _not_a_letter(invocation, number)
    letter = found[0]
    log = read_log(seen.store, number, _LINES)
    row = _row(seen, letter) | {
        "caller": next((row.caller for row in seen.rows([number])), ""),
        "queue": letter.record.queue,
        "accepted": _moment(letter.record.accepted_ms),
        "arguments": arguments_of(seen.store, [number])[number].in_a_call(),
        "history": [_attempt(seen, one) for one in letter.record.attempts],
        "traceback": letter.traceback,
        "log": [line.text for line in log.lines] if log else [],
    }
    invocation.screen.result(row, "\n".join(_shown(row)))
    return exits.DONE


@dead.command()
@click.argument("numbers", nargs=-1, type=_NUMBER, metavar="[N]…")
@click.option("--all", "every", is_flag=True, help="All that are dead.")
@click.option("--failed", is_flag=True, help="With --all: those that have failed, or were lost, as well.")
@click.option("--dry-run", is_flag=True, help="Only tell which it would be.")
@click.option("--yes", is_flag=True, help="Do not ask whether --all is meant.")
@common_options
@pass_invocation
def replay(invocation: Invocation, numbers: Sequence[int], every: bool, failed: bool, dry_run: bool, yes: bool) -> int:
    """Run them again, under their numbers, with their arguments, for who asked for them first.

    Deliveries and attempts begin anew; the record of each says who has asked for this.

    Exit status: 0 all wait for their turn; 2 wrong usage; 3 one has not ended, or has ended well; 4 there is no such
    process; 6 cannot reach Redis.
    """
    server = invocation.server()
    chosen = _chosen(server.store, numbers, every=every, failed=failed)
    if dry_run:
        return _would(invocation, server.store, chosen, "be replayed")
    if every and chosen and not yes:
        confirm(f"Replay {len(chosen)} processes?")
    told, status = list[dict[str, Any]](), exits.DONE
    for number in chosen:
        try:
            answer = replay_process(server, number)
        except ProcessNotFound as error:
            told.append(_said(number, None, "unknown", error.message))
            status = exits.NOT_FOUND
            continue
        told.append(_said(number, answer.state.value, answer.level, answer.text))
        if answer.level != "queued" and status == exits.DONE:
            status = exits.REFUSED
    return _tell(invocation, told, status)


@dead.command()
@click.argument("numbers", nargs=-1, type=_NUMBER, metavar="[N]…")
@click.option("--all", "every", is_flag=True, help="All that are dead.")
@click.option("--failed", is_flag=True, help="With --all: those that have failed, or were lost, as well.")
@click.option("--dry-run", is_flag=True, help="Only tell which it would be.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
@pass_invocation
def drop(invocation: Invocation, numbers: Sequence[int], every: bool, failed: bool, dry_run: bool, yes: bool) -> int:
    """Drop them for good: record, arguments, variables, log.

    Exit status: 0 done, 2 wrong usage, 3 one is neither dead nor failed, 4 there is no such process, 6 cannot reach
    Redis.
    """
    store = invocation.server().store
    chosen = _chosen(store, numbers, every=every, failed=failed)
    if dry_run:
        return _would(invocation, store, chosen, "be dropped")
    if chosen and not yes:
        confirm(f"Drop {len(chosen)} processes for good?")
    told, status = list[dict[str, Any]](), exits.DONE
    for number in chosen:
        record = read_record(store, number)
        if record is None:
            told.append(_said(number, None, "unknown", ProcessNotFound(number).message))
            status = exits.NOT_FOUND
        elif record.state in LETTERS and store.run("forget", f"#{number}"):
            told.append(_said(number, record.state.value, "dropped", "dropped"))
        else:
            text = f"is neither dead nor failed: it is {record.state}"
            told.append(_said(number, record.state.value, "refused", text))
            status = status or exits.REFUSED
    return _tell(invocation, told, status)


def _chosen(store: Store, numbers: Sequence[int], *, every: bool, failed: bool) -> list[int]:
    if bool(numbers) == every or (failed and not every):
        raise click.UsageError("Name numbers, or give --all; with --failed for those that have failed as well.")
    return [letter.record.number for letter in dead_letters(store, failed=failed)] if every else list(numbers)


def _not_a_letter(invocation: Invocation, number: int) -> int:
    record = read_record(invocation.server().store, number)
    if record is None:
        raise ProcessNotFound(number)
    hint = f"`onserver ps {number}` and `onserver logs {number}` show it."
    invocation.screen.complaint(f"#{number} is neither dead nor failed: it is {record.state}.", hint)
    return exits.REFUSED


def _would(invocation: Invocation, store: Store, numbers: Sequence[int], what: str) -> int:
    rows = [
        {"process": letter.record.number, "name": _name(letter), "state": letter.record.state.value}
        for letter in read_letters(store, numbers)
    ]
    told = "\n".join(f"{row['process']} {row['name']}: would {what} ({row['state']})" for row in rows)
    invocation.screen.result(rows, told or "none of these is dead or failed")
    return exits.DONE if len(rows) == len(numbers) else exits.NOT_FOUND


def _tell(invocation: Invocation, told: Sequence[dict[str, Any]], status: int) -> int:
    lines = "\n".join(f"{one['process']}: {one['text']}" for one in told)
    invocation.screen.result(list(told), lines or "nothing is dead")
    return status


def _said(number: int, state: str | None, level: str, text: str) -> dict[str, Any]:
    return {"process": number, "state": state, "level": level, "text": text}


# -- as it is shown


def _row(seen: Seen, letter: Letter) -> dict[str, Any]:
    record = letter.record
    return {
        "process": record.number,
        "name": _name(letter),
        "procedure": record.procedure,
        "state": record.state.value,
        "deliveries": record.deliveries,
        "attempts": (record.attempts[-1].number if record.attempts else 0) + letter.raised,
        "ended": _moment(record.ended_ms),
        "worker": seen.node(record.holder.partition(".")[0]) or str(letter.facts.get("worker") or ""),
        "error": letter.error,
        "message": letter.message,
        "replays": record.replays,
        "replayed_by": record.replayed_by or None,
        "signed_by": record.signed_by or None,
    }


def _name(letter: Letter) -> str:
    return letter.record.name or letter.record.procedure


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    message = row["message"].partition("\n")[0]
    return row | {"#": row["process"], "runs": _runs(row), "last": _clock(row["ended"]), "error": _raised(row, message)}


def _raised(row: dict[str, Any], message: str) -> str:
    if row["error"] in ("ProcessDead", "ProcessLost"):
        return message
    return f"{row['error']}: {message}" if message else str(row["error"])


def _runs(row: dict[str, Any]) -> str:
    counts = [(row["deliveries"], "delivery", "deliveries"), (row["attempts"], "attempt", "attempts")]
    return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)


def _shown(row: dict[str, Any]) -> Iterable[str]:
    yield f"#{row['process']} {row['name']} is {row['state']} since {_clock(row['ended'])}"
    facts = {"procedure": row["procedure"], "arguments": row["arguments"], "queue": row["queue"],
             "asked for by": f"{row['caller']} at {_clock(row['accepted'])}".strip(), "runs": _runs(row),
             "worker": row["worker"], "replayed by": row["replayed_by"], "signed by": row["signed_by"]}  # fmt: skip
    yield from (f"  {name:<13} {fact}" for name, fact in facts.items() if fact)
    for one in row["history"]:
        next_one = f"next after {one['delay']:g} s"
        yield f"  attempt {one['attempt']:<5} {_clock(one['ended'])} {_raised(one, one['message'])} ({next_one})"
    yield f"  {'error':<13} {_raised(row, row['message'])}"
    yield from (f"    {line}" for line in row["traceback"].rstrip().splitlines())
    if row["log"]:
        yield "  last lines"
        yield from (f"    {line}" for line in row["log"])
    yield f"run again: onserver dead replay {row['process']}"


def _attempt(seen: Seen, one: Any) -> dict[str, Any]:
    return {
        "attempt": one.number,
        "ended": _moment(one.at_ms),
        "worker": seen.node(one.holder.partition(".")[0]),
        "error": one.type,
        "message": one.error,
        "delay": one.delay_seconds,
    }


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).astimezone().isoformat(timespec="milliseconds")


def _clock(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S}"
