"""The demo's procedures: take readings in, and say what is known so far."""

from collections import defaultdict
from decimal import Decimal

from onserver import procedure, session
from tasks.stations import Reading, Statistics, take_in


@procedure
def record(batch: int, readings: list[Reading]) -> int:
    """Count one batch of readings into the statistics that all workers share.

    Args:
        batch: The batch's number, from 0; the same number is counted once, however often it is run.
        readings: Station, local time and degrees Fahrenheit of each reading.

    Returns:
        How many readings were new.
    """
    storage = session().storage
    storage.counter("runs").add(1)
    new = 0
    for station, temperatures in by_station(readings).items():
        with storage.use(f"statistics/{station}", Statistics) as statistics:
            if take_in(statistics, batch, temperatures):
                new += len(temperatures)
    return new


@procedure
def progress() -> dict[str, int]:
    """Return how many readings of each station have been counted; reading takes no lock."""
    storage = session().storage
    return {station: storage[f"statistics/{station}"]["readings"] for station in storage["stations"]}


def by_station(readings: list[Reading]) -> dict[str, list[Decimal]]:
    """Group the temperatures of a batch by station."""
    grouped: dict[str, list[Decimal]] = defaultdict(list)
    for station, _time, temperature in readings:
        grouped[station].append(temperature)
    return dict(grouped)
