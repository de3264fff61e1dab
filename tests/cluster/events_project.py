# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`: hooks note what they hear, where, in which order."""

import os
import time

from onserver import on_system_event, procedure, process, system_event
from onserver.testing.ledger import note


def _heard(place, event):
    note(place, event.name, event.code, event.member, process().number, event.payload)


@on_system_event
def here(event):
    _heard("here", event)


@on_system_event(run_on="once")
def once(event):
    _heard("once", event)


@on_system_event(run_on="every")
async def every(event):
    _heard("every", event)


@procedure
def work(value, seconds=0.0):
    note("started", value, os.getpid())
    time.sleep(seconds)
    return value


@procedure
def fail(text):
    raise LookupError(text)


@procedure(redact=True)
def fail_in_secret(text):
    raise LookupError(text)


@procedure(dead_letter=True)
def die(text):
    raise LookupError(text)


@procedure(rerun=False)
def be_killed():
    os.kill(os.getpid(), 9)


@procedure
def tell(name, count=1):
    for n in range(count):
        system_event(name, n=n)


@procedure(queue="nobody")
def of_no_queue():
    raise NotImplementedError
