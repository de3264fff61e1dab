"""The procedures of the benchmarks: they do nothing but count."""

from benchmarks.counter import tick
from onserver import procedure


@procedure
def noop(number: int) -> int:
    """Count one run."""
    tick()
    return number


@procedure(batch=True)
def noop_batch(number: int) -> int:
    """Count one run, claimed with others."""
    tick()
    return number
