"""What `onserver top` draws: lines that fit a terminal, made of one look at a server. Nothing here touches either."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from onserver.cli.ps import table
from onserver.cli.screen import columns
from onserver.views.overview import Overview

#: The views, in the order in which Tab goes through them.
VIEWS: Final = ("processes", "queues", "workers")

HELP: Final = (
    "q        leave",
    "Tab 1 2 3  processes, queues, workers",
    "j k ↑ ↓  choose a process",
    "a        abort it (asks first)",
    "p r      pause it, resume it",
    "l        its log, and back",
    "/        show only processes whose name has this in it",
    "space    let the screen stand still, and go on",
    "?        this help, and back",
)

#: From this width on everything that `ps` shows is shown.
_WIDE: Final = 100
_HEADER_LINES: Final = 3
_FOOTER_LINES: Final = 1


@dataclass(frozen=True)
class Shown:
    """What of the server is looked at."""

    view: str = "processes"
    chosen: int = 0
    pattern: str = ""
    still: bool = False
    help: bool = False
    #: The lines of the log of this process are shown instead of the list; 0 for none.
    log_of: int = 0
    #: What the last key did, or what is asked for.
    note: str = ""

    def moved(self, seen: Overview, steps: int) -> "Shown":
        """Choose the process so many rows below."""
        numbers = [row.number for row in seen.processes]
        if not numbers:
            return replace(self, chosen=0)
        at = numbers.index(self.chosen) + steps if self.chosen in numbers else 0
        return replace(self, chosen=numbers[max(0, min(at, len(numbers) - 1))])


def room(height: int) -> int:
    """How many rows of a table fit."""
    return max(1, height - _HEADER_LINES - _FOOTER_LINES - 1)


def draw(seen: Overview, shown: Shown, log: list[str], width: int, height: int) -> list[str]:
    """Lay out the screen: exactly `height` lines, none wider than `width`; escape codes take no room."""
    body = _body(seen, shown, log, width)[: height - _HEADER_LINES - _FOOTER_LINES]
    lines = [_first(seen, shown, width), _tabs(shown), ""]
    lines += body + [""] * (height - _HEADER_LINES - _FOOTER_LINES - len(body))
    lines.append(shown.note or "q leave  Tab view  j k choose  a abort  p pause  r resume  l log  / find  ? help")
    cut = [line[:width] for line in lines]
    chooses = shown.view == VIEWS[0] and shown.chosen and not shown.log_of and not shown.help
    for index, row in enumerate(cut):
        if index == 0 or (chooses and row.lstrip().startswith(f"{shown.chosen} ")):
            cut[index] = f"\x1b[7m{row.ljust(width)}\x1b[0m"
    return cut


def _first(seen: Overview, shown: Shown, width: int) -> str:
    workers = sum(member.kind == "worker" for member in seen.members)
    facts = [
        f"{seen.name}: {seen.state}, epoch {seen.epoch}",
        f"{workers} {'worker' if workers == 1 else 'workers'}",
        f"{seen.running} running",
        f"{seen.waiting} waiting",
    ]
    facts += [f"{seen.delayed} delayed"] * bool(seen.delayed) + [f"{seen.dead} dead"] * bool(seen.dead)
    at = f"{datetime.fromtimestamp(seen.now_ms / 1000).astimezone():%H:%M:%S}"
    clock = f"‖ still  {at}" if shown.still else f"● {at}"
    left = " · ".join(facts)[: max(0, width - len(clock) - 1)]
    return left.ljust(width - len(clock)) + clock


def _tabs(shown: Shown) -> str:
    tabs = "  ".join(f"[{name}]" if name == shown.view else f" {name} " for name in VIEWS)
    return f"{tabs}  /{shown.pattern}" if shown.pattern else tabs


def _body(seen: Overview, shown: Shown, log: list[str], width: int) -> list[str]:
    if shown.help:
        return list(HELP)
    if shown.log_of:
        return log or ["no line"]
    if shown.view == "queues":
        rows = [row._asdict() for row in seen.queues]
        heads = ("name", "waiting", "executors", "paused")[: 4 if any(row.paused for row in seen.queues) else 3]
        return columns(heads, rows, right=("waiting", "executors")).splitlines()
    if shown.view == "workers":
        cells = [member._asdict() | {"beat": f"{member.silence:.1f} s ago"} for member in seen.members]
        heads = ("number", "kind", "node", "queues", "executors", "runs", "beat")
        return columns(heads, cells, right=("number", "executors", "runs")).splitlines()
    without = frozenset({"kind", "caller"}) if width < _WIDE else frozenset[str]()
    return table(seen.processes, without).splitlines() if seen.processes else ["no process"]
