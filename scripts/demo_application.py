"""The demo's application: a program of its own, which reads the files and has the server count what is in them.

It belongs to no server process and shares no memory with one; all it knows is the project (ONSERVER_PROJECT, or the
folder that it is started in) and the procedure that it calls.
"""

import csv
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from onserver import as_completed, execute_many
from tasks.readings import record
from tasks.stations import STATIONS, Reading

#: How many readings travel in one process.
BATCH = 25


def read(station: str) -> Iterator[Reading]:
    """Read the hourly temperatures of a station out of the installed package `vega_datasets`."""
    path = Path(str(distribution("vega_datasets").locate_file(f"vega_datasets/_data/{station}-temps.csv")))
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            hour = datetime.fromisoformat(row["date"].replace("/", "-"))
            yield station, hour.isoformat(), Decimal(row["temp"])


def main() -> None:
    """Send every reading of every station, in the order of time, and wait until all are counted."""
    readings = sorted((reading for station in STATIONS for reading in read(station)), key=lambda reading: reading[1])
    batches = [readings[start : start + BATCH] for start in range(0, len(readings), BATCH)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bar:
        line = bar.add_task("counting readings", total=len(readings))
        processes = execute_many(record, enumerate(batches))
        sizes = {process.number: len(batch) for process, batch in zip(processes, batches, strict=True)}
        for process in as_completed(processes):
            process.result()
            bar.advance(line, sizes[process.number])


if __name__ == "__main__":
    main()
