"""One wait for a signal, as Redis has it."""

from typing import Any

from onserver.process.hearing import Told
from onserver.process.inbox import Inbox
from onserver.server import Server
from onserver.session.context import current_run


class Waiting(Told):
    """One wait for a signal: in the name of a run, or of nobody who could have anything."""

    __slots__ = ("_name", "_owner", "_server")

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(self._look)
        run = current_run()
        self._server, self._name, self._owner = server, name, "-" if run is None else run.owner

    def leave(self) -> bool:
        """Wait no longer; True when it is signaled."""
        ticket = self._ticket(self._server.part(Inbox).address(self))
        return bool(self._server.store.run("leave_signal", self._name, ticket))

    def _ticket(self, address: str) -> str:
        return f"{address.replace(' ', '/')} {self._owner} 0" if address else ""

    def _look(self, address: str) -> Any:
        words = (self._name, self._ticket(address), self._name, lives_ms(self._server))
        return self._server.store.run("wait_signal", *words)


def lives_ms(server: Server) -> int:
    """How long a signal lives after its last use, in milliseconds."""
    return int(server.settings.process.signal_seconds * 1000)
