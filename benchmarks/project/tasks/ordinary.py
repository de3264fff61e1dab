"""An ordinary Celery task; only the measurement that is about it has this file."""

from celery import shared_task

from benchmarks.counter import tick


@shared_task(name="ordinary")
def ordinary(number: int) -> int:
    """Count one run."""
    tick()
    return number
