"""Put what was measured on `docs/performance.md`, with its images: `python -m benchmarks.page FILE.json …`.

Each file is of a run of `benchmarks`, `benchmarks.peers` or `benchmarks.curves`, which it says itself. On the page its
tables stand between `<!-- KIND -->` and `<!-- end -->`, with the conditions of the run above them; what is written
around them is left alone, and is to be read again by whoever does this.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import charts
from benchmarks.peers.systems import SYSTEMS
from benchmarks.report import number, times

_ROOT = Path(__file__).resolve().parent.parent
PAGE = _ROOT / "docs" / "performance.md"
IMAGES = {"bench": "bench.png", "peers": "peers.png", "curves": "growth.png"}


def main(files: list[Path]) -> int:
    """Write the tables and the images of these runs."""
    text = PAGE.read_text(encoding="utf-8")
    for file in files:
        run = json.loads(file.read_text())
        kind = run["kind"]
        tables = {"bench": bench, "peers": peers, "curves": curves}[kind](run)
        text = placed(text, kind, f"{conditions(run['facts'])}\n\n{tables}")
        for drawn in charts.drawn(file):
            image = PAGE.parent / "images" / IMAGES[kind]
            image.parent.mkdir(exist_ok=True)
            Path(drawn).replace(image)
    PAGE.write_text(text, encoding="utf-8")
    return 0


def placed(text: str, kind: str, tables: str) -> str:
    """Return the page with these tables in their place.

    Raises:
        ValueError: it has no place for them.
    """
    found = re.compile(rf"(<!-- {kind} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not found.search(text):
        raise ValueError(f"{PAGE} has no place for the tables of {kind}")
    return found.sub(lambda match: f"{match[1]}\n{tables}\n\n{match[2]}", text, count=1)


def conditions(facts: dict[str, Any]) -> str:
    """Say in a line how and where it was measured."""
    many = {1: "one repetition", 2: "two repetitions", 3: "three repetitions"}
    said = [
        str(facts.get("at", ""))[:10],
        many.get(facts["repetitions"], f"{facts['repetitions']} repetitions"),
        f"{facts['cpus']} cores",
        f"Python {facts['python']}",
        facts["engine"].partition(" (")[0],
    ]
    if "load" in facts:
        one, _, fifteen = facts["load"]
        said.append(f"load of the machine {one} at the end, {fifteen} over its last quarter of an hour")
    versions = {**facts.get("versions", {})}
    own = {name: next(iter(found.items())) for name, found in versions.items() if name not in {"ours", "loop by hand"}}
    said += sorted({f"{package} {version}" for package, version in own.values()})
    if "celery" in facts:
        said.append(f"celery {facts['celery']}")
    return ", ".join(filter(None, said)) + "."


def bench(run: dict[str, Any]) -> str:
    """The table of ours and stock Celery."""
    head = ["", "beside it", "ours", "from – to", "better by", "must", "aim", "reached"]
    return markdown(
        [
            head,
            *(
                [
                    row["label"].strip(),
                    f"{number(row['stock'], row['unit'])} ({row['against']})",
                    number(row["ours"], row["unit"]),
                    f"{number(row['lowest'])} – {number(row['highest'])}",
                    times(row["ratio"]),
                    row["must"],
                    row["aim"],
                    row["reached"],
                ]
                for row in run["rows"]
            ),
        ]
    )


def peers(run: dict[str, Any]) -> str:
    """Two tables: everybody's figures, and ours against the best, Celery and the loop by hand."""
    rows = run["rows"]
    everybody = [
        ["", *(f"{row['label'].strip()} ({row['unit']})" for row in rows), "begins again what a killed worker held"]
    ]
    for name in run["facts"]["versions"]:
        figures = [number(row["medians"][name]) if name in row["medians"] else "" for row in rows]
        everybody.append([name, *figures, SYSTEMS[name].redelivers])
    ours = [
        ["", "ours", "from – to", "best peer", "best that begins again", "Celery", "by hand", "must", "aim", "reached"]
    ]
    for row in rows:
        against = [(row["best"], True), (row["best_that_redelivers"], True), ("Celery", False), ("loop by hand", False)]
        ours.append(
            [
                row["label"].strip(),
                number(row["medians"]["ours"], row["unit"]),
                f"{number(row['lowest']['ours'])} – {number(row['highest']['ours'])}",
                *(_times(row, name, named=named) for name, named in against),
                row["must"],
                row["aim"],
                row["reached"],
            ]
        )
    return f"{markdown(everybody)}\n\nTimes better than:\n\n{markdown(ours)}"


def _times(row: dict[str, Any], name: str, *, named: bool) -> str:
    if name not in row["ratios"]:
        return ""
    return times(row["ratios"][name]) + (f" ({name})" if named else "")


def curves(run: dict[str, Any]) -> str:
    """A line for each size, a column for each step."""
    rows: list[list[str]] = []
    for title, panel in run["curves"].items():
        rows = rows or [["µs, ps in ms", *panel["steps"]]]
        for index, size in enumerate(panel["sizes"]):
            rows.append([f"{size:,} {title}", *(number(costs[index]) for costs in panel["steps"].values())])
        rows.append(["*last to first*", *(times(costs[-1] / costs[0]) for costs in panel["steps"].values())])
    return markdown(rows)


def markdown(rows: list[list[str]]) -> str:
    """Return rows as a table, the first of which is its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])


if __name__ == "__main__":
    sys.exit(main([Path(word) for word in sys.argv[1:]]))
