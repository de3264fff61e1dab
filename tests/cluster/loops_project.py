# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc"
"""Written into the project of a test's cluster as `tasks/jobs.py`: coroutines, beside a plain procedure."""

import asyncio
import os
import sys
import time

from onserver import Limit, Retry, caller, execute_on_server, procedure, process, session
from onserver.crash import crash_point
from onserver.errors import SyncInAsyncError
from onserver.testing.ledger import note


def _note(word):
    me = process()
    note(word, me.number, me.deliveries, os.getpid(), time.monotonic())


async def _spend(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _note("alive")
        await asyncio.sleep(0.02)


@procedure
def plain(n):
    _note("started")
    return n


@procedure
async def work(n, seconds=0.0):
    _note("started")
    crash_point("mid_run")
    try:
        await _spend(seconds)
    finally:
        _note("cleaned")
    _note("ended")
    return n


@procedure(rerun=False)
async def once(seconds):
    _note("started")
    await _spend(seconds)
    return "once"


@procedure(when_cut="finish")
async def stubborn(seconds):
    _note("started")
    await _spend(seconds)
    _note("ended")
    return "ended"


@procedure
async def deaf(seconds):
    """Swallows its cancellation."""
    _note("started")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            _note("swallowed")
    return "ended"


@procedure
async def kills(n):
    """Kills its executor in its own step; those beside it only wait."""
    _note("started")
    await asyncio.sleep(0.2)
    os.kill(os.getpid(), 9)


@procedure(pause="checkpoint")
async def delicate(seconds):
    _note("started")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _note("alive")
        await asyncio.sleep(0.02)
        await process().acheckpoint()
    return "ended"


@procedure(pause="checkpoint")
async def delicate_waits(seconds):
    _note("started")
    return await work.start(1, seconds)


@procedure
async def ticks(n):
    """What it notes is the same, whatever happens on the way."""
    _note("started")
    for i in range(n):
        note("tick", process().number, i)
        await asyncio.sleep(0.02)
    return n


@procedure
async def uses(seconds):
    _note("started")
    async with session().storage.use("held") as held:
        _note("holding")
        held["by"] = process().number
        await _spend(seconds)
    _note("left")
    await asyncio.sleep(0.01)
    _note("ended")
    return "ended"


@procedure
async def transfer(amount):
    """Move an amount between two parts of one entry: their sum is always nothing."""
    _note("started")
    async with session().storage.use("x") as x:
        x["left"] = x.get("left", 0) - amount
        await asyncio.sleep(0)
        x["right"] = x.get("right", 0) + amount
    _note("ended")


@procedure
async def stands(n):
    _note("started")
    async with session().storage.use("held") as held:
        held["then"] = process().number
    return n


@procedure
async def waits(seconds):
    _note("started")
    other = await work.astart(7, seconds)
    return await other


@procedure
async def sleeps(seconds):
    _note("started")
    return await process().asleep(seconds)


@procedure
async def nests(depth):
    """Each waits for the next one: more of them than there are slots."""
    _note("started")
    return depth if depth == 0 else 1 + await execute_on_server(nests, depth - 1)


@procedure
async def everybody():
    """All that is known of a run, in tasks and threads that it starts."""

    def here():
        return process().number, session().user_name, caller().user

    async def task():
        await asyncio.sleep(0)
        return here()

    found = [here(), *await asyncio.gather(task(), task()), await asyncio.to_thread(here)]
    return len(set(found)) == 1 and found[0][0] == process().number


@procedure
async def refused():
    """Every blocking wait is refused by name, and one trip is not."""
    other = work.start(1, 0.0)
    told = []
    for call in (other.result, other.wait, lambda: process().sleep(1), session().storage.use("held").__enter__):
        try:
            call()
        except SyncInAsyncError as error:
            told.append(str(error))
    session().storage.counter("trips").add(1)
    return [told, await other, other.result(), session().storage.counter("trips").value]


@procedure
async def leaves_behind():
    """Starts a task and does not await it."""

    async def beside():
        note("beside", process().number)
        try:
            await asyncio.sleep(600)
        finally:
            note("beside ended", process().number)

    task = asyncio.create_task(beside())
    await asyncio.sleep(0.01)
    return not task.done()


@procedure
async def exits():
    """Leaves by `SystemExit`, in a task as well."""

    async def leave():
        raise SystemExit(3)

    try:
        await asyncio.create_task(leave())
    except RuntimeError as error:
        note("task", error)
    sys.exit(4)


@procedure
async def blocks(seconds):
    _note("started")
    time.sleep(seconds)  # noqa: ASYNC251  # it is to be named for this
    return "slept"


@procedure
async def says(word):
    for i in range(20):
        print(f"{word} {i}")
        print(word, end=" ")
        await asyncio.sleep(0)
        print("half")


@procedure(timeout=1.0, grace=1.0)
async def limited(seconds, stubborn=False):
    _note("started")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            _note("cancelled")
            if not stubborn:
                raise
    return "ended"


@procedure(retry=Retry(OSError, delays=[0.1, 0.1]))
async def flaky(times):
    _note("started")
    await asyncio.sleep(0)
    if process().attempt <= times:
        raise OSError(f"attempt {process().attempt}")
    return process().attempt


@procedure(limit=Limit(2))
async def few(seconds):
    _note("started")
    await _spend(seconds)
    _note("ended")


@procedure
async def works_off(n):
    note("call", process().number, n)
    await asyncio.sleep(0.01)
    note("call ended", process().number, n)


@procedure
async def where():
    return os.getpid()
