"""Draw a run: `python -m benchmarks.draw FILE.json`, under the Python that has matplotlib (see `charts`).

Of a run of `benchmarks`: how many times better ours is, row by row; of one of `benchmarks.peers`: a panel for each row,
a bar for each system; of one of `benchmarks.curves`: what each step costs as more is stored.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt  # the drawing surface is chosen before

_OURS, _CELERY, _HAND, _REST = "#1a6fb5", "#b5541a", "#888888", "#b9c9d6"
_COLOURS = {"ours": _OURS, "Celery": _CELERY, "loop by hand": _HAND}
_PANELS = 3


def peers(run: Any, to: Path) -> list[Path]:
    """A panel for each row, the best on top."""
    rows = run["rows"]
    lines = -(-len(rows) // _PANELS)
    figure, grid = plt.subplots(lines, _PANELS, figsize=(15, 3.1 * lines), layout="constrained", squeeze=False)
    for axes in grid.flat[len(rows) :]:
        axes.axis("off")
    for axes, row in zip(grid.flat, rows, strict=False):
        ranked = sorted(row["medians"].items(), key=lambda pair: pair[1], reverse=row["better"] == "less")
        names, values = [name for name, _ in ranked], [value for _, value in ranked]
        bars = axes.barh(names, values, color=[_COLOURS.get(name, _REST) for name in names])
        low = [max(0.0, value - row["lowest"][name]) for name, value in ranked]
        high = [max(0.0, row["highest"][name] - value) for name, value in ranked]
        axes.errorbar(values, range(len(names)), xerr=[low, high], fmt="none", ecolor="#333333", elinewidth=0.8)
        axes.bar_label(bars, [_said(value) for value in values], padding=4, fontsize=8)
        axes.margins(x=0.16)
        axes.set_title(f"{row['label'].strip()} ({row['unit']}; {row['better']} is better)", fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return [_saved(figure, to)]


def ratios(run: Any, to: Path) -> list[Path]:
    """How many times better ours is than what it is compared with."""
    rows = run["rows"][::-1]
    figure, axes = plt.subplots(figsize=(10, 0.28 * len(rows) + 1), layout="constrained")
    values = [row["ratio"] for row in rows]
    labels = [f"{row['label'].strip()}, against {row['against']}" for row in rows]
    bars = axes.barh(range(len(rows)), values, color=[_OURS if value >= 1 else _CELERY for value in values])
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.bar_label(bars, [f"{value:.2f} x" for value in values], padding=4, fontsize=8)
    axes.set_xscale("log")
    axes.axvline(1, color="#333333", linewidth=0.8)
    axes.margins(x=0.12, y=0.01)
    axes.set_title("times better than what stands beside it (logarithmic)", fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return [_saved(figure, to)]


def curves(run: Any, to: Path) -> list[Path]:
    """A panel for each thing that there may be many of, a line for each step; 1 is what it costs with the fewest."""
    panels = run["curves"]
    figure, grid = plt.subplots(1, len(panels), figsize=(5 * len(panels), 4.2), layout="constrained", squeeze=False)
    for axes, (title, panel) in zip(grid.flat, panels.items(), strict=True):
        for name, values in panel["steps"].items():
            axes.plot(panel["sizes"], [value / values[0] for value in values], marker="o", markersize=4, label=name)
        axes.axhline(1.5, color=_CELERY, linewidth=0.8, linestyle="--")
        axes.set_xscale("log")
        axes.set_ylim(0, max(2.0, *(value / values[0] for values in panel["steps"].values() for value in values)) + 0.2)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylabel("times the cost with the fewest", fontsize=8)
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return [_saved(figure, to)]


def _said(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _saved(figure: Any, to: Path) -> Path:
    figure.savefig(to, dpi=100)
    plt.close(figure)
    return to


def main(found: Path) -> None:
    """Draw what is in there."""
    run = json.loads(found.read_text())
    draw: Callable[[Any, Path], list[Path]] = {"peers": peers, "curves": curves}.get(run["kind"], ratios)
    for path in draw(run, found.with_suffix(".png")):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
