"""A project with a hook of each kind that ends, raises, hangs, is deaf to its end, or kills its runner, as it is told.

Workers tell of events by themselves, so that what is counted is named in the event.
"""

from __future__ import annotations

#: The behaviour is in the argument where a hook has one, else in a file of the test's folder.
TASKS = '''
import os
import threading
from datetime import datetime, timezone

from onserver import (
    on_backup_shutdown, on_backup_startup, on_server_close_connection, on_server_open_connection, on_server_shutdown,
    on_server_startup, on_system_event, procedure, process,
)
from onserver.testing.ledger import note

BEHAVIOURS = ("ends", "raises", "hangs", "killed", "two")


def behave(kind, how):
    note("ran", kind, how, process().deliveries, os.getpid())
    if how == "raises":
        raise ValueError("no rates today")
    if how == "hangs":
        while True:
            threading.Event().wait(0.1)
    if how == "killed" and process().deliveries == 1:
        os.kill(os.getpid(), 9)


def told(kind):
    """Of a hook without argument: only the one that the test names misbehaves."""
    wanted, _, how = os.environ.get("BEHAVES", "").partition("=")
    behave(kind, how if wanted == kind else "ends")


@on_server_startup(timeout=0.5)
def startup():
    told("startup")


@on_server_startup(after=startup)
async def later():
    note("ran", "later", "ends")


@on_server_startup(before=startup)
def first():
    note("ran", "first", "ends")


@on_server_shutdown(timeout=0.5)
def shutdown():
    told("shutdown")


@on_server_shutdown(when="drained", timeout=0.5)
def drained():
    told("drained")


@on_backup_startup(timeout=0.5)
def guard(backup):
    behave("on_backup_startup", backup.label)
    return backup.veto(201, "month-end close") if backup.number == 9 else None


@on_backup_shutdown(timeout=0.5)
def after(result):
    behave("on_backup_shutdown", result.reason)


@on_system_event(timeout=0.5)
def heard(event):
    behave("on_system_event", event.name)


@on_server_open_connection(timeout=0.5)
def admit(connection):
    behave("on_server_open_connection", BEHAVIOURS[connection.user])


@on_server_close_connection(timeout=0.5)
def left(connection):
    behave("on_server_close_connection", BEHAVIOURS[connection.user])


@on_system_event(timeout=0.5, run_on="once")
def deaf(event):
    while event.name == "deaf":
        try:
            threading.Event().wait(0.1)
        except BaseException:
            continue


@on_system_event(run_on="once")
def patient(event):
    while event.name == "patient":
        note("patient", process().number)
        threading.Event().wait(0.1)


@procedure
def work(n):
    return n
'''
