# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`."""

import os
import time

from onserver import on_server_shutdown, on_server_startup, procedure, process, server_epoch, session
from onserver.crash import crash_point
from onserver.testing.ledger import note


def _note(word):
    me = process()
    note(word, me.number, me.deliveries, os.getpid(), time.monotonic())


@on_server_startup
def first():
    note("hook", "first", server_epoch().number, server_epoch().previous, process().deliveries)
    crash_point("mid_hook")
    note("hook ended", "first", server_epoch().number)


@on_server_startup
def second():
    with session().storage.use() as root:
        root.setdefault("started", 0)
        root["started"] += 1
        root.setdefault("x", {})
        root.setdefault("y", {})
        root.setdefault("nested", {"deep": {"count": 0}})
    note("hook", "second", server_epoch().number, server_epoch().previous, process().deliveries)


@on_server_shutdown
def last():
    note("shutdown", server_epoch().number)


@on_server_shutdown(when="drained")
def very_last():
    note("drained", server_epoch().number)


@procedure
def work(n, seconds=0.0):
    _note("started")
    crash_point("mid_run")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _note("alive")
        time.sleep(0.02)
    _note("ended")
    return n


@procedure(rerun=False)
def once(n):
    _note("started")
    crash_point("mid_run")
    _note("ended")
    return n


@procedure(when_cut="finish")
def stubborn(seconds):
    _note("started")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _note("alive")
        time.sleep(0.02)
    _note("ended")
    return "ended"


@procedure(batch=True)
def quick(n):
    _note("started")
    _note("ended")
    return n


@procedure
def transfer(amount):
    """Move an amount between two parts of one entry: their sum is always nothing."""
    _note("started")
    with session().storage.use("x") as x:
        x["left"] = x.get("left", 0) - amount
        crash_point("in_use")
        x["right"] = x.get("right", 0) + amount
    _note("ended")


@procedure
def increment(times=1):
    for _ in range(times):
        with session().storage.use("nested") as nested:
            nested["deep"]["count"] += 1


@procedure
def hold(seconds):
    with session().storage.use("y") as y:
        note("holding", process().number)
        time.sleep(seconds)
        y["last"] = process().number


@procedure
def read(key):
    return session().storage.get(key)


@procedure
def count(name):
    return session().storage.counter(name).add(1)


@procedure
def spawn(count):
    """Leave children behind that would outlive their executor."""
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            note("child", os.getpid())
            time.sleep(600)
            os._exit(0)
    _note("started")
    time.sleep(600)


@procedure
def where():
    return os.getpid()
