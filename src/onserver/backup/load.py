"""The restore of a server's keys: beside those that are there first, then in their place.

    staging    the keys are written beside those of the server, where nobody reads them, and the log is replayed on them
    ── the switch, one script: refused while anything runs or is locked, and, while there are workers, without
       maintenance. From here on nobody else writes what is restored (`freeze` in the scripts' fragments): whoever
       tries is refused as in maintenance. Numbers become the larger of both and a jump further: none is given twice ──
    clearing   what was there goes
    renaming   what was written beside it goes to its place
    settling   what is derived is made anew from the records: each process is where its record says
    ending     one script: everybody may write again

Who is authoritative: `restoring` in the hash `server` says which stage a restore has reached, and of which archive. It
is gone when there is none. Before the switch the server is as it was, and a restore that was interrupted can be undone;
behind it all that is needed is in Redis, and whoever comes can finish it, without the archive. So a server is what it
was, or what the archive has, or says that it is on its way; it is never half of each and open. Each stage can be begun
again: what it has done already is not done twice.

What lived at the instant of the backup comes back paused by "restore": it may have ended since, and whether it is to
run again is for a person to say. So do twins, with the calls of remote clients that waited in them. A twin whose
connection is not there, as its session was dropped since, say, is ended, and its calls with it. What is `live`
(members, holders, who waits for what) is not in a backup; what is there of it stays.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, cast

from onserver.backup.placing import place
from onserver.backup.stream import read
from onserver.crash import crash_point
from onserver.errors import BrokerUnavailable, RestoreRefused
from onserver.process.twin import end_left_twins
from onserver.redis.keys import scan
from onserver.redis.saved import PARTS, Part, made_from, part_of
from onserver.redis.store import LAYOUT, Store

_KEYS: Final = 500
_PROCESSES: Final = 50
#: Of the part `server`, what every restore needs: numbers must not go back, whatever is restored.
_ALWAYS: Final = frozenset({"server", "numbers"})
_KEEP_FAILED_SECONDS: Final = 604_800.0


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A restore that has begun and not ended."""

    stage: str
    """staging, clearing, renaming, settling, ending; it can be undone in the first one only. Or undoing."""
    token: str
    path: str
    """The archive."""
    parts: tuple[Part, ...]
    run: bool
    since_ms: int
    """By the clock of Redis, in milliseconds since 1970."""
    by: str

    @property
    def undoable(self) -> bool:
        """Whether the server is as it was."""
        return self.stage in ("staging", "undoing")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a restore has done."""

    counts: Counter[str]
    """Keys of each part; empty where somebody else had read the archive."""
    alive: int
    """Processes that lived at the instant: they are paused, or wait."""
    lost: int
    """Those that lived and must not run again: of `rerun=False`, hooks, side runs."""
    seconds: float


def load(
    store: Store,
    pieces: Iterable[bytes],
    *,
    path: str = "",
    only: Collection[str] = (),
    run: bool = False,
    by: str = "",
    keep_failed_seconds: float = _KEEP_FAILED_SECONDS,
    amend: Callable[[str], object] | None = None,
) -> Loaded:
    """Restore a server's keys. See the top of this module.

    Args:
        store: of the server; its name need not be that of the archive.
        pieces: the stream that a cut wrote.
        path: the archive, for people and errors.
        only: some of server, storage, sessions, processes, schedule; all of them when empty.
        run: let what lived go on, instead of pausing it.
        by: who restores.
        keep_failed_seconds: how long the records of those processes are kept that are lost by it.
        amend: called with the prefix under which the keys were staged, before they are put in their place.

    Raises:
        RestoreRefused: ONS-5203, something runs, is locked, or another restore has not ended; nothing was changed.
        BackupCorrupt: ONS-5202; likewise.
        BrokerUnavailable: Redis gave no answer in time; `standing` says how far it is.
    """
    started = monotonic()
    standing = _begin(store, path, _parts(path, only), run, by)
    prefix = f"restore:{standing.token}:"
    try:
        counts = place(store, read(pieces, path), prefix, lambda key: key in _ALWAYS or part_of(key) in standing.parts)
        _check_layout(store, prefix, path)
        if amend is not None:
            amend(prefix)
        crash_point("before_restore_switch")
        _switch(store, standing)
    except BaseException:
        with suppress(BrokerUnavailable, RestoreRefused):  # it stands there, to be undone or finished, and says so
            _undo(store, standing)
        raise
    alive, lost = _go_on(store, standing, keep_failed_seconds)
    return Loaded(counts=counts, alive=alive, lost=lost, seconds=monotonic() - started)


def standing(store: Store) -> Standing | None:
    """The restore that has begun and not ended, if there is one."""
    found: bytes | None = store.command("HGET", store.key("server"), "restoring")
    return None if found is None else _read(found)


def finish(store: Store, *, keep_failed_seconds: float = _KEEP_FAILED_SECONDS) -> Loaded:
    """Finish a restore that was interrupted behind its switch.

    Raises:
        RestoreRefused: ONS-5203, there is none, or its archive has not been read to its end.
    """
    started, found = monotonic(), _required(store)
    if found.undoable:
        raise RestoreRefused(found.path, "its archive was not read to its end: undo it, and restore again")
    alive, lost = _go_on(store, found, keep_failed_seconds)
    return Loaded(counts=Counter(), alive=alive, lost=lost, seconds=monotonic() - started)


def undo(store: Store) -> None:
    """Give up a restore that was interrupted before its switch: the server is as it was.

    Raises:
        RestoreRefused: ONS-5203, there is none, or it is past that.
    """
    _undo(store, _required(store))


# -- the beginning


def _parts(path: str, only: Collection[str]) -> tuple[Part, ...]:
    unknown = [name for name in only if name not in PARTS]
    if unknown:
        raise RestoreRefused(path, f"there is no part `{unknown[0]}`, only {', '.join(PARTS)}")
    return tuple(part for part in PARTS if not only or part in only)


def _begin(store: Store, path: str, parts: tuple[Part, ...], run: bool, by: str) -> Standing:
    token = store.nonce().replace(":", "-")
    facts = {"path": path, "parts": parts, "run": run, "by": by, "at": store.now_ms()}
    found: bytes | None = store.run("restore_begin", token, json.dumps(facts))
    if found is not None:
        other = _read(found)
        way = "`--undo`" if other.undoable else "`--finish`"
        raise RestoreRefused(
            path, f"a restore of `{other.path}` has begun and not ended ({other.stage}): {way} it first"
        )
    return Standing(stage="staging", token=token, path=path, parts=parts, run=run, since_ms=store.now_ms(), by=by)


def _read(found: bytes) -> Standing:
    stage, token, text = found.decode().split(" ", 2)
    facts = json.loads(text)
    return Standing(
        stage=stage,
        token=token,
        path=facts["path"],
        parts=tuple(cast("list[Part]", facts["parts"])),
        run=facts["run"],
        since_ms=facts["at"],
        by=facts["by"],
    )


def _required(store: Store) -> Standing:
    found = standing(store)
    if found is None:
        raise RestoreRefused("", "no restore has begun that has not ended")
    return found


def _check_layout(store: Store, prefix: str, path: str) -> None:
    layout = int(store.command("HGET", store.key(f"{prefix}server"), "layout") or 0)
    if not 0 < layout <= LAYOUT:
        raise RestoreRefused(path, f"its keys have layout {layout}, and this release knows layouts up to {LAYOUT}")


def _switch(store: Store, standing: Standing) -> None:
    how, *more = store.run("restore_switch", standing.token, " ".join(standing.parts))
    reason = {
        b"gone": "it was undone by somebody else",
        b"open": "workers are up and the server is open: `onserver maintenance on` first",
        b"running": "process {} runs: wait for its end, or abort it",
        b"locked": "something is locked or waited for ({}): wait for its end",
    }.get(how)
    if reason is not None:
        raise RestoreRefused(standing.path, reason.format(*(text.decode() for text in more)))
    crash_point("after_restore_switch")


def _undo(store: Store, standing: Standing) -> None:
    stage: bytes = store.run("restore_undo", standing.token, 0)
    if stage:
        raise RestoreRefused(standing.path, f"it is {stage.decode()} already, and can only be finished")
    for names in scan(store, f"restore:{standing.token}:"):
        if names:
            store.command("UNLINK", *names)
    store.run("restore_undo", standing.token, 1)


# -- behind the switch


def _go_on(store: Store, standing: Standing, keep_failed_seconds: float) -> tuple[int, int]:
    """Go through the stages that are left. Answers how many processes are alive, and how many are lost."""
    token, alive, lost = standing.token, 0, 0
    for keys in _chunks((key for key in _keys(store) if _is_replaced(key, standing)), _KEYS):
        if not store.run("restore_clear", token, *keys):
            break
        crash_point("in_restore_clearing")
    store.run("restore_stage", token, "clearing", "renaming")
    for keys in _chunks(_keys(store, f"restore:{token}:"), _KEYS):
        if not store.run("restore_put", token, *keys):
            break
        crash_point("in_restore_renaming")
    store.run("restore_stage", token, "renaming", "settling")
    if "processes" in standing.parts:
        for numbers in _chunks(_keys(store, "p:"), _PROCESSES):
            found = store.run("restore_process", token, int(standing.run), int(keep_failed_seconds), *numbers)
            if found is None:
                break
            alive, lost = alive + int(found[0]), lost + int(found[1])
            crash_point("in_restore_settling")
    if "sessions" in standing.parts:
        for identities in _chunks(_keys(store, "s:"), _PROCESSES):
            if store.run("restore_session", token, *identities) is None:
                break
            crash_point("in_restore_settling")
    store.run("restore_stage", token, "settling", "ending")
    crash_point("before_restore_end")
    store.run("restore_end", token)
    end_left_twins(store, int(keep_failed_seconds))
    store.close()  # the next connection hears what the server is called by now
    return alive, lost


def _is_replaced(key: str, standing: Standing) -> bool:
    """Whether a restore takes away what is there; of the server's own keys it takes nothing away."""
    part = part_of(key) or made_from(key)
    return part is not None and part != "server" and part in standing.parts


def _keys(store: Store, prefix: str = "") -> Iterator[str]:
    for names in scan(store, prefix):
        for name in names:
            yield name.removeprefix(store.key(prefix))


def _chunks(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    some: list[str] = []
    for key in keys:
        some.append(key)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
