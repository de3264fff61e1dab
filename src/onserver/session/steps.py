"""One description of a conversation with Redis, two ways to hold it: blocking, and in a running loop.

`use` waits in line, commits, and waits again if it must. That is written once, as a generator that yields `Step`s and
is sent their answers; `drive` calls them in this thread, `adrive` in threads beside the loop. An error of a step is
raised in the generator, where it was yielded.
"""

import asyncio
import contextvars
import os
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

from onserver.checkpoint import acheckpoint, checkpoint
from onserver.errors import SyncInAsyncError

T = TypeVar("T")


class Step(NamedTuple):
    """Something to be done before the conversation goes on."""

    call: Callable[[], Any]
    #: True for a mere wait: it changes nothing, so nobody need wait for its end when the conversation is cut short.
    idle: bool = False
    #: The same for a running loop, where there is a way that needs no thread.
    acall: Callable[[], Awaitable[Any]] | None = None


Steps = Generator[Step, Any, T]

#: Heed what is asked of the process that runs here.
HEED: Final = Step(checkpoint, acall=acheckpoint)


class _Threads:
    """The threads beside the loop: few for trips, which are short; more for waits, which may last a beat."""

    def __init__(self) -> None:
        self.trips = ThreadPoolExecutor(4, "onserver-storage")
        self.waits = ThreadPoolExecutor(128, "onserver-in-line")


_threads = _Threads()


def _threads_in_child() -> None:
    _threads.__init__()  # type: ignore[misc]  # the parent's threads do not exist here


os.register_at_fork(after_in_child=_threads_in_child)


def refuse_in_loop(call: str, instead: str) -> None:
    """Refuse a call that may wait without bound where it would freeze a loop.

    Raises:
        SyncInAsyncError: ONS-2302, an event loop runs in this thread.
    """
    if in_loop():
        raise SyncInAsyncError(call, instead)


def in_loop() -> bool:
    """Answer whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def drive(steps: Steps[T]) -> T:
    """Hold the conversation in this thread."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        answer = error = None
        try:
            answer = step.call()
        except BaseException as raised:  # noqa: BLE001  # raised again in the generator, which knows what it means
            error = raised


async def adrive(steps: Steps[T]) -> T:
    """Hold the conversation without blocking the running loop."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        answer = error = None
        try:
            answer = await (_beside(step) if step.acall is None else step.acall())
        except BaseException as raised:  # noqa: BLE001  # raised again in the generator, which knows what it means
            error = raised


async def _beside(step: Step) -> Any:
    pool = _threads.waits if step.idle else _threads.trips
    here = contextvars.copy_context()  # a wait looks what is asked of the run that it belongs to
    running = asyncio.get_running_loop().run_in_executor(pool, here.run, step.call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        # A trip that is under way ends (it has a deadline) before the next may begin: an unlock that overtook its lock
        # would leave the lock taken.
        while not step.idle and not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        if running.done() and not running.cancelled():
            running.exception()  # looked at: nobody will ask again
        raise
