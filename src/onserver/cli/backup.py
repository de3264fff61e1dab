"""`onserver backup`: make backups, look at them, verify, restore and remove them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import click

from onserver.backup import history as histories
from onserver.backup.asking import asker, refuse_second, result_of_process, start_backup, workers
from onserver.backup.catalog import LATEST, Listed, find, listed, note_verified
from onserver.backup.codes import Code
from onserver.backup.facts import backup_info, restore_info
from onserver.backup.history import Operation
from onserver.backup.making import now_text, place_here, remove_old, verify_here
from onserver.backup.rules import too_old
from onserver.backup.run import backup_here
from onserver.backup.state import Ask, State
from onserver.cli import exits
from onserver.cli.abort import confirm
from onserver.cli.backup_restore import restore
from onserver.cli.bar import Bar
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import columns, duration
from onserver.errors import ArchiveNotFound, BackupFailed, BackupVetoed, OnServerError
from onserver.life.hook_arguments import BackupResult
from onserver.server import Server
from onserver.views.backup_shown import (
    archive_text,
    log_line,
    log_row,
    logs_of,
    manifest_of,
    megabytes,
    moment,
    shown,
)

_STATUS: Final[Mapping[int, int]] = {
    Code.NEVER_QUIET: exits.TIMED_OUT, Code.NO_ARCHIVE: exits.NOT_FOUND, Code.NOT_VERIFIED: exits.INTEGRITY,
}  # fmt: skip


@click.group()
@common_options
def backup() -> None:
    """Make backups of the server, look at them, verify, restore and remove them."""


@backup.command()
@click.option("--label", default="", metavar="L", help="What to call it.")
@click.option("--force", is_flag=True, help="Even if a hook refuses it; your name is recorded.")
@common_options
@pass_invocation
def now(invocation: Invocation, label: str, force: bool) -> int:
    """Make a backup and wait for its end: by a worker, or by this program where none is up.

    Exit status: 0 done; 3 refused by a hook, failed, or one is being made; 5 the keys changed faster than they could be
    copied; 6 cannot reach Redis; 9 its archive could not be verified.
    """
    server = invocation.server()
    ask = Ask(label=label, asked_by=asker(), forced_by=asker() if force else "")
    refuse_second(server.store)
    result = _by_worker(invocation, server, ask) if workers(server.store) else _here(invocation, server, ask)
    operation = State(server.store).last() or Operation(run="")
    if result.code:
        invocation.screen.error(_error(result, operation))
        return _STATUS.get(result.code, exits.REFUSED)
    facts = _facts_of(server, result, operation)
    invocation.screen.result(facts, f"✓ {archive_text(facts)}")
    return exits.DONE


def _by_worker(invocation: Invocation, server: Server, ask: Ask) -> BackupResult:
    process = start_backup(server, ask)
    invocation.screen.detail(f"the backup is #{process.number}")
    with Bar(invocation.screen) as bar:
        for progress in process.progress():
            bar.show(progress)
    return result_of_process(process)


def _here(invocation: Invocation, server: Server, ask: Ask) -> BackupResult:
    invocation.screen.say("no worker is up: this program makes it")
    with redirect_stdout(sys.stderr):  # what the hooks print is no result
        server.load_tasks()
        return backup_here(server, ask)


def _error(result: BackupResult, operation: Operation) -> OnServerError:
    if operation.hook and not operation.forced_by:
        return BackupVetoed(operation.hook, result.code, result.reason)
    return BackupFailed(result.code, result.reason, result.path or "")


def _facts_of(server: Server, result: BackupResult, operation: Operation) -> dict[str, Any]:
    """What is shown of an archive that was just made."""
    name = (result.path or "").rpartition("/")[2]
    verified = next((one.verified for one in listed(server) if one.name == name), "")
    keys = sum(manifest_of(server, find(server, name)).about.counts.values())
    return asdict(result) | {"name": name, "size": operation.size, "keys": keys, "verified": verified}


@backup.command()
@common_options
@pass_invocation
def ls(invocation: Invocation) -> int:
    """List the archives in the folder of the backups, the last one at the end.

    Exit status: 0 done, 3 the folder cannot be used.
    """
    server = invocation.server()
    found = listed(server)
    folder = place_here(server).describe()
    heads = ("number", "made", "size", "verified", "label")
    none = f"no backup yet in {folder}: `onserver backup now` makes one"
    text = columns(heads, [_cells(one) for one in found], right=("number", "size")) if found else none
    invocation.screen.result([_row(one) for one in found], text)
    return exits.DONE


def _row(one: Listed) -> dict[str, Any]:
    return asdict(one) | {"made": one.made.isoformat(timespec="milliseconds"), "verified": one.verified or None}


def _cells(one: Listed) -> dict[str, str]:
    return {
        "number": str(one.number),
        "made": moment(one.made),
        "size": megabytes(one.size),
        "verified": moment(datetime.fromisoformat(one.verified)) if one.verified else "no",
        "label": one.label,
    }


@backup.command()
@click.argument("archive", metavar="ID", default=LATEST)
@common_options
@pass_invocation
def show(invocation: Invocation, archive: str) -> int:
    """Show what an archive says of itself: what it is of, what is in it, who asked. ID is a number or `latest`.

    Nothing is compared with it: that is what `verify` does.

    Exit status: 0 done, 4 there is no such archive, 9 it is damaged.
    """
    server = invocation.server()
    facts = shown(manifest_of(server, find(server, archive)))
    invocation.screen.result(facts.data, facts.text)
    return exits.DONE


@backup.command()
@click.argument("file", required=False)
@common_options
@pass_invocation
def info(invocation: Invocation, file: str | None) -> int:
    """Tell how the last backup and restore ended, and when the next backup is due; or show the archive FILE.

    Exit status: 0 done, 4 there is no such file, 6 cannot reach Redis, 9 it is damaged.
    """
    server = invocation.server()
    if file is not None:
        facts = shown(manifest_of(server, find(server, file)))
        invocation.screen.result(facts.data, facts.text)
        return exits.DONE
    last, restored = backup_info(), restore_info()
    data = {"backup": _plain(asdict(last)), "restore": _plain(asdict(restored))}
    ended = "ended well" if not last.code else f"ended with {last.code}: {last.reason}"
    lines = [f"last     {moment(last.last)} {ended}, {duration(last.seconds)}" if last.last else "last     none yet"]
    lines += [f"good     {moment(last.good)}"] if last.good and last.code else []
    lines += [f"running  #{last.process}"] if last.process is not None else []
    lines += [f"next     {moment(last.next)}" if last.next else f"next     {'suspended' if last.suspended else 'none'}"]
    if restored.last:
        how = "ended well" if not restored.code else f"ended with {restored.code}: {restored.reason}"
        lines.append(f"restore  {moment(restored.last)} {how} {restored.path or ''}".rstrip())
    invocation.screen.result(data, "\n".join(lines))
    return exits.DONE


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: fact.isoformat() if isinstance(fact, datetime) else fact for name, fact in facts.items()}


@backup.command("verify")
@click.argument("archive", metavar="[ID]", default="")
@click.option("--all", "every", is_flag=True, help="All archives in the folder, and the files of its log.")
@common_options
@pass_invocation
def verify_archive(invocation: Invocation, archive: str, every: bool) -> int:
    """Read an archive back, compare every checksum, load its keys into a scratch Redis and compare them one by one.

    ID is a number, `latest`, or a file.

    Exit status: 0 whole, 2 wrong usage, 4 there is no such archive, 6 no Redis to load it into, 9 it is damaged.
    """
    server = invocation.server()
    if bool(archive) == every:
        raise click.UsageError("Name an archive, or `latest`, or give --all.")
    names = [one.name for one in listed(server)] if every else [archive]
    rows, lines, status = list[dict[str, Any]](), list[str](), exits.DONE
    for name in names:
        try:
            facts = _verified(server, name)
        except OnServerError as error:
            if not every or isinstance(error, ArchiveNotFound):
                raise
            status = exits.INTEGRITY
            rows.append({"name": name, "ok": False, "error": error.as_dict()})
            lines.append(f"✗ {name} · {error.message}")
        else:
            rows.append(facts | {"ok": True})
            lines.append(f"✓ {archive_text(facts)}")
    logs = logs_of(server) if every else []
    for log in logs:
        damaged = log.damage and log is not logs[-1]  # the last one may end in the middle of a change
        status = exits.INTEGRITY if damaged else status
        rows.append(log_row(log))
        lines.append(log_line(log))
    invocation.screen.result(rows if every else rows[0], "\n".join(lines) or "no backup yet")
    return status


def _verified(server: Server, name: str) -> dict[str, Any]:
    meant = find(server, name)
    found = verify_here(server, meant.place, meant.name)
    note_verified(server, meant, now_text())
    size = next((file.size for file in meant.place.found() if file.name == meant.name), 0)
    return {"name": meant.name, "size": size, "keys": found.keys, "seconds": round(found.seconds, 3)}


@backup.command()
@click.option("--keep", type=click.IntRange(1, 9999), help="How many stay; `backup.keep` by default.")
@click.option("--dry-run", is_flag=True, help="Only tell which would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
@pass_invocation
def prune(invocation: Invocation, keep: int | None, dry_run: bool, yes: bool) -> int:
    """Remove the archives that are too old, of those that were made here and are still in their place.

    Exit status: 0 done, or there was nothing to do; 3 the folder cannot be used, or a backup is being made.
    """
    server = invocation.server()
    refuse_second(server.store)
    place = place_here(server)
    known = histories.read(place, server.name)
    stay = server.settings.backup.keep if keep is None else keep
    names = [one.name for one in too_old(known.archives, stay, {file.name for file in place.found()})]
    if names and not dry_run:
        if not yes:
            confirm(f"Remove {len(names)} archives for good?")
        _, names = remove_old(place, known, stay)
    did = "would be removed" if dry_run else "removed"
    invocation.screen.result(names, "\n".join(f"{name}: {did}" for name in names) or "nothing is too old")
    return exits.DONE


backup.add_command(restore)
