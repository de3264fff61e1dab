"""The tasks of the clusters in these tests: `tasks/jobs.py` of their project, and what they look for in the ledger.

Bodies write to a ledger outside the system: a line when they start and one when they end, by the machine's monotonic
clock, so that runs of one process that overlap are found whatever the system itself believes.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from onserver import procedure
from onserver.testing.ledger import Ledger

TASKS = (Path(__file__).parent / "jobs_project.py").read_text()


@procedure(name="jobs.work")
def work(n: int, seconds: float = 0.0) -> int:
    """Stands for the project's procedure of that name, which this program does not load: for its options."""
    raise NotImplementedError(n, seconds)


def runs(ledger: Ledger) -> dict[int, list[tuple[float, float]]]:
    """Each process' runs, as start and end (or the last sign of life) in seconds."""
    found: dict[int, dict[tuple[str, str], list[float]]] = defaultdict(dict)
    for words in ledger:
        if words[0] in ("started", "alive", "ended"):
            number, delivery, pid, at = int(words[1]), words[2], words[3], float(words[4])
            span = found[number].setdefault((delivery, pid), [at, at])
            span[1] = max(span[1], at)
    return {number: sorted((span[0], span[1]) for span in spans.values()) for number, spans in found.items()}


def overlaps(ledger: Ledger) -> list[int]:
    """Processes of which two runs lay over one another."""
    return [
        number
        for number, spans in runs(ledger).items()
        if any(later[0] < earlier[1] for earlier, later in pairwise(spans))
    ]
