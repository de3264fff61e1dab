# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`: what is aborted, paused and resumed."""

import os
import time

from onserver import execute_on_server, procedure, process, session
from onserver.testing.ledger import note


def _note(word):
    me = process()
    note(word, me.number, me.deliveries, time.monotonic())


def _spin(seconds, look):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _note("alive")
        if look:
            process().checkpoint()
        time.sleep(0.01)


@procedure
def heeds(seconds):
    """Looks what is asked of it at checkpoints."""
    _note("began")
    try:
        _spin(seconds, look=True)
    finally:
        _note("cleaned")
    _note("ended")
    return "ended"


@procedure
def deaf(seconds):
    """Has no checkpoint."""
    _note("began")
    try:
        _spin(seconds, look=False)
    finally:
        _note("cleaned")
    _note("ended")
    return "ended"


@procedure
def stubborn(seconds):
    """Swallows every interruption."""
    _note("began")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            _spin(end - time.monotonic(), look=False)
        except BaseException as error:
            _note(type(error).__name__)
    return "ended"


@procedure
def wraps(seconds):
    """Turns what interrupts it into an error of its own."""
    _note("began")
    try:
        _spin(seconds, look=True)
    except BaseException as error:
        raise ValueError("cut short") from error


@procedure(pause="checkpoint")
def delicate(seconds):
    """Must not be frozen where it is."""
    _note("began")
    _spin(seconds, look=True)
    _note("ended")
    return "ended"


@procedure
def uses(seconds):
    """Has a lock all the time."""
    with session().storage.use("held") as held:
        _note("began")
        held["by"] = process().number
        _spin(seconds, look=True)
    _note("ended")
    return "ended"


@procedure
def stands(seconds):
    """Stands in line for a lock that `uses` has."""
    _note("began")
    with session().storage.use("held") as held:
        held["then"] = process().number
    _note("ended")
    return seconds


@procedure
def waits(seconds):
    """Waits for another process."""
    other = execute_on_server(heeds, seconds)
    _note("began")
    return other.result()


@procedure
def count(n):
    """What comes out is the same, whatever happens on the way."""
    _note("began")
    total = 0
    for i in range(n):
        total = (total * 31 + i) % 1_000_000_007
        if i % 1000 == 0:
            time.sleep(0.001)
    return total


@procedure
def quick(n):
    _note("began")
    _note("ended")
    return n


@procedure(dead_letter=True)
def is_dead():
    """Ends dead-lettered."""
    raise ValueError("dead")


@procedure
def is_failed():
    """Ends failed."""
    raise ValueError("failed")


@procedure(rerun=False, queue="mortal")
def is_lost():
    """Takes its executor with it."""
    os.kill(os.getpid(), 9)
