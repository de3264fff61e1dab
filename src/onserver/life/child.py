"""A child of the supervisor: an executor, or the runner of one hook or side run."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from math import inf
from time import monotonic
from typing import Final, Literal, NoReturn, TypeAlias

from onserver import crash
from onserver.life.executor import prepare
from onserver.life.kinship import die_with_parent
from onserver.life.log_levels import shown_from
from onserver.life.output import Emit, Pipe, Spoken, writer
from onserver.life.page import Page
from onserver.process.log import Source
from onserver.process.tracing import flush_traces

#: Seconds that a process may run before what was claimed ahead of its end is handed back.
PATIENCE_SECONDS: Final = 0.01
#: How long a child that ends waits for its traces to be sent.
_FLUSH_SECONDS: Final = 2.0

Role: TypeAlias = Literal["executor", "async", "hook", "side"]
#: Why a child was ended by its supervisor: Redis was silent, its time was up, the server stops, its run was aborted.
Ended = Literal["", "silence", "time", "stop", "abort"]


class Child:
    """One forked child with its page and its pipes, as the supervisor sees it.

    Attributes:
        role: `executor`, `async` for one that runs coroutines, `hook`, or `side` for one that runs a side run.
        holder: "member.incarnation".
        draining: it was told to finish and exit.
        ended: why its supervisor ended it, or what it runs, "" if it did not.
        killed: it was killed for that, and not interrupted.
        stopped_at: since when it is stopped (SIGSTOP) for a pause, monotonic; 0 when it is not.
        overdue: the process whose time was up when it was ended for that.
        halted: what it runs waits at a checkpoint for the end of a pause, and what it had not begun was handed back.
    """

    def __init__(self, role: Role, holder: str, page: Page, out: Pipe, err: Pipe) -> None:
        self.role = role
        self.holder = holder
        self.page = page
        self.out, self.err = out, err
        self.pid = 0
        self.status = 0
        self.draining = False
        self.ended: Ended = ""
        self.interrupted_at = 0.0
        self.killed = False
        self.stopped_at = 0.0
        self.halted = False
        self.overdue = 0
        #: What is asked of what it runs, as it was told last: number to what.
        self.asked: Mapping[int, str] = {}
        self.head = ""
        self.born = monotonic()
        #: How many runs it had ended when it was looked at; how long the next may take before something is done about
        #: what it claimed ahead, and whether something that it has ended was found not to be known to Redis.
        self.runs_seen, self.patience, self.unsaid = -1, inf, False
        #: It has run something lately: until then it is looked at as if it did now.
        self.busy_until = 0.0
        #: Told of what it says, and in which stream.
        self.told: Callable[[Sequence[Spoken], Source], None] | None = None
        self._emit_out = self._emitter(writer(sys.stdout), "out")
        self._emit_err = self._emitter(writer(sys.stderr), "err")

    def _emitter(self, write: Emit, source: Source) -> Emit:
        def emit(spoken: Sequence[Spoken]) -> None:
            write(spoken)
            if self.told is not None:
                self.told(spoken, source)

        return emit

    @property
    def looks_ahead(self) -> bool:
        """Whether it may just have claimed something, or ended something, of which Redis and others do not know."""
        return self.page.ahead and (
            self.runs_seen != self.page.runs or self.patience == PATIENCE_SECONDS or self.unsaid
        )

    def pass_on(self, descriptor: int) -> bool:
        """Pass on what it has printed. False when it prints no more."""
        if descriptor == self.out.reader:
            return self.out.read(self._emit_out)
        return self.err.read(self._emit_err)

    def complete(self) -> None:
        """Pass on the last line of a process that has ended, if it had no end."""
        self.out.complete(self.page.current, self._emit_out)
        self.err.complete(self.page.current, self._emit_err)

    def close(self) -> None:
        """Pass on its last words and close its pipes."""
        self.out.close(self._emit_out)
        self.err.close(self._emit_err)

    def interrupt(self, why: Ended) -> None:
        """Raise `Interrupted` in what it runs, and in nothing after that: it is to be killed soon."""
        self.ended = why
        self.interrupted_at = monotonic()
        self.interrupt_run()

    def interrupt_run(self, *, for_time: bool = False, run: float | None = None) -> None:
        """Raise `Interrupted` in what it runs now, or in the run that began then; what comes after is not disturbed."""
        self.page.interrupt(for_time=for_time, run=run)
        os.kill(self.pid, signal.SIGUSR1)

    def goes_on(self) -> None:
        """Redis answers again: what was interrupted for its silence has ended, and the child runs what comes next."""
        if self.ended == "silence" and not self.killed:
            self.ended, self.interrupted_at = "", 0.0

    def kill(self, why: Ended) -> None:
        """End it now."""
        self.ended, self.killed = why, True
        os.kill(self.pid, signal.SIGKILL)


def fork(
    role: Role,
    holder: str,
    page: Page,
    lease_seconds: float,
    gate: AbstractContextManager[object],
    body: Callable[[], int],
) -> Child:
    """Fork a child that runs `body` and exits with what it returns.

    Called from the main thread only: PR_SET_PDEATHSIG is tied to the thread that forks.

    Args:
        role: `executor`, `async` for one that runs coroutines, `hook`, or `side`.
        holder: "member.incarnation", enlisted for it.
        page: shared with it.
        lease_seconds: after 0.8 of these without a good beat it ends itself.
        gate: held while forking, so that no other thread of the supervisor is in the middle of anything.
        body: runs in the child, after its signals, pipes and watch thread were set.
    """
    child = Child(role, holder, page, Pipe(1, page.voice), Pipe(2, page.voice))
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    with gate:
        child.pid = os.fork()
    if child.pid:
        child.out.keep()
        child.err.keep()
        return child
    return _live(child, parent, lease_seconds, body)


def _live(child: Child, parent: int, lease_seconds: float, body: Callable[[], int]) -> NoReturn:
    """The life of the child; it never returns."""
    status = 1
    try:
        die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        child.out.adopt()
        child.err.adopt()
        speak_at_once()
        crash.role("executor")
        prepare(child.page, lease_seconds, parent)
        status = body()
        flush_traces(_FLUSH_SECONDS)
    except BaseException:  # noqa: BLE001  # the last frame of the child: whatever it is, it is shown and becomes the exit status
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class LevelHandler(logging.Handler):
    """Writes log records as `LEVEL name: text` to the standard error, where a task has set up nothing else."""

    def __init__(self) -> None:
        super().__init__(shown_from())
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        sys.stderr.write(f"{self.format(record)}\n")


def speak_at_once() -> None:
    """In the child: let each line go out when it is there, and log records of a program that set up none say more.

    Loggers and their handlers are left alone: `lastResort` is what Python uses where there are no handlers at all.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)
    logging.lastResort = LevelHandler()
