"""How archives are shown to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from onserver.backup.catalog import Meant
from onserver.backup.change_log import folder_of
from onserver.backup.making import identities_of
from onserver.backup.manifest import Manifest
from onserver.backup.reading import read_manifest
from onserver.backup.replay import Found, look
from onserver.server import Server


class Shown(NamedTuple):
    """The same for programs and for people."""

    data: Any
    text: str


def manifest_of(server: Server, meant: Meant) -> Manifest:
    """What an archive says of itself."""
    return read_manifest(meant.place, meant.name, identities_of(server))


def shown(manifest: Manifest) -> Shown:
    """Show a manifest."""
    data = msgspec.to_builtins(manifest)
    return Shown(data, "\n".join(_lines(manifest)))


def _lines(manifest: Manifest) -> Iterator[str]:
    about = manifest.about
    yield f"{about.server}, number {about.number}, epoch {about.epoch}, form {manifest.format} of {manifest.onserver}"
    facts = {
        "made": moment(datetime.fromtimestamp(about.started, UTC)) if about.started else "",
        "keys as of": moment(datetime.fromtimestamp(about.cut_at, UTC)) if about.cut_at else "",
        "label": about.label,
        "asked by": about.asked_by,
        "forced by": about.forced_by,
        "keys": ", ".join(f"{count} {part}" for part, count in sorted(about.counts.items())),
    }
    yield from (f"  {name:<11} {fact}" for name, fact in facts.items() if fact)
    sizes: dict[str, list[int]] = {}
    for member in manifest.members:
        head = member.name.partition("/")[0]
        sizes.setdefault(head, []).append(member.size)
    for head, found in sorted(sizes.items()):
        yield f"  {head:<11} {len(found)} {'file' if len(found) == 1 else 'files'}, {megabytes(sum(found))}"
    for source in manifest.sources:
        yield f"  from        {source.kind} {source.origin}"
    for problem in manifest.problems:
        yield f"  missing     {problem}"


def archive_text(facts: Mapping[str, Any]) -> str:
    """One line: `shop[0004].onsb · 1812 keys · 4.2 MB · checksums match · loaded into a scratch Redis in 0.4 s`."""
    words = [str(facts["name"]), f"{facts['keys']} keys", megabytes(facts["size"])]
    if "verified" in facts:
        words.append("verified" if facts["verified"] else "not verified")
    else:
        words += ["checksums match", f"loaded into a scratch Redis in {facts['seconds']:.1f} s"]
    return " · ".join(words)


def logs_of(server: Server) -> list[Found]:
    """The files of the log of changes, each read to its end; none where there can be none."""
    settings = server.settings.backup
    return [] if "://" in settings.folder else look(folder_of(settings, server.project), server.name)


def log_row(log: Found) -> dict[str, Any]:
    """One of them, ready for JSON. The last one may be written to, or end in the middle of a change."""
    return {"name": log.segment.path.name, "changes": log.changes, "first": log.first, "last": log.last,
            "closed": log.closed, "ok": not log.damage, "error": log.damage or None}  # fmt: skip


def log_line(log: Found) -> str:
    """The same in one line."""
    changes = f"changes {log.first} to {log.last}" if log.changes else "no changes"
    return f"{'✗' if log.damage else '✓'} {log.segment.path.name} · {changes}{f' · {log.damage}' if log.damage else ''}"


def megabytes(size: int) -> str:
    """A size as a person reads it."""
    if size < 1_000_000:
        return f"{size / 1000:.1f} kB"
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"


def moment(at: datetime) -> str:
    """A time as a person reads it, in the zone of this machine."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
