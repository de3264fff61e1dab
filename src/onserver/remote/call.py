"""A call: its id, and its answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from onserver.connections.wire import LONGEST_SECONDS, Answer, Ended, Wish
from onserver.errors import ProcessTimeout
from onserver.process.failure import value_at_home
from onserver.process.inbox import End
from onserver.remote.trips import Trips
from onserver.session.steps import Steps, adrive, drive

R_co = TypeVar("R_co", covariant=True)

#: Answers whether exceptions of a module may be made in this program.
Allowed = Callable[[str], bool]
_UNSENT: Final = object()


def new_id() -> str:
    """Make an id for a call, which nobody can guess."""
    return secrets.token_hex(16)


class RemoteCall(Generic[R_co]):
    """A call of a function of the server; `R` is what it returns. Made by `Client.fetch` and the like.

    Args:
        trips: of the client.
        call: its id.
        name: of the function, for errors.
        allowed: whose exceptions may be made here.
        first: puts it, and may answer at once; None where it was put before.

    Example:
        >>> call = client.submit("shop.total", 12)  # doctest: +SKIP
        >>> call.result(timeout=5)  # doctest: +SKIP
        42
    """

    def __init__(
        self, trips: Trips, call: str, name: str, allowed: Allowed, first: Callable[[float], Steps[Ended | None]] | None
    ) -> None:
        self.id = call
        self.name = name
        self._trips = trips
        self._allowed = allowed
        self._first = first
        self._end: Any = _UNSENT

    def result(self, timeout: float | None = None) -> R_co:
        """Wait for what it returns.

        Args:
            timeout: seconds; None waits as long as it takes. The call goes on where the time is over.

        Raises:
            Exception: what the function has raised, as itself where its class is known here; its cause is a
                `ProcedureFailed` with the traceback of the server.
            ProcessTimeout: ONS-2202, not within `timeout`.
            ProcessAborted: ONS-2203, somebody has aborted it, or its connection was ended before it began.
            ProcessLost: ONS-2204, its worker died, and it may not run again.
            CallNotFound: ONS-2004, it never came, or has ended long ago.
            ServerUnreachable: ONS-1206; `fetch` gets the answer later.
            SessionExpired: ONS-4102.
        """
        return drive(self.waiting(timeout))

    async def aresult(self, timeout: float | None = None) -> R_co:  # noqa: ASYNC109  # as `result`
        """`result` without blocking the loop."""
        return await adrive(self.waiting(timeout))

    def __await__(self) -> Generator[Any, Any, R_co]:
        return self.aresult().__await__()

    def putting(self) -> Steps[None]:
        """Put the call, as steps, if that was not done before."""
        first = self._first
        if first is not None:
            end = yield from first(0.0)
            self._first = None
            if end is not None:
                self._end = end
                self._trips.had.append(self.id)

    def waiting(self, timeout: float | None = None) -> Steps[R_co]:
        """The wait, as steps."""
        until = None if timeout is None else monotonic() + timeout
        end = yield from self._ended(until)
        if end is None:
            raise ProcessTimeout(0, timeout or 0.0, call=self._shown, call_id=self.id)
        payload = end.result if end.state == "done" else end.error
        value: R_co = value_at_home(self._allowed, 0, self._shown, End(end.state, payload))
        return value

    def _ended(self, until: float | None) -> Steps[Ended | None]:
        if self._end is not _UNSENT:
            found: Ended = self._end
            return found
        first, end = self._first, None
        if first is not None:  # one trip for both, where it ends soon
            end = yield from first(_left(until))
            self._first = None
        while end is None:
            wish: Wish = Answer(call=self.id, seconds=_left(until))
            end = yield from self._trips.ask(wish, call=self.id)
            if end is None and until is not None and monotonic() >= until:
                return None
        self._end = end
        self._trips.had.append(self.id)
        return end

    @property
    def _shown(self) -> str:
        """What errors name it by: that of the function, if it was given here."""
        return self.name or self.id

    def __repr__(self) -> str:
        return f"<RemoteCall {self.id} of {self.name or 'a function'}>"


def _left(until: float | None) -> float:
    return LONGEST_SECONDS if until is None else max(0.0, min(LONGEST_SECONDS, until - monotonic()))
