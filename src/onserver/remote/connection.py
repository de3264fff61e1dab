"""A connection process: what a client does in one order. It has a twin on the server, made with its first call."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar, overload

from onserver.connections.wire import Call, Connect, Disconnect, Ended
from onserver.errors import BadArguments, CertificateRefused, ProcessTimeout, ServerUnreachable, SessionExpired
from onserver.process.afar import through
from onserver.process.procedure import Procedure
from onserver.remote.call import Allowed, RemoteCall, new_id
from onserver.remote.trips import Trips
from onserver.session.steps import Steps, adrive, drive
from onserver.values import encode

P = ParamSpec("P")
R = TypeVar("R")

#: For how long the end of a connection is told to a server that does not answer, in seconds.
_FAREWELL_SECONDS = 3.0
#: Where nobody can be told, its session ends some time, and it with it.
_NOBODY_THERE = (ServerUnreachable, CertificateRefused, SessionExpired)


class Owner(Protocol):
    """The client that a connection process is of."""

    timeout: float | None

    @property
    def session(self) -> Any:
        """What `session()` answers in its program."""
        ...


class ConnectionProcess:
    """A connection of a client, with a twin of its own on the server. Made by `Client.process()`.

    What is called through it runs one after the other, in the session of the client, with variables that last from
    call to call (`process().variables` there). Calls of two connection processes run at once.

    Args:
        client: whose it is.
        trips: of the client.
        name: for people.
        allowed: whose exceptions may be made here.

    Example:
        >>> with client.process("import"):  # doctest: +SKIP
        ...     load_prices()  # a server method

    4D: a global process of a remote 4D (specification 1.5).
    """

    def __init__(self, client: Owner, trips: Trips, name: str, allowed: Allowed) -> None:
        self.client = client
        self.name = name
        self._trips = trips
        self._allowed = allowed
        self._id = new_id()  # of the call that asks the hooks: one connection, however often and from where it is made
        self._number = 0
        self._closed = False
        self._block = ExitStack()
        #: Where server methods go that are called in its block.
        self.afar = _Afar(self)

    @property
    def number(self) -> int:
        """Its number in the session, which hooks are told; 0 before its first call."""
        return self._number

    # -- calls

    @overload
    def submit(self, function: Procedure[P, R], /, *args: P.args, **kwargs: P.kwargs) -> RemoteCall[R]: ...
    @overload
    def submit(self, function: str, /, *args: Any, **kwargs: Any) -> RemoteCall[Any]: ...
    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> RemoteCall[Any]:
        """Put a call behind those before it, and do not wait for its end.

        Args:
            function: a server method, or the name of one.
            args: arguments by position, copied.
            kwargs: arguments by name.

        Raises:
            ProcedureNotFound: ONS-1104.
            BadArguments: ONS-1105.
            NotSendable: ONS-1106; nothing was sent.
            PrivilegeDenied: ONS-4103.
            ConnectionVetoed: ONS-4105, this connection was refused by a hook.
            MaintenanceMode: ONS-4104.
            ServerUnreachable: ONS-1206.
            SessionExpired: ONS-4102.
        """
        made = self._made(function, args, kwargs)
        drive(made.putting())
        return made

    async def asubmit(self, function: Any, /, *args: Any, **kwargs: Any) -> RemoteCall[Any]:
        """`submit` without blocking the loop."""
        made = self._made(function, args, kwargs)
        await adrive(made.putting())
        return made

    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the server, and return what it returns; see `submit` and `RemoteCall.result`."""
        return drive(self._made(function, args, kwargs).waiting(self.client.timeout))

    async def acall(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """`call` without blocking the loop."""
        return await adrive(self._made(function, args, kwargs).waiting(self.client.timeout))

    # -- its life

    def open(self) -> int:
        """Make it now, without a call; answers its number. See `submit` for what is raised."""
        return drive(self.opening())

    async def aopen(self) -> int:
        """`open` without blocking the loop."""
        return await adrive(self.opening())

    def close(self) -> None:
        """End it: what waits in its twin is aborted, and the hooks are told. A call that runs goes on."""
        with suppress(*_NOBODY_THERE):
            drive(self._ending())

    async def aclose(self) -> None:
        """`close` without blocking the loop."""
        with suppress(*_NOBODY_THERE):
            await adrive(self._ending())

    def opening(self) -> Steps[int]:
        """Make it, if it is not there yet, as steps."""
        if self._closed:
            raise SessionExpired
        while not self._number:
            try:
                self._number = yield from self._trips.ask(Connect(name=self.name, call=self._id))
            except ProcessTimeout:  # its hooks have not decided yet
                continue
        return self._number

    def _made(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> RemoteCall[Any]:
        name = name_of(function)
        body, call = encode([list(args), dict(kwargs)], f"An argument of `{name}`"), new_id()

        def first(seconds: float) -> Steps[Ended | None]:
            number = yield from self.opening()
            wish = Call(connection=number, call=call, name=name, body=body, seconds=seconds)
            found: Ended | None = yield from self._trips.ask(wish, call=call)
            return found

        return RemoteCall(self._trips, call, name, self._allowed, first)

    def _ending(self) -> Steps[None]:
        self._closed = True
        if self._number and not self._trips.over:
            yield from self._trips.ask(Disconnect(connection=self._number), patience=_FAREWELL_SECONDS)

    def __enter__(self) -> Self:
        self._block.enter_context(through(self.afar))
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
        return f"<ConnectionProcess {self.name or self._number or 'not made yet'} of {self.client!r}>"


class _Afar:
    """What a server method that is called in a client sees of it; see `onserver.process.afar`."""

    def __init__(self, process: ConnectionProcess) -> None:
        self._process = process

    @property
    def session(self) -> Any:
        return self._process.client.session

    def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        return self._process.call(name, *args, **kwargs)

    def acall(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Coroutine[Any, Any, Any]:
        return self._process.acall(name, *args, **kwargs)


def name_of(function: Procedure[..., Any] | Callable[..., Any] | str) -> str:
    """Answer the name of a function of the server.

    Raises:
        BadArguments: ONS-1105, it has none there.
    """
    if isinstance(function, Procedure):
        return function.name
    if isinstance(function, str):
        return function
    raise BadArguments("call", f"is given {function!r}, which the server does not have", "call(function or name, …)")
