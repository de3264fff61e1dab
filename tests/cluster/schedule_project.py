# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`: each run notes the time for which it is."""

from onserver import procedure, process
from onserver.testing.ledger import note


def _note(name, *words):
    me = process()
    note(name, int(me.scheduled.timestamp()) if me.scheduled else "-", me.number, *words)


@procedure(schedule="30 2 * * *", timezone="Europe/Berlin", missed="all")
def at_half_past_two():
    _note("half past two")


@procedure(schedule="0 * * * *", timezone="Europe/Berlin", missed="all")
def hourly():
    _note("hourly")


@procedure(schedule="0 * * * *")
def hourly_once():
    _note("once")


@procedure(schedule="0 * * * *", missed="skip")
def hourly_skip():
    _note("skip")


@procedure(schedule="* * * * * *", missed="all")
def each_second():
    _note("second")


@procedure
def greet(whom, times=1):
    _note("greet", whom, times)
