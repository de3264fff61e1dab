"""A process that a remote client has started on the server: `Client.execute_on_server`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from onserver.connections.wire import LONGEST_SECONDS, Process
from onserver.errors import ProcessTimeout
from onserver.process.failure import value_at_home
from onserver.process.inbox import End
from onserver.process.procedure import Start
from onserver.remote.call import Allowed
from onserver.remote.trips import Trips
from onserver.session.steps import Steps, adrive, drive

R_co = TypeVar("R_co", covariant=True)

#: What may be said of a start from afar.
_OPTIONS: Final = ("name", "unique", "key", "key_window", "queue", "priority", "delay", "timeout", "expires")


class RemoteProcess(Generic[R_co]):
    """A process on the server; `R` is what its procedure returns. It goes on when the client has gone.

    Args:
        trips: of the client.
        number: of the process.
        procedure: its name.
        allowed: whose exceptions may be made here.
    """

    def __init__(self, trips: Trips, number: int, procedure: str, allowed: Allowed) -> None:
        self.number = number
        self.procedure = procedure
        self._trips = trips
        self._allowed = allowed

    def result(self, timeout: float | None = None) -> R_co:
        """Wait for what it returns; see `RemoteCall.result` for what is raised.

        Args:
            timeout: seconds; None waits as long as it takes.
        """
        return drive(self._waiting(timeout))

    async def aresult(self, timeout: float | None = None) -> R_co:  # noqa: ASYNC109  # as `result`
        """`result` without blocking the loop."""
        return await adrive(self._waiting(timeout))

    def __await__(self) -> Generator[Any, Any, R_co]:
        return self.aresult().__await__()

    def _waiting(self, timeout: float | None) -> Steps[R_co]:
        until = None if timeout is None else monotonic() + timeout
        while True:
            left = LONGEST_SECONDS if until is None else max(0.0, min(LONGEST_SECONDS, until - monotonic()))
            end = yield from self._trips.ask(Process(number=self.number, seconds=left))
            if end is not None:
                break
            if until is not None and monotonic() >= until:
                raise ProcessTimeout(self.number, timeout or 0.0)
        payload = end.result if end.state == "done" else end.error
        value: R_co = value_at_home(self._allowed, self.number, self.procedure, End(end.state, payload))
        return value

    def __repr__(self) -> str:
        return f"<RemoteProcess #{self.number} of {self.procedure}>"


def start_of(start: Start[..., Any]) -> Mapping[str, Any]:
    """Answer what is said of a start, where it differs from what the procedure says by itself."""
    usual, order = start.procedure.order, start.order
    said = {name: getattr(order, name) for name in _OPTIONS}
    return {name: value for name, value in said.items() if value != getattr(usual, name)}
