"""What can be done to backups."""

from __future__ import annotations

from typing import Final

from onserver.backup import history as histories
from onserver.backup.asking import refuse_second, start_backup
from onserver.backup.catalog import find, note_verified
from onserver.backup.load import standing, undo
from onserver.backup.making import now_text, place_here, remove_old, verify_here
from onserver.backup.restore import Wish, finish_restore, refused_now, restore
from onserver.backup.state import Ask
from onserver.errors import NotDone, RestoreRefused
from onserver.process.control import asked_by
from onserver.server import Server
from onserver.steer.action import Action, Field, Outcome
from onserver.steer.made import Given, command, number, yes

_ARCHIVE: Final = Field(name="archive", required=True, maximum=1000, label="Archive")


def _now(server: Server, given: Given) -> Outcome:
    who = asked_by(server)
    refuse_second(server.store)
    ask = Ask(label=given.get("label", ""), asked_by=who, forced_by=who if yes(given, "force") else "")
    process = start_backup(server, ask)
    return Outcome(said="The backup is process {number}.", values={"number": process.number},
                   target=given.get("label", ""), data={"process": process.number})  # fmt: skip


def _verify(server: Server, given: Given) -> Outcome:
    meant = find(server, given["archive"])
    found = verify_here(server, meant.place, meant.name)
    note_verified(server, meant, now_text())
    return Outcome(said="{name} is whole: {keys} keys.", values={"name": meant.name, "keys": found.keys},
                   target=meant.name, after="verified", data={"keys": found.keys})  # fmt: skip


def _prune(server: Server, given: Given) -> Outcome:
    refuse_second(server.store)
    place = place_here(server)
    keep = number(given, "keep") if "keep" in given else server.settings.backup.keep
    _, names = remove_old(place, histories.read(place, server.name), keep)
    return Outcome(said="{count} archives are removed.", values={"count": len(names)}, target=place.describe(),
                   before=", ".join(names), data={"removed": list(names)})  # fmt: skip


def _there(server: Server, given: Given) -> None:
    """Refuse an archive that there is not."""
    find(server, given["archive"])


def _may_restore(server: Server, given: Given) -> None:
    """Refuse a restore that would be refused as soon as the archive was read."""
    meant = find(server, given["archive"])
    refuse_second(server.store)
    why = refused_now(server, Wish())
    if why:
        raise RestoreRefused(meant.path, why)


def _restore(server: Server, given: Given) -> Outcome:
    meant = find(server, given["archive"])
    refuse_second(server.store)
    server.load_tasks()
    done = restore(server, meant, Wish(run=yes(given, "run"), save=not yes(given, "no_backup"), by=asked_by(server)))
    keys = done.loaded.counts.total() if done.loaded else 0
    before = done.saved.path if done.saved and done.saved.path else ""
    return Outcome(said="{name} is restored: {keys} keys.", values={"name": meant.name, "keys": keys},
                   target=meant.name, before=before, after=f"{keys} keys", data={"before": before})  # fmt: skip


def _interrupted(server: Server, _given: Given) -> None:
    """Refuse where there is no restore that was interrupted."""
    if standing(server.store) is None:
        raise NotDone("backup.finish", "no restore has begun and not ended")


def _finish(server: Server, _given: Given) -> Outcome:
    loaded = finish_restore(server, asked_by(server))
    return Outcome(said="The restore is finished: {keys} keys.", values={"keys": loaded.counts.total()},
                   after=f"{loaded.counts.total()} keys")  # fmt: skip


def _undo(server: Server, _given: Given) -> Outcome:
    undo(server.store)
    return Outcome(said="The restore is given up: all is as it was.")


ACTS: Final = (
    Action(
        name="backup.now",
        privilege="admin.backup",
        run=_now,
        title="Back up now",
        fields=(
            Field(name="label", maximum=100, label="Label"),
            Field(name="force", kind="bool", label="Even if a hook refuses it"),
        ),
        cli=command("onserver backup now", label="--label", force="--force"),
    ),
    Action(
        name="backup.verify",
        privilege="admin.backup",
        run=_verify,
        title="Verify an archive",
        fields=(_ARCHIVE,),
        cli=command("onserver backup verify", "archive"),
        later="{target} is being verified: this takes as long as reading all of it.",
        ready=_there,
    ),
    Action(
        name="backup.prune",
        privilege="admin.backup",
        run=_prune,
        title="Remove old archives",
        confirm="ask",
        fields=(Field(name="keep", kind="whole", minimum=1, maximum=9999, label="How many stay"),),
        cli=command("onserver backup prune --yes", keep="--keep"),
    ),
    Action(
        name="backup.restore",
        privilege="admin.restore",
        run=_restore,
        title="Restore an archive",
        confirm="typed",
        fields=(
            _ARCHIVE,
            Field(name="run", kind="bool", label="Let processes that lived go on"),
            Field(name="no_backup", kind="bool", label="Make no backup of what is there before"),
        ),
        cli=command("onserver backup restore --yes", "archive", run="--run", no_backup="--no-backup"),
        later="{target} is being restored.",
        ready=_may_restore,
    ),
    Action(
        name="backup.finish",
        privilege="admin.restore",
        run=_finish,
        title="Finish an interrupted restore",
        confirm="ask",
        fields=(),
        cli=command("onserver backup restore --finish"),
        later="The restore goes on.",
        ready=_interrupted,
    ),
    Action(
        name="backup.undo",
        privilege="admin.restore",
        run=_undo,
        title="Give up an interrupted restore",
        confirm="ask",
        fields=(),
        cli=command("onserver backup restore --undo"),
        later="The restore is being given up.",
        ready=_interrupted,
    ),
)
"""Each of them."""
