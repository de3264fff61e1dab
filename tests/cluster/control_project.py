# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`: for remote control and events."""

from celery import shared_task

from onserver import procedure, session
from onserver.testing.wait import wait_for


@procedure
def add(x, y):
    return x + y


@procedure(redact=True)
def secret(word):
    return len(word)


@procedure
def fails():
    raise ZeroDivisionError("on purpose")


@procedure
def hold(name):
    """Run until somebody sets `name` in the storage."""
    session().storage.counter(f"{name}:begun").add(1)
    wait_for(lambda: name in session().storage, 60)
    return name


@shared_task(name="plain_add")
def plain_add(x, y):
    return x + y


@shared_task(name="flaky", bind=True, max_retries=3)
def flaky(self):
    if self.request.retries < 1:
        raise self.retry(countdown=0.1)
    return "at last"


@shared_task(name="refuses")
def refuses():
    raise ValueError("no")
