"""The tables: what everybody reached, and ours against the best peer, against Celery, against the loop by hand.

A ratio is taken within each repetition and is above 1 where ours is better; what is printed is the median of them. The
best peer of a row is the one with the best median, Celery among them and the loop by hand not.
"""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from benchmarks.goals import reached
from benchmarks.measures import Figures
from benchmarks.peers.systems import SYSTEMS
from benchmarks.report import aligned, number

#: figures[measure][system] is a list, one for each repetition; None where it failed.
Results = dict[str, dict[str, list[Figures | None]]]


class Row(NamedTuple):
    """One thing that is compared."""

    label: str
    short: str
    measure: str
    figure: str
    unit: str
    better: Literal["more", "less"] = "more"
    #: What is to be reached; see `benchmarks.goals`.
    must: str = ""
    aim: str = ""


ROWS = [
    Row("drain of queued no-op tasks", "drain", "drain", "per_s", "/s", must="≥ 1.7 x best", aim="≥ 2.5 x best"),
    Row("  many at a time, settled together", "batched", "batch", "per_s", "/s"),
    Row(
        "one call after the other, p50",
        "one call",
        "calls",
        "p50",
        "ms",
        "less",
        must="≥ 2 x best",
        aim="≥ 1 x by hand",
    ),
    Row("32 callers in one program", "32 callers", "calls", "callers_per_s", "/s", must="≥ 2 x best", aim="≥ 3 x best"),
    Row("  ours as coroutines", "on a loop", "calls", "loop_per_s", "/s", must="≥ 2 x best", aim="≥ 3 x best"),
    Row("  CPU time of all programs for a call", "call CPU", "calls", "callers_all_cpu_us", "µs", "less"),
    Row("  ours as coroutines, the same", "loop CPU", "calls", "loop_all_cpu_us", "µs", "less"),
    Row("enqueue one by one", "enqueue", "enqueue", "one_per_s", "/s", must="≥ 1 x best", aim="≥ 1.2 x best"),
    Row("enqueue many in one call", "many", "enqueue", "many_per_s", "/s", must="≥ 3 x best", aim="≥ 6 x best"),
    Row("cold start to the first run", "cold", "cold", "first_s", "s", "less", must="≤ 0.8", aim="≤ 0.5"),
    Row("memory of the worker tree, RSS", "RSS", "cold", "idle_rss", "MB", "less", must="≥ 1 x Celery", aim="≤ 100"),
    Row("memory of the worker tree, PSS", "PSS", "cold", "idle_pss", "MB", "less", must="≥ 1 x Celery", aim="≤ 55"),
    Row("idle worker, round trips a second", "idle", "cold", "idle_trips_s", "/s", "less", must="≤ 2", aim="≤ 1"),
    Row("CPU time of the workers for a task", "worker CPU", "drain", "worker_cpu_us", "µs", "less"),
    Row("CPU time of Redis for a task", "Redis CPU", "drain", "redis_cpu_us", "µs", "less"),
]


@dataclass(frozen=True)
class Compared:
    """A row: medians of all, and how ours compares."""

    label: str
    unit: str
    better: str
    medians: Mapping[str, float]
    lowest: Mapping[str, float]
    highest: Mapping[str, float]
    best: str
    best_that_redelivers: str
    #: Ours against each: the median of the ratios of the repetitions.
    ratios: Mapping[str, float]
    must: str
    aim: str
    reached: str


def compare(results: Results) -> list[Compared]:
    """Work out every row of which there are figures of ours and of somebody else."""
    rows = (_compared(row, results.get(row.measure, {})) for row in ROWS)
    return [row for row in rows if row]


def _compared(row: Row, found: Mapping[str, list[Figures | None]]) -> Compared | None:
    values = {
        name: {turn: figures[row.figure] for turn, figures in enumerate(turns) if figures and row.figure in figures}
        for name, turns in found.items()
    }
    values = {name: kept for name, kept in values.items() if kept}
    medians = {name: statistics.median(kept.values()) for name, kept in values.items()}
    others = [name for name in medians if name not in {"ours", "loop by hand"}]
    if "ours" not in medians or len(medians) == 1:
        return None
    ratios = {}
    for name, kept in values.items():
        both = [
            _ratio(row.better, kept[turn], ours) for turn, ours in values["ours"].items() if ours and kept.get(turn)
        ]
        if both and name != "ours":
            ratios[name] = statistics.median(both)
    safe = [name for name in others if SYSTEMS[name].redelivers == "yes"]
    best = _best(row.better, others, medians)
    sides = {"best": best, "Celery": "Celery", "by hand": "loop by hand"}
    against = {side: ratios[name] for side, name in sides.items() if name in ratios}
    return Compared(
        row.label, row.unit, row.better, medians,
        {name: min(kept.values()) for name, kept in values.items()},
        {name: max(kept.values()) for name, kept in values.items()},
        best, _best(row.better, safe, medians), ratios, row.must, row.aim,
        reached(row.must, row.aim, medians["ours"], against),
    )  # fmt: skip


def _best(better: str, names: Iterable[str], medians: Mapping[str, float]) -> str:
    choose = max if better == "more" else min
    return choose(names, key=lambda name: medians[name], default="")


def _ratio(better: str, theirs: float, ours: float) -> float:
    above, below = (ours, theirs) if better == "more" else (theirs, ours)
    return above / below


def everybody(rows: list[Compared]) -> str:
    """One line for each system, one column for each row: medians."""
    short = {row.label: row.short for row in ROWS}
    head = ["", *(f"{short[row.label]} {row.unit}" for row in rows), "begins again what a killed worker held"]
    body = [
        [name, *(number(row.medians[name]) if name in row.medians else "-" for row in rows), system.redelivers]
        for name, system in SYSTEMS.items()
        if any(name in row.medians for row in rows)
    ]
    return aligned([head, *body], left={0, len(head) - 1})


def ours(rows: list[Compared]) -> str:
    """One line for each row: ours, and how many times better it is."""
    head = ["", "ours", "(lowest-highest)", "best peer", "", "best that begins again", "", "Celery", "", "by hand", ""]
    head += ["must", "aim", "reached"]
    body = []
    for row in rows:
        spread = f"({number(row.lowest['ours'])}-{number(row.highest['ours'])})"
        line = [row.label, number(row.medians["ours"], row.unit), spread]
        for name in (row.best, row.best_that_redelivers, "Celery", "loop by hand"):
            said = f"{name} {number(row.medians[name])}" if name in row.medians else "-"
            if name in {"Celery", "loop by hand"} and name in row.medians:
                said = number(row.medians[name])
            line += [said, f"{row.ratios[name]:.2f} x" if name in row.ratios else ""]
        body.append([*line, row.must, row.aim, row.reached])
    return aligned([head, *body], left={0, len(head) - 1})
