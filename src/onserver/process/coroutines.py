"""Where a coroutine runs that was called by code which is no coroutine: Celery's tracer, a test that runs inline.

In an async executor that is the one loop of the program: the coroutine goes there, with the context of its caller, and
the caller's thread waits. Everywhere else it is a loop of this thread, which is made by the first coroutine and kept
for the next ones, so that clients and pools of connections that are bound to a loop go on from one to the other;
Celery's prefork and solo pools run in one thread, so they have one for each of their processes.

A kept loop runs one coroutine at a time. What that has started and not awaited is cancelled when it ends, and an
exception that lands in the loop itself, as those of Celery's time limits may, cancels the coroutine before it goes on.
"""

import asyncio
import contextvars
import os
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from onserver.errors import SyncInAsyncError
from onserver.session.steps import in_loop

T = TypeVar("T")


class Cancelled(Exception):
    """A coroutine was cancelled: to code that is no coroutine it is an error like any other."""

    def __init__(self, text: str = "the coroutine was cancelled") -> None:
        super().__init__(text)


class _Kept:
    """The loop of one thread; closed when the thread ends."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.loop = self.runner.get_loop()

    def __del__(self) -> None:
        # in a circle of garbage the loop may have been collected, and closed, before this
        if not (sys.is_finalizing() or self.loop.is_closed()):
            self.runner.close()


class _Loops:
    """The loops that coroutines can be sent to from here."""

    def __init__(self) -> None:
        self.of_program: asyncio.AbstractEventLoop | None = None
        self.of_thread = threading.local()
        #: By thread, what its loop runs.
        self.tasks: dict[int, asyncio.Task[Any]] = {}


_loops = _Loops()
#: Loops of a parent, whose selectors a child must not close.
_inherited: list[_Loops] = []


def _forget_in_child() -> None:
    global _loops  # the parent's loops run in its threads
    _inherited.append(_loops)
    _loops = _Loops()


os.register_at_fork(after_in_child=_forget_in_child)


def serve(loop: asyncio.AbstractEventLoop | None) -> None:
    """Let this loop run what threads of this program send; None: let each thread have its own."""
    _loops.of_program = loop


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in the context of the caller, and return what it returns.

    Raises:
        Cancelled: it was cancelled.
        SyncInAsyncError: ONS-2302, in a running event loop.
    """
    if in_loop():
        coroutine.close()
        raise SyncInAsyncError("running a coroutine to its end", "await it")
    loop = _loops.of_program
    if loop is not None:
        return _sent(loop, coroutine)
    kept: _Kept | None = getattr(_loops.of_thread, "kept", None)
    if kept is None:
        kept = _loops.of_thread.kept = _Kept()
    return _driven(kept.loop, coroutine)


def cancel(thread: int) -> bool:
    """Cancel what the loop of a thread runs; False where it runs nothing."""
    task = _loops.tasks.get(thread)
    if task is None:
        return False
    with suppress(RuntimeError):  # its loop has just ended
        task.get_loop().call_soon_threadsafe(task.cancel)
    return True


def _sent(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    context, ended = contextvars.copy_context(), Future[T]()

    def end(task: asyncio.Task[T]) -> None:
        error = Cancelled() if task.cancelled() else task.exception()
        if error is None:
            ended.set_result(task.result())
        else:
            ended.set_exception(error)

    def begin() -> None:
        loop.create_task(coroutine, context=context).add_done_callback(end)

    loop.call_soon_threadsafe(begin)
    return ended.result()


def _driven(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    task = loop.create_task(coroutine, context=contextvars.copy_context())
    _loops.tasks[threading.get_ident()] = task
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError as error:
        raise Cancelled from error
    finally:
        del _loops.tasks[threading.get_ident()]
        left = [one for one in asyncio.all_tasks(loop) if not one.done()]
        for one in left:
            one.cancel()
        if left:
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
