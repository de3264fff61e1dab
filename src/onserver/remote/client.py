"""A client: its session at a server, and its connection processes."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, cast, overload
from weakref import WeakSet

from onserver.connections.facts import Opened
from onserver.connections.wire import Ask, Close, Register, Sleep, Start, Unregister, Wake
from onserver.errors import CertificateRefused, ServerUnreachable, SessionExpired
from onserver.process.afar import disconnected, through
from onserver.process.procedure import Procedure
from onserver.process.procedure import Start as StartOf
from onserver.remote.call import Allowed, RemoteCall, new_id
from onserver.remote.client_session import ClientSession
from onserver.remote.connection import ConnectionProcess, name_of
from onserver.remote.process import RemoteProcess, start_of
from onserver.remote.trips import Trips
from onserver.remote.watch import Message, Watch
from onserver.session.steps import Steps, adrive, drive
from onserver.values import encode

P = ParamSpec("P")
R = TypeVar("R")
Hears = TypeVar("Hears", bound=Callable[[Message], object])

LOG: Final = logging.getLogger("onserver.remote")
#: For how long the end of a client is told to a server that does not answer, in seconds.
_FAREWELL_SECONDS: Final = 3.0
#: Who leaves, and can tell nobody, is gone all the same: the server ends a session that it hears nothing of.
_NOBODY_THERE: Final = (ServerUnreachable, CertificateRefused, SessionExpired)


class Client:
    """A program that is connected to a server. Made by `connect`; its threads may all use it.

    While it is connected, the program's server methods run on that server. As a block (`with connect(…) as client:`)
    it decides for the code in it, whatever else the program is connected to, and is closed at the end.

    Args:
        trips: to the server, with its session.
        opened: what the server said of the session.
        side: whether `session()` in this program is the object of the client's side.
        timeout: seconds for which a call is waited for; None as long as it takes.
        allowed: whose exceptions may be made here.

    4D: a remote 4D.
    """

    def __init__(self, trips: Trips, opened: Opened, side: bool, timeout: float | None, allowed: Allowed) -> None:
        #: Seconds for which a call is waited for; None as long as it takes.
        self.timeout = timeout
        #: The user that it works for.
        self.user = opened.user
        #: Name of the server.
        self.server_name = opened.server
        #: The id of this installation, as it was given or made: give it again with the next `connect`.
        self.persistent = opened.persistent
        self._trips = trips
        self._allowed = allowed
        self._session = ClientSession(trips, opened) if side else None
        self._main = ConnectionProcess(self, trips, "main", allowed)
        #: What it is told.
        self.watch = Watch(trips, opened.beat_seconds, self._has_ended)
        self._block = ExitStack()
        self._closed = False
        self._ends: list[Callable[[str], object]] = []
        _open.add(self)

    # -- calls

    @property
    def session(self) -> ClientSession | None:
        """What `session()` answers in this program: the object on the client's side, or None."""
        return self._session

    @property
    def main(self) -> ConnectionProcess:
        """Its main connection process, through which calls go that say nothing else."""
        return self._main

    def process(self, name: str = "") -> ConnectionProcess:
        """Return another connection process, which gets a twin of its own with its first call; its name is for people.

        4D: `New process` on a remote 4D.
        """
        return ConnectionProcess(self, self._trips, name, self._allowed)

    @overload
    def call(self, function: Procedure[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def call(self, function: str, /, *args: Any, **kwargs: Any) -> Any: ...
    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the server by itself or by name, and return what it returns.

        Args:
            function: a server method or a function of the data model, or its name.
            args: arguments by position, copied.
            kwargs: arguments by name.

        Raises:
            Exception: what it has raised; see `RemoteCall.result` and `ConnectionProcess.submit` for all others.
        """
        return self._main.call(function, *args, **kwargs)

    async def acall(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """`call` without blocking the loop."""
        return await self._main.acall(function, *args, **kwargs)

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> RemoteCall[Any]:
        """Put a call and do not wait for its end; see `ConnectionProcess.submit`."""
        return self._main.submit(function, *args, **kwargs)

    async def asubmit(self, function: Any, /, *args: Any, **kwargs: Any) -> RemoteCall[Any]:
        """`submit` without blocking the loop."""
        return await self._main.asubmit(function, *args, **kwargs)

    def fetch(self, call: str, name: str = "") -> RemoteCall[Any]:
        """Return a call that was put before, by its id: for its answer, after whatever happened in between.

        Args:
            call: its id, `RemoteCall.id` or `ServerUnreachable.call`.
            name: of the function, for errors.
        """
        return RemoteCall(self._trips, call, name, self._allowed, None)

    # -- processes, and other clients

    def execute_on_server(self, procedure: Any, /, *args: Any, **kwargs: Any) -> RemoteProcess[Any]:
        """Start a process in the server's stored-procedure session, and return its handle at once.

        Args:
            procedure: a procedure, one with options (`add.options(…)`), or its name.
            args: arguments by position, copied.
            kwargs: arguments by name.

        Raises:
            OnServerError: as `onserver.execute_on_server`.

        4D: *Execute on server* on a remote 4D. The number is positive, as everywhere.
        """
        return drive(self._starting(procedure, args, kwargs))

    async def aexecute_on_server(self, procedure: Any, /, *args: Any, **kwargs: Any) -> RemoteProcess[Any]:
        """`execute_on_server` without blocking the loop."""
        return await adrive(self._starting(procedure, args, kwargs))

    def register(self, name: str) -> bool:
        """Take requests of `execute_on_client` under a name. False where it does so already.

        They run here, one after the other, in a thread: procedures that this program has imported.

        4D: `REGISTER CLIENT` (specification 5.11).
        """
        done: bool = drive(self._trips.ask(Register(name=name)))
        return done

    def unregister(self) -> bool:
        """Take no requests any more; those that wait are dropped. False where it took none."""
        done: bool = drive(self._trips.ask(Unregister()))
        return done

    def execute_on_client(self, name: str, procedure: Any, /, *args: Any, **kwargs: Any) -> int:
        """Ask registered clients to run a procedure; answers how many were given the request.

        Args:
            name: of the clients; `@` stands for any text.
            procedure: a procedure, or its name; the client must have it.
            args: arguments by position, copied.
            kwargs: arguments by name.

        4D: `EXECUTE ON CLIENT`.
        """
        wanted = name_of(procedure)
        body = encode([list(args), kwargs], f"An argument of `{wanted}`")
        given: int = drive(self._trips.ask(Ask(ask=new_id(), name=name, procedure=wanted, body=body)))
        return given

    # -- what it is told

    def on_message(self, callback: Hears) -> Hears:
        """Have a function called with each `Message` to the user, in a thread of the client's. A decorator as well."""
        self.watch.hear(callback)
        return callback

    def on_end(self, callback: Callable[[str], object]) -> Callable[[str], object]:
        """Have a function called when the session is over, with why: `closed dropped expired stopped`."""
        self._ends.append(callback)
        return callback

    @property
    def ended(self) -> str:
        """Why the session is over: `closed dropped expired stopped`; empty while it is there."""
        return self._trips.over

    # -- its life

    def sleep(self) -> None:
        """Tell the server that this machine goes to sleep: the session is kept for `remote.sleep_hours` (48).

        Call it from what the system tells before it sleeps, and `wake` when it is awake again. A machine that sleeps
        without a word is unreachable, and its session is kept for 15 minutes.

        Raises:
            ServerUnreachable: ONS-1206.
        """
        self.watch.rest()
        drive(self._trips.ask(Sleep(), patience=_FAREWELL_SECONDS))

    def wake(self) -> None:
        """Be there again; the session is as it was.

        Raises:
            SessionExpired: ONS-4102, it has slept for too long.
            ServerUnreachable: ONS-1206.
        """
        drive(self._trips.ask(Wake()))
        self.watch.wake()

    def close(self) -> None:
        """End the session: hooks are told of the end of each connection. Done by itself when the program ends."""
        if self._leave():
            with suppress(*_NOBODY_THERE):
                drive(self._closing())
            self._trips.way.close()

    async def aclose(self) -> None:
        """`close` without blocking the loop."""
        if self._leave():
            with suppress(*_NOBODY_THERE):
                await adrive(self._closing())
            await self._trips.way.aclose()

    def _leave(self) -> bool:
        """Begin to close it; False where that was begun: closing what is its own closes it again."""
        before, self._closed = self._closed, True
        return not before

    def _closing(self) -> Steps[None]:
        disconnected(self._main.afar)
        _open.discard(self)
        self._trips.leave()
        self.watch.stop()
        if not self._trips.over:
            yield from self._trips.ask(Close(), patience=_FAREWELL_SECONDS)
            self._has_ended("closed")

    def _has_ended(self, why: str) -> None:
        if self._trips.over:
            return
        # while it is being closed here, whoever watches it may find it gone before this program has the answer
        self._trips.over = "closed" if self._closed else why or "expired"
        disconnected(self._main.afar)
        if self._trips.over != "closed" and why:
            LOG.warning("The session of this client at %s is over: %s", self._trips.way.url, self._trips.over)
        for callback in self._ends:
            callback(self._trips.over)

    def _starting(self, procedure: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Steps[RemoteProcess[Any]]:
        options: Mapping[str, Any] = {}
        if isinstance(procedure, StartOf):
            start = cast("StartOf[..., Any]", procedure)
            options, procedure = start_of(start), start.procedure
        name = name_of(procedure)
        body = encode([list(args), dict(kwargs)], f"An argument of `{name}`")
        wish = Start(start=new_id(), name=name, body=body, options=encode(dict(options)))
        number: int = yield from self._trips.ask(wish)
        return RemoteProcess(self._trips, number, name, self._allowed)

    def __enter__(self) -> Self:
        self._block.enter_context(through(self._main.afar))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.close()
        self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.close()
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Client of {self._trips.way.url} for {self.user or 'nobody'}>"


#: Those that are to be closed when the program ends.
_open: Final[WeakSet[Client]] = WeakSet()
os.register_at_fork(after_in_child=_open.clear)  # they are the parent's, who ends them


@atexit.register
def _close_all() -> None:
    for client in list(_open):
        client.close()
