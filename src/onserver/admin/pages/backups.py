"""Backups: how they stand, each archive, what was refused and why; and the way back, one plain page after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Final

import msgspec

from onserver.admin.page import MOST_ROWS, Look, NotThere, Page, View, cursor_of
from onserver.admin.rendering import looking, size
from onserver.backup.asking import workers
from onserver.backup.history import Operation
from onserver.backup.restore import Wish, refused_now
from onserver.errors import OnServerError, ReachError
from onserver.process.maintenance import maintenance_on
from onserver.redis.saved import PARTS
from onserver.steer.audit import record
from onserver.steer.background import Job, jobs
from onserver.views import backups

_ROWS: Final = 50
#: Operations that are shown.
_OPERATIONS: Final = 50
#: Bytes of one piece of an archive that is downloaded: so much is in memory at a time.
PIECE: Final = 2**25
#: The steps of the way back.
STEPS: Final = ("check", "compare", "maintenance", "restore")
_KEEP: Final = 9999


def overview(asked: Look) -> View:
    """Show how the backups stand, and which archives there are."""
    limit, below = asked.number("limit", _ROWS, 1, MOST_ROWS), asked.number("cursor")
    keep = asked.number("keep", 0, 1, _KEEP) if asked.query.get("keep", "").strip() else None
    seen, found = backups.now(asked.server), jobs(asked.server.store, "backup")
    rows, done, going = list[backups.ArchiveRow](), list[Operation](), list[str]()
    if not seen.problem:
        rows += backups.archives(asked.server, below=below, limit=limit)
        done += backups.operations(asked.server)[:_OPERATIONS]
        going += backups.would_go(asked.server, keep) if keep is not None else []
    onward = cursor_of(rows, limit, lambda row: row.number)
    known = {
        "seen": seen, "sentence": _sentence(asked, seen), "whys": _whys(asked, seen), "rows": rows, "cursor": onward,
        "operations": [(one, backups.ms_of(one), _ended(asked, one)) for one in done],
        "jobs": _shown(asked, found), "keep": keep, "going": going, "good_ms": backups.ms_of(seen.good),
    }  # fmt: skip
    data = {
        "now": msgspec.to_builtins(seen), "archives": [asdict(row) for row in rows], "cursor": onward or None,
        "operations": msgspec.to_builtins(done), "doing": _data(found),
    }  # fmt: skip
    return View("backups.html", known, data=data)


def one(asked: Look) -> View:
    """Show an archive, and what it says of itself."""
    found = _archive(asked)
    mine = [job for job in jobs(asked.server.store, "backup") if job.target in _names(found)]
    manifest = found.end.manifest if found.end else None
    known = {
        "found": found, "row": found.row, "about": manifest.about if manifest else None, "manifest": manifest,
        "jobs": _shown(asked, mine), "pieces": _pieces(asked, found), "path": found.meant.path,
    }  # fmt: skip
    told = {"archive": asdict(found.row), "manifest": msgspec.to_builtins(manifest), "doing": _data(mine)}
    return View("backups_one.html", known, data=told)


def download(asked: Look) -> View:
    """Answer an archive, or a piece of one that is larger than what may be in memory at a time."""
    found = _archive(asked)
    count = max(1, -(-found.row.size // PIECE))
    part = asked.number("piece", 1, 1, count)
    inlet = found.meant.place.reading(found.row.name)
    try:
        inlet.seek((part - 1) * PIECE)
        body = b"".join(iter(lambda: inlet.read(PIECE), b"")) if count == 1 else _exactly(inlet, PIECE)
    finally:
        inlet.close()
    record(asked.server.store, asked.actor, "backup.download", result="done", target=found.row.name,
           after=f"{part}/{count}" if count > 1 else "")  # fmt: skip
    name = f"{found.row.name}.{part:03}" if count > 1 else found.row.name
    headers = {"Content-Type": "application/octet-stream", "Content-Disposition": f'attachment; filename="{name}"'}
    return View(headers=headers, body=body)


def restore(asked: Look) -> View:
    """Lead through a restore: is the archive whole, what would change, is the server closed, is it meant."""
    step = asked.word("step", STEPS, STEPS[0])
    found, store = _archive(asked), asked.server.store
    mine = [job for job in jobs(store, "backup") if job.target in _names(found)]
    there, whole = asked.server.part(backups.Counted).keys() if step == "compare" else (None, True)
    counts = found.end.manifest.about.counts if found.end else None
    rows = [(part, None if counts is None else counts.get(part, 0), there[part]) for part in PARTS] if there else []
    seen = backups.now(asked.server)
    known = {
        "found": found, "row": found.row, "step": step, "steps": _steps(asked, found, step), "seen": seen,
        "rows": rows, "whole": whole, "closed": maintenance_on(store), "workers": workers(store),
        "refusal": refused_now(asked.server, Wish()), "jobs": _shown(asked, mine),
        "onward": next((one for before, one in pairwise(STEPS) if before == step), ""),
        "restored_ms": backups.ms_of(seen.restored), "most": backups.MOST_COUNTED,
    }  # fmt: skip
    data = {"archive": asdict(found.row), "counts": counts, "there": None if there is None else dict(there),
            "refusal": known["refusal"] or None, "doing": _data(mine)}  # fmt: skip
    return View("backups_restore.html", known, data=data)


PAGES: Final = [
    Page("/backups", "backups", "Backups", "b", overview, live=("backup", "audit")),
    Page("/backups/{name}", "backup", "Archive", "", one, nav=False, under="backups", live=("backup", "audit")),
    Page("/backups/{name}/file", "backup_file", "Archive", "", download, "admin.data", nav=False, under="backups"),
    Page(
        "/backups/{name}/restore", "backup_restore", "Restore", "", restore, nav=False, under="backups",
        live=("backup", "audit"),
    ),
]  # fmt: skip


# -- sentences


def _sentence(asked: Look, seen: backups.BackupsNow) -> str:
    """Say how the backups stand, in one line."""
    words: list[str] = []
    if seen.good is not None:
        time = asked.zone.exact(backups.ms_of(seen.good))
        words.append(asked._("The last good backup is number {n}, of {time}.", n=seen.good.number, time=time))
    elif seen.last is not None:
        words.append(asked._("No backup has ended well yet."))
    if seen.suspended:
        n = seen.attempts
        words.append(asked._("{n} backups in a row have failed: none is started by schedule any more.", n=n))
    elif seen.next_ms:
        words.append(asked._("The next one is due at {time}.", time=asked.zone.exact(seen.next_ms)))
    elif seen.schedule:
        words.append(asked._("By the settings it is made {schedule}, once a worker is up.", schedule=seen.schedule))
    else:
        words.append(asked._("Nothing is scheduled."))
    return " ".join(words)


def _whys(asked: Look, seen: backups.BackupsNow) -> Sequence[str]:
    """Why something did not happen, or cannot."""
    whys: list[str] = []
    if seen.problem:
        whys.append(asked._("Archives can be nowhere: {problem}", problem=seen.problem))
    last = seen.last
    if last is not None and last.code and last is not seen.good:
        if last.hook and not last.forced_by:
            text = asked._("The last backup was refused by the hook {hook}, with {code}: {reason}", hook=last.hook,
                           code=last.code, reason=last.reason or "–")  # fmt: skip
        else:
            text = asked._("The last backup has failed with {code}: {reason}", code=last.code, reason=last.reason)
        whys.append(text)
    if seen.free is not None and seen.needed > seen.free:
        with looking(asked):
            needed, free = size(seen.needed), size(seen.free)
        whys.append(asked._("The last archive took {needed}, and {free} are free.", needed=needed, free=free))
    return whys


def _ended(asked: Look, one: Operation) -> str:
    """Say how an operation has ended: what refused it, why it failed, what is missing."""
    if not one.code:
        return ""
    if one.hook and not one.forced_by:
        return asked._("Hook {hook}: {reason}", hook=one.hook, reason=one.reason or "–")
    return one.reason


# -- what goes on


def _shown(asked: Look, found: Sequence[Job]) -> Sequence[tuple[Job, str]]:
    """What goes on and what has ended, each with what is said of it."""
    return [(job, _told(asked, job)) for job in found]


def _told(asked: Look, job: Job) -> str:
    if job.state == "done":
        return asked._(job.said, **job.values)
    if job.state == "lost":
        return asked._("The program that did it was killed.")
    return job.why


def _data(found: Sequence[Job]) -> Any:
    return msgspec.to_builtins(list(found))


# -- one archive


def _archive(asked: Look) -> backups.Archive:
    """Find the archive of the page's path.

    Raises:
        NotThere: there is none, or its folder cannot be used.
    """
    try:
        return backups.archive(asked.server, asked.path["name"])
    except ReachError:
        raise  # that says nothing of the archive
    except (OnServerError, OSError) as error:
        raise NotThere(error.message if isinstance(error, OnServerError) else str(error)) from error


def _names(found: backups.Archive) -> Sequence[str]:
    """How an archive may have been named where something was asked for."""
    return (found.row.name, str(found.row.number), found.meant.path)


def _pieces(asked: Look, found: backups.Archive) -> Sequence[tuple[str, str]]:
    """The files that an archive is downloaded as, and their addresses; none where whoever looks may not."""
    if not asked.actor.may("admin.data"):
        return ()
    name, count = found.row.name, max(1, -(-found.row.size // PIECE))
    path = f"/backups/{name}/file"
    if count == 1:
        return ((name, asked.url(path)),)
    return [(f"{name}.{part:03}", asked.url(path, piece=part)) for part in range(1, count + 1)]


def _exactly(inlet: Any, count: int) -> bytes:
    """Read so many bytes, or those that are left."""
    pieces, left = list[bytes](), count
    while left and (data := inlet.read(left)):
        pieces.append(data)
        left -= len(data)
    return b"".join(pieces)


def _steps(asked: Look, found: backups.Archive, now: str) -> Sequence[Mapping[str, Any]]:
    titles = {
        "check": asked._("1. Check the archive"), "compare": asked._("2. Compare"),
        "maintenance": asked._("3. Close the server"), "restore": asked._("4. Restore"),
    }  # fmt: skip
    path = f"/backups/{found.row.name}/restore"
    return [{"name": one, "title": titles[one], "url": asked.url(path, step=one), "now": one == now} for one in STEPS]
