"""What the demo keeps of a station: the shapes of its storage entries, and the arithmetic on them."""

from decimal import Decimal
from typing import TypedDict

#: Key of a station in the storage, and its name for people.
STATIONS = {"sf": "San Francisco", "seattle": "Seattle"}

#: One hourly reading: station, local time in ISO 8601, degrees Fahrenheit.
Reading = tuple[str, str, Decimal]


class Statistics(TypedDict):
    """Running statistics of one station, exact: temperatures are decimals, their mean is taken at the end."""

    readings: int
    total: Decimal
    minimum: Decimal | None
    maximum: Decimal | None
    batches: int  # a set of batch numbers, one bit each: a batch that is run again finds itself here


def nothing_yet() -> Statistics:
    """Return the statistics of a station that has sent nothing."""
    return {"readings": 0, "total": Decimal(0), "minimum": None, "maximum": None, "batches": 0}


def take_in(statistics: Statistics, batch: int, temperatures: list[Decimal]) -> bool:
    """Add one batch to the statistics, in place, unless it is in them already.

    Returns:
        False when this batch had been counted before: an earlier run of it committed and was killed before it could
        say so. The mark is written with the figures in one `use` block, so neither can be there without the other.
    """
    if statistics["batches"] >> batch & 1:
        return False
    known = [extreme for extreme in (statistics["minimum"], statistics["maximum"]) if extreme is not None]
    statistics["batches"] |= 1 << batch
    statistics["readings"] += len(temperatures)
    statistics["total"] += sum(temperatures, Decimal(0))
    statistics["minimum"] = min(temperatures + known)
    statistics["maximum"] = max(temperatures + known)
    return True
