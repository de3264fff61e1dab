"""Which session is it? `session()` asks what is running, not where.

A run carries its session. Outside of every run the program decides: the server module sets `outside`, which answers
None in a client program, as the original does on a remote 4D.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from onserver.session.running import Running, entered, running
from onserver.session.session import Session

__all__ = ["Run", "current_run", "entered", "outside", "session"]


class Run(Running, frozen=True, kw_only=True):
    """One run of one process: what `session()`, `process()` and `caller()` answer from while it lasts."""

    #: Full name of the procedure or task.
    procedure: str
    #: Name of the process: the one it was started under, else the procedure's.
    name: str
    #: The hook from which this run descends, or None.
    root: int | None
    #: The session in which the body runs.
    session: Session
    #: Verified snapshot of who asked, or None for a program that asked as the server.
    caller: Mapping[str, Any] | None
    #: When this run began, seconds since 1970 by the executor's clock.
    started: float
    #: Which attempt this is: 1 for the first, more when earlier runs raised and were retried.
    attempt: int = 1


class Outside:
    """What `session()` answers outside of every run; the server module puts its answer in `answer`."""

    def __init__(self) -> None:
        self.answer: Callable[[], Session | None] | None = None

    def __call__(self) -> Session | None:
        return None if self.answer is None else self.answer()


outside: Final = Outside()


def current_run() -> Run | None:
    """Answer the run of this context, or None outside of every run."""
    run = running()
    return run if isinstance(run, Run) else None


def session() -> Session:
    """Answer the session of what is running.

    Returns:
        In a procedure or hook the one stored-procedure session. Outside, in client programs, None: code that may run
        there tests `if not session()`. The annotation leaves None out, so that code that is surely inside stays plain.

    Raises:
        NotConnected: ONS-1005, outside, and this program has no server.

    Example:
        >>> from onserver import session
        >>> session() is None  # in a client program
        True

    4D: `Session`.
    """
    run = current_run()
    return outside() if run is None else run.session  # type: ignore[return-value]  # None outside: see above
