# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`."""

import asyncio  # noqa: F401  # for what a test adds
import os
import time

from onserver import Limit, procedure, process
from onserver.testing.ledger import note


def _note(word, key):
    me = process()
    note(word, me.number, me.deliveries, os.getpid(), time.monotonic(), key)


def _run(key, seconds):
    _note("started", key)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)
        _note("alive", key)
    _note("ended", key)


@procedure(limit=Limit(3))
def three(n, seconds=0.05):
    _run("three", seconds)
    return n


@procedure(limit=Limit(2, key="customer"))
def each(customer, seconds=0.05):
    _run(customer, seconds)
    return customer


@procedure(limit=Limit(1, key=lambda order, customer: f"{customer}/{order % 2}"))
def computed(order, customer="nobody", seconds=0.05):
    _run(f"{customer}/{order % 2}", seconds)
    return order


@procedure(limit=Limit(rate=10, per=1.5))
def often(n):
    return n


@procedure(limit=Limit(2))
def nested(depth):
    _note("nested", depth)
    return nested.start(depth - 1).result() + 1 if depth else 0


@procedure
def free(n):
    return n
