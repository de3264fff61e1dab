"""Time limits for what is run in place, within something else: one hook of several.

In the main thread of an executor the page says how long: the supervisor, or whoever stands for it, interrupts the part
when its time is up as it does a whole process, and kills the executor where that is not heeded. Then the process ends
as one that was out of time.

Anywhere else (a thread, a client program, a test) there is nobody who could kill. The part runs in a thread of its own,
in the context of the caller; when its time is up it is interrupted there, once it is in code of the project, and after
a grace left to itself: its answer counts no more.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeVar

from onserver.interrupt import TIME_IS_UP, Interrupted, shielded
from onserver.life.in_thread import raise_in
from onserver.life.page import Page

T = TypeVar("T")

#: Seconds between the interruption in a thread and the end of waiting for it.
GRACE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.02


class TimeIsUp(Exception):
    """What was run in place has reached its limit; the cause is what was raised in it for that, if anything was."""


class _Here:
    """The page of this program, if it is an executor."""

    page: Page | None = None


def limit_by(page: Page | None) -> None:
    """Let this page limit what is run in place by this program: an executor begins."""
    _Here.page = page


def run_within(seconds: float, body: Callable[[], T]) -> T:
    """Run a body, for so many seconds at most.

    Raises:
        TimeIsUp: it did not end by then.
        Interrupted: what it is a part of is ended.
    """
    page = _Here.page
    if page is not None and page.current and threading.current_thread() is threading.main_thread():
        return _by_page(page, seconds, body)
    return _in_thread(seconds, body)


def _by_page(page: Page, seconds: float, body: Callable[[], T]) -> T:
    before = page.narrow(seconds)
    try:
        try:
            return body()
        finally:
            with shielded():  # what comes now comes too late, and waits until the page is as it was
                page.widen(before)
    except Interrupted as interrupted:
        page.widen(before)
        if before.own and interrupted.reason == TIME_IS_UP:
            raise TimeIsUp from interrupted
        raise


class _Part(threading.Thread):
    """A body in a thread of its own."""

    def __init__(self, body: Callable[[], Any]) -> None:
        super().__init__(name="onserver-in-place", daemon=True)
        self._body, self._context = body, contextvars.copy_context()
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self._context.run(self._body)
        except BaseException as error:  # noqa: BLE001  # of a hook: it is raised again where it was asked for
            self.error = error

    def interrupt(self) -> bool:
        """Raise in it, at the next line of Python; a coroutine is cancelled. False while it is in code of ours."""
        return self.ident is not None and raise_in(self.ident, _OutOfTime)


class _OutOfTime(Interrupted):
    """Raised in a thread whose time is up; Python makes it without arguments."""

    def __init__(self) -> None:
        super().__init__(TIME_IS_UP)


def _end(part: _Part) -> None:
    until, said = monotonic() + GRACE_SECONDS, False
    while part.is_alive() and monotonic() < until:
        said = said or part.interrupt()
        part.join(_LOOK_SECONDS)


def _in_thread(seconds: float, body: Callable[[], T]) -> T:
    part = _Part(body)
    part.start()
    part.join(seconds)
    if part.is_alive():
        _end(part)
        raise TimeIsUp from part.error
    if part.error is not None:
        raise part.error
    value: T = part.value
    return value
