"""Waiting for many processes: all of them in order, or each as it ends."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from typing import Any, Generic, TypeVar, cast

from onserver.errors import ProcessTimeout
from onserver.process.handle import Process
from onserver.process.inbox import UNSAID_SECONDS, Inbox
from onserver.process.waits import Wanted, awaiting, end_of, waiting_for
from onserver.session.context import current_run
from onserver.session.steps import refuse_in_loop

R = TypeVar("R")


def wait_all(processes: Iterable[Process[R]], timeout: float | None = None) -> list[R]:
    """Wait for all of them and return their results in order.

    Args:
        processes: handles.
        timeout: seconds for all together; None waits as long as it takes.

    Raises:
        Exception: what the first of them that failed raised; only when all have ended, so nothing is left running
            unnoticed. The errors are those of `Process.result`.
        ProcessTimeout: ONS-2202, one has not ended by then; all go on.

    Example:
        >>> wait_all(execute_many(add, [(1, 2), (3, 4)]), timeout=10)
        [3, 7]
    """
    refuse_in_loop("wait_all()", "await asyncio.gather(*processes)")
    waited = list(processes)
    late = _end_of_all(waited, timeout)
    if late is not None:
        raise late
    return [process.result(timeout=0) for process in waited]


def _end_of_all(processes: Sequence[Process[Any]], timeout: float | None) -> ProcessTimeout | None:
    """Wait until all have ended, and say meanwhile, in a run, that it is for all of them."""
    began, run = monotonic(), current_run()
    if run is not None and processes:
        inbox = processes[0].server.part(Inbox)
        _drain(inbox.ends(processes, UNSAID_SECONDS if timeout is None else min(timeout, UNSAID_SECONDS)))
        left = [process for process in dict.fromkeys(processes) if process.end is None]
        seconds = None if timeout is None else max(timeout - (monotonic() - began), 0.0)
        if left and seconds != 0:
            with waiting_for(left[0].server, run, Wanted.every([process.number for process in left])):
                _drain(inbox.ends(left, seconds))
    elif processes:
        _drain(processes[0].server.part(Inbox).ends(processes, timeout))
    late = next((process for process in processes if process.end is None), None)
    return None if late is None else _late(late, began, timeout)


def _drain(ends: Iterator[object]) -> None:
    for _ in ends:
        continue


def as_completed(processes: Iterable[Process[R]], timeout: float | None = None) -> "Completed[R]":
    """Answer the handles as their processes end: `for p in …`, in an event loop `async for p in …`.

    Args:
        processes: handles.
        timeout: seconds for all together, from the beginning of the loop.

    Raises:
        ProcessTimeout: ONS-2202, from the loop, for the first that has not ended by then.

    Example:
        >>> sorted(process.result() for process in as_completed(execute_many(add, [(1, 2), (3, 4)])))
        [3, 7]
    """
    return Completed(list(processes), timeout)


class Completed(Generic[R]):
    """What `as_completed` answers."""

    def __init__(self, processes: Sequence[Process[R]], timeout: float | None) -> None:
        self._processes = processes
        self._timeout = timeout

    def __iter__(self) -> Iterator[Process[R]]:
        refuse_in_loop("for … in as_completed()", "async for … in as_completed()")
        if not self._processes:
            return
        began, left = monotonic(), dict.fromkeys(self._processes)
        server, run = self._processes[0].server, current_run()

        def saying(pending: Collection[Any]) -> AbstractContextManager[None]:
            return nullcontext() if run is None else waiting_for(server, run, _first_of(pending))

        said = None if run is None else saying
        for one in server.part(Inbox).ends(self._processes, self._timeout, said):
            process = cast("Process[R]", one)
            left.pop(process, None)
            yield process
        if left:
            raise _late(next(iter(left)), began, self._timeout)

    async def __aiter__(self) -> AsyncIterator[Process[R]]:
        began = monotonic()
        ends = {
            asyncio.create_task(end_of(process.server, process, process.number, say_so=False)): process
            for process in dict.fromkeys(self._processes)
        }
        try:
            while ends:
                left = None if self._timeout is None else max(self._timeout - (monotonic() - began), 0.0)
                done = await _some(ends, left)
                if not done:
                    raise _late(next(iter(ends.values())), began, self._timeout)
                for end in done:
                    end.result()
                    yield ends.pop(end)
        finally:
            for end in ends:
                end.cancel()


async def _some(ends: Mapping[asyncio.Task[None], Process[R]], seconds: float | None) -> set[asyncio.Task[None]]:
    """Wait for the first of these, and say so, in a run, from a moment on."""
    run = current_run()
    quick = seconds if run is None else UNSAID_SECONDS if seconds is None else min(seconds, UNSAID_SECONDS)
    done, _ = await asyncio.wait(ends, timeout=quick, return_when=asyncio.FIRST_COMPLETED)
    if done or run is None or quick == seconds:
        return done
    left = None if seconds is None else seconds - UNSAID_SECONDS
    async with awaiting(next(iter(ends.values())).server, run, _first_of(ends.values())):
        done, _ = await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    return done


def _first_of(pending: Collection[Any]) -> Wanted:
    return Wanted.first(sorted(process.number for process in pending))


def _late(process: Process[Any], began: float, timeout: float | None) -> ProcessTimeout:
    return ProcessTimeout(process.number, monotonic() - began if timeout is None else timeout)
