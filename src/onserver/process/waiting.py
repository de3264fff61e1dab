"""Waiting for many processes: all of them in order, or each as it ends."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from time import monotonic
from typing import Generic, TypeVar, cast

from onserver.errors import OnServerError, ProcessTimeout
from onserver.process.handle import Process
from onserver.process.inbox import Inbox
from onserver.process.waits import end_of
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
    for _ in as_completed(waited, timeout):
        continue
    return [process.result(timeout=0) for process in waited]


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
        for one in self._processes[0].server.part(Inbox).ends(self._processes, self._timeout):
            process = cast("Process[R]", one)
            left.pop(process, None)
            yield process
        if left:
            raise self._late(next(iter(left)), began)

    async def __aiter__(self) -> AsyncIterator[Process[R]]:
        began = monotonic()
        ends = {
            asyncio.ensure_future(end_of(process.server, process, process.number)): process
            for process in dict.fromkeys(self._processes)
        }
        try:
            while ends:
                left = None if self._timeout is None else max(self._timeout - (monotonic() - began), 0.0)
                done, _ = await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    raise self._late(next(iter(ends.values())), began)
                for end in done:
                    end.result()
                    yield ends.pop(end)
        finally:
            for end in ends:
                end.cancel()

    def _late(self, process: Process[R], began: float) -> OnServerError:
        seconds = monotonic() - began if self._timeout is None else self._timeout
        return ProcessTimeout(process.number, seconds)
