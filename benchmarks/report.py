"""Medians of the repetitions, the ratios between the sides, the table and the JSON file."""

import json
import os
import platform
import statistics
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.goals import reached
from benchmarks.measures import Figures

#: figures[measure][side] is a list, one for each repetition.
Results = dict[str, dict[str, list[Figures]]]


class Row(NamedTuple):
    """One line of the table: a figure of a measure, and how the sides compare in it."""

    label: str
    measure: str
    figure: str
    unit: str
    better: Literal["more", "less"] = "more"
    side: str = "ours"
    #: The measure of stock Celery, where it is another one.
    against: str = ""
    #: What this is compared with, where it is not Celery.
    other: str = ""
    #: Whether it is a matter of faster or slower by itself.
    judged: bool = True
    #: The ratio below which it is not good enough.
    least: float = 1.0
    #: What is to be reached; see `goals`.
    must: str = ""
    aim: str = ""


#: A ratio that comes of a division by 0.
_NOTHING = 1e6
#: With so much more stored, hardly anything may cost more.
_FLAT = "≥ 0.67 x"
_LOCK, _HINCRBY, _GET = "redis-py Lock, GET, SET", "HINCRBY", "GET"
_THOUSAND, _GROWTH = "ours, a thousand of each and 1 member", 1 / 1.5
_FEW = "ours, a thousand sessions"
#: As fast, as well as that can be told on a machine that does other things as well.
_ABOUT = 0.9

ROWS = [
    Row("drain of queued no-op processes", "drain", "per_s", "/s", must="≥ 10 x", aim="≥ 15 x"),
    Row("  the same with batch=True", "batch", "per_s", "/s", against="drain"),
    Row("  coroutines, on one loop", "turns", "per_s", "/s", against="drain"),
    Row(
        "  ordinary Celery tasks on our transport", "drain", "per_s", "/s", side="ordinary", must="≥ 2 x", aim="≥ 3.5 x"
    ),
    Row("one call after the other, p50", "calls", "p50", "ms", "less"),
    Row("  p95", "calls", "p95", "ms", "less"),
    Row("32 callers in one program", "calls", "callers_per_s", "/s"),
    Row("  ours as coroutines", "calls", "loop_per_s", "/s"),
    Row("  CPU time of all programs for a call", "calls", "callers_all_cpu_us", "µs", "less"),
    Row("  ours as coroutines, the same", "calls", "loop_all_cpu_us", "µs", "less"),
    Row("enqueue one by one", "enqueue", "one_per_s", "/s"),
    Row("enqueue many in one call", "enqueue", "many_per_s", "/s"),
    Row("round trips of a worker for a task (drain)", "drain", "trips", "", "less"),
    Row("  commands for it, those inside scripts too", "drain", "commands", "", "less", judged=False),
    Row("  CPU time of Redis for it", "drain", "redis_cpu_us", "µs", "less"),
    Row("  CPU time of the worker tree for it", "drain", "worker_cpu_us", "µs", "less"),
    Row("  the same, ordinary Celery task", "drain", "worker_cpu_us", "µs", "less", side="ordinary"),
    Row("round trips of a call, both sides", "calls", "trips", "", "less"),
    Row("memory of the worker tree, RSS", "drain", "rss", "MB", "less", must="≥ 1 x", aim="≤ 100"),
    Row("  PSS", "drain", "pss", "MB", "less", must="≥ 1 x", aim="≤ 55"),
    Row("  RSS, a project with Celery tasks", "drain", "rss", "MB", "less", side="ordinary"),
    Row("  PSS, a project with Celery tasks", "drain", "pss", "MB", "less", side="ordinary"),
    Row("cold start to the first run", "cold", "first_s", "s", "less", must="≤ 0.8", aim="≤ 0.5"),
    Row("idle worker, round trips a second", "cold", "idle_trips_s", "/s", "less", must="≤ 2", aim="≤ 1"),
    Row("  CPU time, share of a core", "cold", "idle_cpu_pct", "%", "less", must="≤ 0.5"),
    Row("use of a 1 KB entry, 1 program", "shared", "use1_per_s", "/s", other=_LOCK, must="≥ 1,200", aim="≥ 1,500"),
    Row("  8 programs", "shared", "use8_per_s", "/s", other=_LOCK, must="≥ 1,500", aim="≥ 2,500"),
    Row("  8 programs, worst wait", "shared", "use8_worst_ms", "ms", "less", other=_LOCK, must="≤ 50", aim="≤ 30"),
    Row("  8 programs, fairness (least / most)", "shared", "use8_fairness", "", other=_LOCK, must="≥ 0.9"),
    Row("counter add, 8 programs", "shared", "add8_per_s", "/s", other=_HINCRBY, must="≥ 12,000", aim="≥ 20,000"),
    Row("read of an entry, cached", "shared", "read1_per_s", "/s", other=_GET, must="≥ 300,000", aim="≥ 1,000,000"),
    *(
        Row(label, "growth", figure, unit, "less", other=_THOUSAND, least=_GROWTH, must=_FLAT)
        for label, figure, unit in (
            ("a million queued, 100,000 sessions, 1,000 members: CPU time of Redis for a claim", "claim_us", "µs"),
            ("  the same in the lines of 1,000 keys, 100 of them full", "keyed_us", "µs"),
            ("  for a settlement", "settle_us", "µs"),
            ("  for a lock", "lock_us", "µs"),
            ("  for a commit", "commit_us", "µs"),
            ("  CPU time of both sides for session()", "session_us", "µs"),
            ("  for the first page of ps", "ps_ms", "ms"),
        )
    ),
    Row("  for a beat, of each in turn", "growth", "beat_us", "µs", "less", other=_THOUSAND, judged=False),
    *(
        Row(f"{label}{way}", "web", f"{name}_{way}", "/s", other=other, judged=name != "starlette", least=_ABOUT)
        for name, label, other in (
            ("starlette", "request of Starlette, session ", "its own: in the cookie"),
            ("flask", "request of Flask, session ", "Flask-Session"),
            ("django", "request of Django, session ", "django-redis"),
        )
        for way in ("untouched", "read", "written")
    ),
    *(
        Row(label, "sessions", figure, unit, "less", other=_FEW, least=_GROWTH)
        for label, figure, unit in (
            ("a hundred thousand sessions: memory of Redis for each", "bytes", "bytes"),
            ("  CPU time of both sides to take one", "take_us", "µs"),
            ("  session() while it is served", "session_us", "µs"),
            ("  whether it has a privilege", "privilege_us", "µs"),
            ("  the first page of a list of them", "page_us", "µs"),
        )
    ),
]


@dataclass(frozen=True)
class Line:
    """A row with its figures: medians, and the median of the ratios, above 1 where ours is better."""

    label: str
    unit: str
    against: str
    stock: float
    ours: float
    lowest: float
    highest: float
    ratio: float
    judged: bool
    least: float = 1.0
    must: str = ""
    aim: str = ""
    reached: str = ""


def lines(results: Results) -> list[Line]:
    """Work out every row whose figures are there."""
    found = []
    for row in ROWS:
        ours = _values(results, row.measure, row.side, row.figure)
        stock = _values(results, row.against or row.measure, "stock", row.figure)
        if not ours or not stock:
            continue
        middle = statistics.median
        value, ratio = middle(ours), middle([_ratio(a, b, row.better) for a, b in zip(stock, ours, strict=False)])
        found.append(
            Line(
                row.label,
                row.unit,
                row.other or "Celery",
                middle(stock),
                value,
                min(ours),
                max(ours),
                ratio,
                row.judged and (not row.other or row.least < 1),
                row.least,
                row.must,
                row.aim,
                reached(row.must, row.aim, value, {"": ratio}),
            )
        )
    return found


def table(found: list[Line]) -> str:
    """Return the rows as text: both medians, ours from lowest to highest, how many times better, what was to be."""
    head = ("", "stock Celery", "ours", "(lowest-highest)", "better by", "", "must", "aim", "reached")
    body = [
        (
            line.label,
            number(line.stock, line.unit),
            number(line.ours, line.unit),
            f"({number(line.lowest)}-{number(line.highest)})",
            times(line.ratio),
            "" if line.against == "Celery" else f"against {line.against}",
            line.must,
            line.aim,
            line.reached,
        )
        for line in found
    ]
    return aligned([head, *body], left={0, 5, 8})


def aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> str:
    """Return rows of cells as text, a column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def slower(found: list[Line]) -> list[str]:
    """Return the rows that are not good enough: stock Celery is better, or the cost grows with what is queued."""
    return [line.label.strip() for line in found if line.judged and line.ratio < line.least]


def save(path: Path, results: Results, found: list[Line], facts: dict[str, object]) -> None:
    """Write everything that was measured, to compare runs with each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "kind": "bench",
        "facts": facts | machine(),
        "rows": [asdict(line) for line in found],
        "results": results,
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def machine() -> dict[str, object]:
    """Say where it was measured."""
    facts = {"python": platform.python_version(), "system": platform.platform(), "cpus": os.cpu_count()}
    return facts | {"load": [round(load, 1) for load in os.getloadavg()]}


def _values(results: Results, measure: str, side: str, figure: str) -> list[float]:
    return [figures[figure] for figures in results.get(measure, {}).get(side, []) if figure in figures]


def _ratio(stock: float, ours: float, better: str) -> float:
    above, below = (ours, stock) if better == "more" else (stock, ours)
    return above / max(below, 1e-9)


def times(ratio: float) -> str:
    """Return how many times better something is; nothing where it was compared with nothing at all."""
    return f"{ratio:.2f} x" if ratio < _NOTHING else "-"


def number(value: float, unit: str = "") -> str:
    """Return a figure with as many digits as mean something."""
    text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{text} {unit}".rstrip() if not unit.startswith("/") else text + unit
