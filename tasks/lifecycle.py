"""The demo's hooks: fill the storage when the server starts, write the report when it has stopped working."""

import json
from pathlib import Path
from typing import Any

from onserver import on_server_shutdown, on_server_startup, session
from tasks.stations import STATIONS, Statistics, nothing_yet

#: The report is written into the project's folder.
REPORT = Path(__file__).resolve().parent.parent / "report.json"


@on_server_startup
def open_stations() -> None:
    """Put the stations into the storage, once per epoch; after a crash they are there and keep their figures."""
    with session().storage.use() as root:
        root.setdefault("stations", STATIONS)
        for station in STATIONS:
            root.setdefault(f"statistics/{station}", nothing_yet())


@on_server_shutdown(when="drained")
def write_report() -> None:
    """Write the report after the last process has ended; written aside and renamed, so that it is whole or absent."""
    storage = session().storage
    report = {
        station: figures(name, storage.read(f"statistics/{station}", Statistics))
        for station, name in storage["stations"].items()
    }
    unfinished = REPORT.with_suffix(".part")
    unfinished.write_text(json.dumps({"stations": report, "runs": int(storage.counter("runs"))}, indent=2) + "\n")
    unfinished.replace(REPORT)


def figures(name: str, statistics: Statistics) -> dict[str, Any]:
    """Turn running statistics into what people read; decimals become text, so that JSON keeps them exact."""
    readings = statistics["readings"]
    return {
        "name": name,
        "readings": readings,
        "mean": str(statistics["total"] / readings) if readings else None,
        "minimum": str(statistics["minimum"]),
        "maximum": str(statistics["maximum"]),
    }
