# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`: `orders_project.py` in coroutines."""

import asyncio
import os
import time

from onserver import procedure, process, session
from onserver.testing.ledger import note


def _note(word):
    me = process()
    note(word, me.number, me.deliveries, time.monotonic())


async def _spin(seconds, look):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look:
            await process().acheckpoint()
        await asyncio.sleep(0.01)


@procedure
async def heeds(seconds):
    """Looks what is asked of it at checkpoints."""
    _note("began")
    await _spin(seconds, look=True)
    return "ended"


@procedure
async def deaf(seconds):
    """Has no checkpoint."""
    _note("began")
    await _spin(seconds, look=False)
    return "ended"


@procedure
async def stubborn(seconds):
    """Swallows every cancellation."""
    _note("began")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await _spin(end - time.monotonic(), look=False)
        except BaseException as error:
            _note(type(error).__name__)
    return "ended"


@procedure(pause="checkpoint")
async def delicate(seconds):
    """Must not be held at any await."""
    _note("began")
    await _spin(seconds, look=True)
    return "ended"


@procedure
async def stands(seconds):
    """Stands in line for a lock."""
    _note("began")
    async with session().storage.use("held") as held:
        held["then"] = process().number
    return seconds


@procedure
async def quick(n):
    _note("began")
    return n


@procedure(dead_letter=True)
async def is_dead():
    """Ends dead-lettered."""
    raise ValueError("dead")


@procedure
async def is_failed():
    """Ends failed."""
    raise ValueError("failed")


@procedure(rerun=False, queue="mortal")
def is_lost():
    """Takes its executor with it."""
    os.kill(os.getpid(), 9)
