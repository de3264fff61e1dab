# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`: procedures and ordinary Celery tasks."""

import time

from celery import shared_task

from onserver import Retry, on_server_shutdown, on_server_startup, procedure, process, session
from onserver.testing.ledger import note


@on_server_startup
def opened():
    note("hook", "opened")


@on_server_shutdown
def closed():
    note("hook", "closed")


@procedure
def add(x, y):
    return x + y


@procedure
def total(values):
    return sum(values)


@shared_task(name="plain_add")
def plain_add(x, y):
    return x + y


@shared_task(name="plain_total")
def plain_total(values):
    return sum(values)


@shared_task(name="held_add")
def held_add(x, y, opened):
    """Add once the storage says so, or after a minute."""
    note("held")
    for _ in range(600):
        if session().storage.get(opened):
            break
        time.sleep(0.1)
    return x + y


@shared_task(name="where")
def where():
    return [session().id, process().number]


@shared_task(name="flaky", bind=True, max_retries=3)
def flaky(self, name):
    if session().storage.counter(name).add(1) < 3:
        raise self.retry(countdown=0.3)
    return self.request.retries


@procedure(retry=Retry(OSError, times=3, delay=0.2, jitter=0), dead_letter=True)
def tried(attempts):
    """Fail until so many were made, and say which this is."""
    if process().attempt < attempts:
        raise OSError(f"attempt {process().attempt}")
    return process().attempt


@shared_task(name="silent_flaky", bind=True, ignore_result=True, autoretry_for=(OSError,), default_retry_delay=0.2)
def silent_flaky(self):
    if self.request.retries < 1:
        raise OSError("once")


@shared_task(name="fails")
def fails():
    raise ZeroDivisionError("on purpose")


@shared_task(name="silent", ignore_result=True)
def silent(key):
    session().storage.counter(key).add(1)
