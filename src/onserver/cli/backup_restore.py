"""`onserver backup restore`: bring an archive back into a server."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import click
import msgspec

from onserver.backup.asking import asker, refuse_second
from onserver.backup.catalog import Meant, find
from onserver.backup.load import Loaded, undo
from onserver.backup.restore import KEYS, OTHERS, Prospect, Restored, Wish, finish_restore, prospect
from onserver.backup.restore import restore as restore_archive
from onserver.cli import exits
from onserver.cli.abort import confirm
from onserver.cli.invocation import Invocation, common_options, pass_invocation
from onserver.cli.screen import duration
from onserver.server import Server

_PARTS: Final = sorted(KEYS | OTHERS)


@click.command()
@click.argument("archive", metavar="ID", default="")
@click.option("--only", multiple=True, type=click.Choice(_PARTS), help="This part; may be given several times.")
@click.option("--to", metavar="NAMESPACE", default="", help="Into an empty server of this name, in the same Redis.")
@click.option("--until", metavar="TIME", help="Replay the log of changes up to this time; `now` for all of it.")
@click.option("--run", is_flag=True, help="Let the processes that lived go on; else they come back paused.")
@click.option("--no-backup", is_flag=True, help="Make no backup of what is there before.")
@click.option("--finish", is_flag=True, help="Finish a restore that was interrupted.")
@click.option("--undo", "back", is_flag=True, help="Give up a restore that was interrupted: all is as it was.")
@click.option("--dry-run", is_flag=True, help="Check the archive, and only tell what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
@pass_invocation
def restore(
    invocation: Invocation,
    archive: str,
    only: tuple[str, ...],
    to: str,
    until: str | None,
    run: bool,
    no_backup: bool,
    finish: bool,
    back: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Restore an archive: ID is a number, `latest`, or a file. What is there is saved before, and replaced as a whole.

    The keys go into the server: all of them, or those parts that --only names. Project, files and databases are
    unpacked beside the archive where --only names them. While workers are up, it goes only under maintenance.

    Exit status: 0 done; 2 wrong usage; 3 refused, and nothing was changed; 4 there is no such archive; 6 cannot reach
    Redis; 9 the archive is damaged, and nothing was changed.
    """
    server = invocation.server()
    if finish or back:
        return _interrupted(invocation, server, finish=finish)
    if not archive:
        raise click.UsageError("Name an archive: a number, `latest`, or a file.")
    meant = find(server, archive)
    wish = Wish(
        only=frozenset(only),
        to=to,
        run=run,
        save=not no_backup,
        by=asker(),
        replay=until is not None,
        until_ms=_instant(until),
    )
    if dry_run:
        return _would(invocation, meant, prospect(server, meant, wish))
    refuse_second(server.store)
    if wish.keys and not yes:
        confirm(f"Replace what is in `{to or server.name}` by {meant.name}?")
    with redirect_stdout(sys.stderr):  # what the hooks of the backup before it print is no result
        server.load_tasks()
        done = restore_archive(server, meant, wish)
    invocation.screen.result(_facts(meant, done), "\n".join(_told(meant, done)))
    return exits.DONE


def _instant(until: str | None) -> int | None:
    """Milliseconds since 1970 of a time as people write it; one without a zone is that of this machine."""
    if until in (None, "now"):
        return None
    try:
        return round(datetime.fromisoformat(str(until)).astimezone().timestamp() * 1000)
    except ValueError:
        raise click.BadParameter(
            f"`{until}` is no time: write 2026-11-26T02:15, or now", param_hint="--until"
        ) from None


def _interrupted(invocation: Invocation, server: Server, *, finish: bool) -> int:
    if not finish:
        undo(server.store)
        invocation.screen.result({"undone": True}, "given up: the server is as it was")
        return exits.DONE
    loaded = finish_restore(server, asker())
    invocation.screen.result(_loaded(loaded), f"✓ finished · {_processes(loaded)}")
    return exits.DONE


def _would(invocation: Invocation, meant: Meant, found: Prospect) -> int:
    counts = found.manifest.about.counts
    lines = [f"{meant.name} is whole; nothing done (--dry-run)"]
    lines += [
        f"  {part:<10} {counts.get(part, 0)} in it, {found.there.get(part, 0)} there now" for part in sorted(KEYS)
    ]
    lines += ["  a backup of what is there would be made before"] if found.saves else []
    lines += [f"  it would be refused now: {found.refusal}"] if found.refusal else []
    data = {
        "archive": meant.path,
        "manifest": msgspec.to_builtins(found.manifest.about),
        "there": dict(found.there),
        "saves": found.saves,
        "refusal": found.refusal or None,
    }
    invocation.screen.result(data, "\n".join(lines))
    return exits.REFUSED if found.refusal else exits.DONE


def _facts(meant: Meant, done: Restored) -> dict[str, Any]:
    replayed = done.replayed
    return {
        "archive": meant.path,
        "replayed": None if replayed is None else asdict(replayed),
        "loaded": _loaded(done.loaded) if done.loaded else None,
        "before": done.saved.path if done.saved else None,
        "folder": str(done.folder) if done.folder else None,
        "files": [str(path) for path in done.files],
    }


def _loaded(loaded: Loaded) -> dict[str, Any]:
    return {"keys": _sorted(loaded.counts), "alive": loaded.alive, "lost": loaded.lost, "seconds": loaded.seconds}


def _sorted(counts: Counter[str]) -> Mapping[str, int]:
    return dict(sorted(counts.items()))


def _told(meant: Meant, done: Restored) -> Iterator[str]:
    if done.loaded is not None:
        words = [f"{meant.name} restored", f"{done.loaded.counts.total()} keys", _processes(done.loaded)]
        yield f"✓ {' · '.join(words)} · {duration(done.loaded.seconds)}"
    if done.replayed is not None:
        yield f"✓ {done.replayed.changes} changes replayed from the log, up to number {done.replayed.last}"
        yield from (f"  {note}" for note in done.replayed.notes)
    if done.saved is not None and done.saved.path:
        yield f"  what was there before: {done.saved.path}"
    if done.folder is not None:
        yield f"✓ {len(done.files)} files unpacked into {done.folder}"


def _processes(loaded: Loaded) -> str:
    return f"{loaded.alive} processes paused or waiting, {loaded.lost} lost"
