"""`onserver keys`: the signing keys of the project: which there are, a new one, one retired, processes signed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from onserver.cli import exits
from onserver.cli.abort import confirm
from onserver.cli.invocation import SECONDS, Invocation, common_options, pass_invocation
from onserver.cli.screen import columns
from onserver.errors import KeyNotFound, ProcessNotFound
from onserver.errors.texts import count
from onserver.process.control import asked_by
from onserver.process.key_file import make_key, read_keys
from onserver.process.key_use import Resigned, naming, resign, retire_key, signatures
from onserver.process.signing import Signer, key_file_of
from onserver.server import Server
from onserver.views.finding import named
from onserver.views.processes import Seen

#: What is told of one that cannot be signed again, as an exit status.
_STATUS: Final = {
    "unknown": exits.NOT_FOUND,
    "refused": exits.REFUSED,
    "unsure": exits.REFUSED,
    "ended": exits.CONFLICT,
}


@click.group()
@common_options
def keys() -> None:
    """List the keys with which messages are signed, make new ones, retire old ones.

    Exit status: 0 done, 3 refused, 4 there is no such key or process, 8 the key is in use.
    """


@keys.command()
@click.option("--used", is_flag=True, help="Count the processes that name each: all records are read.")
@common_options
@pass_invocation
def ls(invocation: Invocation, used: bool) -> int:
    """List the keys, the oldest first, and tell which of them signs.

    Exit status: 0 done, 2 the key file may not be read.
    """
    server = invocation.server()
    known = server.part(Signer).keys
    active = known.active()
    counts = Counter(one.key for one in _once(server)) if used else Counter[str]()
    rows = [
        {
            "key": name,
            "signs": name == active,
            "from": _moment(key.starts) if key.starts else None,
            "by": key.by or None,
            **({"processes": counts[name]} if used else {}),
        }
        for name, key in sorted(known.keys.items(), key=lambda item: item[1].starts)
    ]
    heads = ("key", "signs", "from", "by", *(("processes",) if used else ()))
    shown = [{**row, "signs": "now" if row["signs"] else "", "from": row["from"] or "", "by": row["by"] or ""}
             for row in rows]  # fmt: skip
    invocation.screen.result(rows, columns(heads, shown))
    return exits.DONE


@keys.command()
@click.option("--after", type=SECONDS, default=0.0, metavar="D",
              help="Sign with it only after this time, in which you bring the file to the other machines.")  # fmt: skip
@common_options
@pass_invocation
def new(invocation: Invocation, after: float) -> int:
    """Make a key; new messages are signed with it, and what was signed with others runs as before.

    Programs that run use it within a second. Where there are several machines, say `--after 10m` and copy the key file
    to all of them within that time.

    Exit status: 0 done, 3 the key comes from the environment.
    """
    server = invocation.server()
    if server.settings.signing.key:
        invocation.screen.complaint(
            "The signing key comes from the environment of every program (ONSERVER_SIGNING_KEY).",
            "To change keys while processes wait, use a file: unset it, and copy the file to all machines.",
        )
        return exits.REFUSED
    path = key_file_of(server)
    made = make_key(path, after=after, by=_asking(server))
    starts = read_keys(path).keys[made].starts
    told = f"signs from {_moment(starts)}; until then, copy {path} to all machines" if after else "signs from now on"
    invocation.screen.result({"key": made, "from": _moment(starts), "file": str(path)}, f"key {made} {told}")
    return exits.DONE


@keys.command()
@click.argument("key", metavar="ID")
@click.option("--force", is_flag=True, help="Although processes name it: for a key that others may know.")
@click.option("--yes", is_flag=True, help="Do not ask whether --force is meant.")
@common_options
@pass_invocation
def retire(invocation: Invocation, key: str, force: bool, yes: bool) -> int:
    """Retire a key that no process names any more: what is signed with it is refused from then on.

    With several machines, copy the key file to all of them afterwards.

    Exit status: 0 done, 4 there is no such key, 8 it signs, or did a moment ago, or processes name it.
    """
    server = invocation.server()
    if force and not yes:
        confirm(f"Retire key {key}, so that processes that name it are refused?")
    left = retire_key(server, key, force=force)
    told = f"; {count(left, 'process that names', 'processes that name')} it will be dead letters" if left else ""
    invocation.screen.result({"key": key, "processes": left}, f"key {key} is retired{told}")
    return exits.DONE


@keys.command("resign")
@click.argument("processes", nargs=-1, metavar="[PROC]…")
@click.option("--key", metavar="ID", help="All processes that name this key.")
@click.option("--dry-run", is_flag=True, help="Only tell which it would be.")
@click.option("--yes", is_flag=True, help="Do not ask about those whose key is gone.")
@common_options
@pass_invocation
def resign_(invocation: Invocation, processes: Sequence[str], key: str | None, dry_run: bool, yes: bool) -> int:
    """Sign processes again, with the newest key; the record of each says who did it.

    PROC is a number, or the name of a process that lives. Where the key is gone with which it was signed, nobody can
    tell whether it was changed since: look at it (`onserver dead show`) before you sign it. What does not fit a key
    that is there is refused. A dead letter runs after `onserver dead replay`.

    Exit status: 0 done, 2 wrong usage, 3 one was altered or was never signed, 4 there is no such key or process, 8 one
    will not run again.
    """
    if bool(processes) == bool(key):
        raise click.UsageError("Name processes, or give --key ID.")
    server = invocation.server()
    seen = Seen(server.store)
    chosen = _naming(server, key) if key else [named(seen, word) for word in processes]
    if dry_run:
        told = "\n".join(f"{number}: would be signed again" for number in chosen) or "no process names it"
        invocation.screen.result([{"process": number} for number in chosen], told)
        return exits.DONE
    answers = [_tried(server, number) for number in chosen]
    unsure = [one.number for one in answers if one.outcome == "unsure"]
    if unsure and not yes:
        shown = ", ".join(f"#{number}" for number in unsure)
        confirm(f"Nobody can tell whether these are what was signed, since their key is gone: {shown}. Sign them?")
    answers = [_tried(server, one.number, unverified=True) if one.outcome == "unsure" else one for one in answers]
    return _told(invocation, answers)


def _tried(server: Server, number: int, *, unverified: bool = False) -> Resigned:
    try:
        return resign(server, number, unverified=unverified)
    except ProcessNotFound as error:
        return Resigned(number=number, outcome="unknown", text=error.message)


def _told(invocation: Invocation, answers: Sequence[Resigned]) -> int:
    data: list[dict[str, Any]] = [{"process": one.number, "outcome": one.outcome, "text": one.text} for one in answers]
    lines = "\n".join(f"{one.number}: {one.text}" for one in answers)
    invocation.screen.result(data, lines or "no process names it")
    return next((_STATUS[one.outcome] for one in answers if one.outcome in _STATUS), exits.DONE)


def _once(server: Server) -> list[Any]:
    """One signature for each process and key."""
    return list({(one.number, one.key): one for one in signatures(server)}.values())


def _naming(server: Server, key: str) -> list[int]:
    numbers = sorted({one.number for one in naming(server, key)})
    known = server.part(Signer).keys.keys
    if not numbers and key not in known:
        raise KeyNotFound(key, list(known))
    return numbers


def _asking(server: Server) -> str:
    server.make_current()
    return asked_by(server)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(timespec="seconds")
