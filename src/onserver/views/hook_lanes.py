"""A lane for each hook: what workers say of it, how it ran, and why it did not.

Workers say which hooks their code has when they begin (`sides:CODE`), so who looks needs none of the project's code. A
hook that no worker has any more keeps its lane as long as runs of it are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from onserver.backup.state import State
from onserver.errors import HookNotFound
from onserver.life.epoch import Epoch, read
from onserver.life.hook import (
    BACKUP_SHUTDOWN,
    BACKUP_STARTUP,
    CLOSE_CONNECTION,
    KINDS,
    OPEN_CONNECTION,
    REFUSING,
    SHUTDOWN,
    SHUTDOWN_DRAINED,
    STARTUP,
)
from onserver.life.hook_records import HookRecord, read_runs
from onserver.redis.store import Store
from onserver.registry import find_name
from onserver.views.hook_runs import hook_runs

#: Runs that a lane shows.
RUNS_OF_LANE: Final = 5
#: Outcomes after which the hooks behind are not asked.
_STOPS: Final = frozenset({"veto", "failed", "timeout"})

#: Why a hook did not run: see `Why`.
Reason = Literal[
    "no_worker", "never_started", "turn", "before_failed", "added", "not_stopped", "crashed", "no_backup",
    "no_backup_ended", "refused_before", "no_event", "no_client", "none_left",
]  # fmt: skip


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What workers say of a hook.

    Attributes:
        kind: `on_server_startup`, ….
        name: of the hook.
        place: among all hooks of its code, in the order in which those of a kind run.
        timeout: seconds that it may run; None as the settings have it.
        run_on: where it runs, of a system event.
        by_hand: whether it may be run by hand.
        doc: what its function says of itself.
    """

    kind: str
    name: str
    place: int = 0
    timeout: float | None = None
    run_on: str | None = None
    by_hand: bool = False
    doc: str = ""

    @property
    def side(self) -> str:
        """Its kind and name, as it is run by hand."""
        return f"{self.kind.replace(' ', '-')}:{self.name}"


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why a hook did not run.

    Attributes:
        reason: one of `Reason`.
        facts: what a sentence about it has.
    """

    reason: Reason
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One hook.

    Attributes:
        declared: what workers say of it.
        alive: whether a worker that is up has it.
        runs: how it ran, the newest first, up to `RUNS_OF_LANE`.
        count: how many of its runs are kept.
        running: number of the process that runs it now, as far as it runs by itself; 0 for none.
        why: why it did not run, the last time that it could have; None where it did, or nobody can tell.
    """

    declared: Declared
    alive: bool
    runs: Sequence[HookRecord]
    count: int
    running: int
    why: Why | None

    def as_dict(self) -> dict[str, Any]:
        """The facts, ready for JSON."""
        return {
            **msgspec.structs.asdict(self.declared), "side": self.declared.side, "alive": self.alive,
            "runs": [run.as_dict() for run in self.runs], "count": self.count, "running": self.running or None,
            "why": {"reason": self.why.reason, **self.why.facts} if self.why else None,
        }  # fmt: skip


def declared_hooks(store: Store) -> list[Declared]:
    """Answer the hooks that workers have which are up, kind by kind, in the order in which they run."""
    codes = [code.decode() for code in store.command("HKEYS", store.key("codes"))]
    found: dict[str, Declared] = {}
    for flat in store.pipeline([("HVALS", store.key(f"sides:{code}")) for code in codes]) if codes else ():
        for text in flat:
            one = msgspec.json.decode(text, type=Declared)
            found.setdefault(one.side, one)
    return sorted(found.values(), key=lambda one: (_place(one.kind), one.place, one.name))


def find_declared(store: Store, word: str) -> Declared:
    """Find a hook that a worker has which is up, by its name, the end of it, or `KIND:NAME`.

    Raises:
        HookNotFound: ONS-5302, there is none, or several kinds have one of that name.
    """
    known = declared_hooks(store)
    exact = next((one for one in known if one.side == word), None)
    if exact is not None:
        return exact
    kind, colon, name = word.partition(":")
    chosen = [one for one in known if one.side.startswith(f"{kind}:")] if colon else known
    full, near = find_name(name if colon else word, dict.fromkeys(one.name for one in chosen))
    meant = [one for one in chosen if one.name == full]
    if len(meant) != 1:
        raise HookNotFound(word, [one.side for one in meant] or near)
    return meant[0]


def lanes(store: Store) -> list[Lane]:
    """Answer a lane for each hook that a worker has, or of which runs are kept."""
    epoch, runs = read(store), read_runs(store)
    alive = declared_hooks(store)
    of: dict[tuple[str, str], list[HookRecord]] = {}
    for run in runs:
        of.setdefault((run.kind, run.hook), []).append(run)
    known = {(one.kind, one.name) for one in alive}
    gone = [Declared(kind=kind, name=name) for kind, name in of if (kind, name) not in known]
    stands = {(run.name, run.outcome): run.number for run in hook_runs(store, epoch.number)}
    told = _Told(store, epoch, alive, of)
    return [
        Lane(
            declared=one, alive=(one.kind, one.name) in known, runs=of.get((one.kind, one.name), [])[:RUNS_OF_LANE],
            count=len(of.get((one.kind, one.name), ())), running=stands.get((f"{one.kind} {one.name}", "running"), 0),
            why=told.why(one) if (one.kind, one.name) in known else Why(reason="no_worker"),
        )
        for one in sorted([*alive, *gone], key=lambda one: (_place(one.kind), one.place, one.name))
    ]  # fmt: skip


def _place(kind: str) -> int:
    return KINDS.index(kind) if kind in KINDS else len(KINDS)


class _Told:
    """Tells why hooks did not run."""

    def __init__(
        self, store: Store, epoch: Epoch, alive: Sequence[Declared], of: Mapping[tuple[str, str], list[HookRecord]]
    ) -> None:
        self._epoch, self._alive, self._of = epoch, alive, of
        self._any_backup = State(store).last() is not None

    def why(self, one: Declared) -> Why | None:
        runs = self._of.get((one.kind, one.name), [])
        if one.kind == STARTUP:
            return None if any(run.epoch == self._epoch.number for run in runs) else self._not_started(one)
        if one.kind in (SHUTDOWN, SHUTDOWN_DRAINED):
            return self._not_stopped(runs)
        if one.kind in REFUSING and (before := self._refused_before(one, runs)) is not None:
            return before
        if runs:
            return None
        if one.kind == BACKUP_STARTUP:
            return None if self._any_backup else Why(reason="no_backup")
        if one.kind == BACKUP_SHUTDOWN:
            return None if self._any_backup else Why(reason="no_backup_ended")
        if one.kind == OPEN_CONNECTION:
            return Why(reason="no_client")
        return Why(reason="none_left" if one.kind == CLOSE_CONNECTION else "no_event")

    def _not_started(self, one: Declared) -> Why | None:
        epoch = self._epoch
        if not epoch.number:
            return Why(reason="never_started")
        if epoch.state == "starting":
            return Why(reason="turn")
        for other in self._before(one):
            last = next(iter(self._of.get((other.kind, other.name), [])), None)
            if last is not None and last.epoch == epoch.number and last.outcome in _STOPS:
                return Why(reason="before_failed", facts={"hook": other.name, "epoch": epoch.number})
        return Why(reason="added", facts={"epoch": epoch.number}) if epoch.state == "running" else None

    def _not_stopped(self, runs: Sequence[HookRecord]) -> Why | None:
        epoch = self._epoch
        if epoch.previous == "crashed" and not any(run.epoch >= epoch.number - 1 for run in runs):
            return Why(reason="crashed", facts={"epoch": epoch.number - 1})
        if not runs and epoch.state in ("starting", "running"):
            return Why(reason="not_stopped", facts={"epoch": epoch.number})
        return None

    def _refused_before(self, one: Declared, runs: Sequence[HookRecord]) -> Why | None:
        """Whether a hook before it has refused since it was asked the last time."""
        since = runs[0].at if runs else None
        for other in self._before(one):
            last = next(iter(self._of.get((other.kind, other.name), [])), None)
            if last is not None and last.outcome in _STOPS and (since is None or last.at > since):
                return Why(reason="refused_before", facts={"hook": other.name, "reason": last.reason})
        return None

    def _before(self, one: Declared) -> list[Declared]:
        return [other for other in self._alive if other.kind == one.kind and other.place < one.place]
