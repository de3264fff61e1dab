"""The steps of the coroutines that belong to one run, one by one.

A loop runs many processes at once, and knows nothing of them. Everything that a run starts, its body and each task that
this makes, is *driven*: a wrapper passes what the coroutine waits for on to the loop, and is told before and after each
of its steps. So it is known whose step the loop takes (the present process of the page, whose run counts if the
executor dies in it), how long that has lasted, which tasks a run has left behind, and a run can be held: as long as it
has a gate, none of its coroutines takes another step.

What belongs to a run is found by a context variable, which tasks inherit. A task that is made in an empty context
belongs to none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from time import monotonic
from typing import Any, Final

from onserver.life.async_page import AsyncPage


class Driver:
    """Whose step the loop takes, for the page and for whoever watches from another thread."""

    def __init__(self, page: AsyncPage) -> None:
        self._page = page
        #: The run whose step it is, and since when, monotonic.
        self.present: tuple[Driven, float] | None = None

    def enters(self, run: Driven) -> None:
        """A step of this run begins."""
        self._page.steps(run.number)
        self.present = run, monotonic()

    def leaves(self) -> None:
        """A step has ended."""
        self.present = None
        self._page.rests()

    def make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        """Make a task: the loop's task factory."""
        context = options.get("context")
        run = here.get() if context is None else context.get(here)
        if run is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        driving: Any = _drive(coroutine, run, self)
        driving.__name__ = getattr(coroutine, "__name__", "")
        driving.__qualname__ = getattr(coroutine, "__qualname__", "")
        task = asyncio.Task(driving, loop=loop, **options)
        run.tasks[task] = None
        task.add_done_callback(lambda ended: _ended(run, ended, coroutine))
        if run.ended and run.body_beside:
            task.cancel()
        return task


class Driven:
    """What is driven together: all that belongs to one run.

    Attributes:
        number: of its process.
        tasks: those that have not ended, in the order in which they were made.
        gate: what they wait at while the run is held.
        ended: why it was ended, empty as long as it was not.
        body_beside: whether its body is not awaited by the first of them, but sent here by a thread.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.gate: asyncio.Event | None = None
        self.ended = ""
        self.body_beside = False


#: The run that this context belongs to.
here: Final[ContextVar[Driven | None]] = ContextVar("onserver_driven", default=None)


def _ended(run: Driven, task: asyncio.Task[Any], coroutine: Coroutine[Any, Any, Any]) -> None:
    run.tasks.pop(task, None)
    coroutine.close()  # cancelled before its first step it would complain that nobody awaited it


async def _drive(coroutine: Coroutine[Any, Any, Any], run: Driven, driver: Driver) -> Any:
    return await _Steps(coroutine, run, driver)


class _Steps:
    """Awaits a coroutine as `await` does, and tells of each step."""

    __slots__ = ("_coroutine", "_driver", "_run")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], run: Driven, driver: Driver) -> None:
        self._coroutine, self._run, self._driver = coroutine, run, driver

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, run, driver = self._coroutine, self._run, self._driver
        error: BaseException | None = None
        while True:
            if run.gate is not None:
                error = yield from self._held(error)
            driver.enters(run)
            try:
                awaited = coroutine.send(None) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            except (SystemExit, KeyboardInterrupt) as raised:  # would end the loop, and all that run beside this one
                raise RuntimeError(f"#{run.number} raised {raised!r} in a task") from raised
            finally:
                driver.leaves()
            error = None
            try:
                yield awaited
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as raised:  # noqa: BLE001  # thrown into the coroutine, whose it is
                error = raised

    def _held(self, error: BaseException | None) -> Generator[Any, Any, BaseException | None]:
        """Wait until the gate is open; answers what was thrown in meanwhile."""
        run = self._run
        while run.gate is not None and not run.ended:
            try:
                yield from run.gate.wait().__await__()
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as raised:  # noqa: BLE001  # as above
                error = error or raised
        return error
