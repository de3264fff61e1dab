"""The handle of a process: its number, and what can be asked of it.

A handle costs nothing until something is asked. It travels as its number; `Process.get` makes one of a number.
"""

import asyncio
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from onserver.errors import ProcessNotFound, ProcessTimeout
from onserver.process.failure import value_of
from onserver.process.following import Following
from onserver.process.inbox import Awaited, End, Inbox, withdraw
from onserver.process.log import LogLine, read_log
from onserver.process.orders import Ordered
from onserver.process.record import ENDED_BYTES, Record, State, read_record
from onserver.process.variables import Variables
from onserver.process.waits import Wanted, end_of, waiting_for
from onserver.server import Server
from onserver.session.context import current_run
from onserver.session.steps import refuse_in_loop

R_co = TypeVar("R_co", covariant=True)

#: How long a wait that is over goes on at most, to say what the process does, in seconds.
_SAY_SECONDS: Final = 1.0


class Process(Ordered, Awaited, Generic[R_co]):
    """A process of a server; `R` is what its procedure returns.

    Example:
        >>> Process.get(execute_on_server(add, 1, 2).number).result(timeout=10)
        3
    """

    __slots__ = ("_name", "_number", "_procedure", "_server", "how")

    def __init__(self, server: Server, number: int, *, name: str = "", procedure: str = "", how: str = "new") -> None:
        super().__init__()
        self._server = server
        self._number = number
        self._name = name
        self._procedure = procedure
        #: What the start did: `new`; `live`, a process of that name was alive; `key`, one of that key was there.
        self.how = how

    @classmethod
    def get(cls, number: int) -> "Process[Any]":
        """Find the process of this number.

        Raises:
            ProcessNotFound: ONS-2001, there is none, or its record has expired.
        """
        server = Server.current()
        record = read_record(server.store, number)
        if record is None:
            raise ProcessNotFound(number)
        return Process(server, number, name=record.name, procedure=record.procedure)

    @property
    def number(self) -> int:
        """Its number, never used again by this server."""
        return self._number

    @property
    def server(self) -> Server:
        """The server whose process it is."""
        return self._server

    @property
    def name(self) -> str:
        """The name that it was started under, or else its procedure's."""
        if not self._name and not self._procedure:
            record = self.record()
            self._name, self._procedure = record.name, record.procedure
        return self._name or self._procedure

    @property
    def state(self) -> State:
        """What it is doing now, or how it ended: one round trip until it has ended.

        Raises:
            ProcessNotFound: ONS-2001, its record has expired.
        """
        if self._end is not None and self._end.state != "gone":
            return State(self._end.state)
        return self.record().state

    def record(self) -> Record:
        """Read its record.

        Raises:
            ProcessNotFound: ONS-2001, its record has expired.
        """
        return self._record()

    @property
    def variables(self) -> Variables:
        """Its variables: a mapping that it and everybody who has its handle read and write."""
        return Variables(self._server, self._number)

    def result(self, timeout: float | None = None) -> R_co:
        """Wait for its end and return what the procedure returned, or raise what it raised.

        Args:
            timeout: seconds; None waits as long as it takes, 0 only looks.

        Raises:
            ProcessTimeout: ONS-2202, it has not ended by then; it goes on.
            ProcedureFailed: ONS-2201, it raised something that cannot be raised here; otherwise the exception itself is
                raised again, with this one as its cause.
            ProcessAborted: ONS-2203.
            ProcessLost: ONS-2204.
            ProcessDead: ONS-2205.
            ProcessNotFound: ONS-2001, its record has expired.
            SyncInAsyncError: ONS-2302, in a running event loop; `await` the process there.
            BrokerUnavailable: ONS-1201, Redis cannot be reached, or the time is over and it says nothing of the
                process; ask again later.
        """
        if self._end is None:
            self._wait(timeout, "Process.result()")
        value: R_co = self._value()
        return value

    def wait(self, timeout: float | None = None) -> State:
        """Wait for its end and return its state, however it ended.

        Args:
            timeout: seconds; None waits as long as it takes, 0 only looks.

        Raises:
            ProcessTimeout: ONS-2202, it has not ended by then; it goes on.
            SyncInAsyncError: ONS-2302, in a running event loop; `await` the process there.
        """
        if self._end is None:
            self._wait(timeout, "Process.wait()")
        return self.state

    def progress(self, timeout: float | None = None) -> Following:
        """Follow what it reports: `for p in process.progress()`, in an event loop `async for p in …`.

        The first is what it has reported so far, if anything; then each newer report as it comes (the newest, where it
        reports faster than they are read); the loop ends when the process does, however that is.

        Args:
            timeout: seconds for the whole loop; None follows as long as it takes.

        Raises:
            ProcessTimeout: ONS-2202, from the loop: it has not ended by then; it goes on.
            ProcessNotFound: ONS-2001, from the loop: its record has expired.
            SyncInAsyncError: ONS-2302, from a plain `for` in a running event loop.

        Example:
            >>> @procedure
            ... def export() -> None:
            ...     for done in range(1, 101):
            ...         process().report(done, 100, "customers")
            >>> for p in execute_on_server(export).progress(timeout=10):
            ...     last = p
            >>> print(last.percent, last.note)
            100 customers
        """
        return Following(self._server, self._number, timeout)

    def log(self, last: int | None = None) -> list[LogLine]:
        """Read its log: what it has printed and logged, and what the programs that it started have printed.

        The last lines are kept (`process.log_lines`, `process.log_bytes`) as long as its record, also those of an
        executor that was killed. A line is there a moment after it was written.

        Args:
            last: how many lines at most; None for all that are kept.

        Raises:
            ProcessNotFound: ONS-2001, its record has expired.
        """
        found = read_log(self._server.store, self._number, last)
        if found is None:
            raise ProcessNotFound(self._number)
        return list(found.lines)

    async def alog(self, last: int | None = None) -> list[LogLine]:
        """`log` without blocking the loop."""
        return await asyncio.to_thread(self.log, last)

    def __await__(self) -> Generator[Any, None, R_co]:
        return self._awaited().__await__()

    def look(self, address: str) -> End | None:
        """Ask Redis how it stands, and to be told at `address` when it ends."""
        found = self._server.store.run("await", self._number, address)
        if not found:
            return End("gone", b"")
        state, result, error, _, _, procedure, *_ = found
        self._procedure = self._procedure or (procedure or b"").decode()
        if state not in ENDED_BYTES:
            return None
        return End(state.decode(), (result if state == b"done" else error) or b"")

    async def _awaited(self) -> R_co:
        if self._end is None:
            await end_of(self._server, self, self._number)
        value: R_co = self._value()
        return value

    def _record(self, deadline: float | None = None) -> Record:
        record = read_record(self._server.store, self._number, deadline)
        if record is None:
            raise ProcessNotFound(self._number)
        return record

    def _wait(self, timeout: float | None, call: str) -> None:
        refuse_in_loop(call, "await process")
        began, run = monotonic(), current_run()

        def saying(_: object) -> AbstractContextManager[None]:
            return nullcontext() if run is None else waiting_for(self._server, run, Wanted.one(self._number))

        said = None if run is None else saying
        if not any(True for _ in self._server.part(Inbox).ends((self,), timeout, said)):
            # Whether it has ended is not known where Redis says nothing: then that is the error.
            record = self._record(deadline=min(_SAY_SECONDS, self._server.store.command_seconds))
            raise ProcessTimeout(self._number, monotonic() - began if timeout is None else timeout, record.state)

    def _begins_anew(self) -> None:
        withdraw(self)
        self._end = None

    def _value(self) -> Any:
        end = self._end
        if end is None:
            raise ProcessNotFound(self._number)
        return value_of(self._server, self._number, self._procedure, end)

    def __onserver_value__(self) -> int:
        return self._number

    def __reduce__(self) -> tuple[Any, ...]:
        return Process.get, (self._number,)

    def __repr__(self) -> str:
        return f"<Process #{self._number} {self._name or self._procedure}>".replace(" >", ">")
