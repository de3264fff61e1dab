"""The desk: where a client's wishes arrive, from the gateway or from a trusted program that has the server itself.

Who calls it has made sure of nothing but that the id of the session came from the client. Every method may be called
again with the same arguments, and does then what it did the first time: what a client starts carries an id that it has
made. Methods block; those with an `a` in front wait on the running loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from onserver.connections.ending import end_link, end_links
from onserver.connections.facts import Event, Opened, Opening
from onserver.connections.login import open_session, require_id
from onserver.connections.opening import begin_connection, require_accepted
from onserver.connections.orders import method_order, start_order
from onserver.connections.processes import aend_of_process, arguments, end_of_process, start_process
from onserver.connections.records import Connections
from onserver.connections.requests import ask_clients, asked_name
from onserver.connections.waiting import waiting
from onserver.errors import SessionExpired
from onserver.process.inbox import End
from onserver.process.put import Order, Sender
from onserver.process.twin import CallEnd, await_call, put_call, wait_call
from onserver.server import Server
from onserver.session.context import serving
from onserver.session.record import SessionRecord
from onserver.session.records import is_identity
from onserver.session.session import Session
from onserver.session.steps import adrive, drive

#: How long a method that waits does so where nothing else is said, in seconds.
PATIENCE_SECONDS: Final = 60.0


class Desk:
    """The desk of one server. Made by `server.part(Desk)`.

    Args:
        server: the loaded project.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sender = server.part(Sender)  # a standalone program begins to work with it
        self._connections = server.part(Connections)

    # -- sessions

    def open(self, asked: Opening) -> Opened:
        """Open a session.

        Raises:
            LoginRefused: ONS-4114.
            ConnectionsRejected: ONS-4113, the server does not run, or takes no new connections.
            MaintenanceMode: ONS-4104.
        """
        return open_session(self._server, asked)

    def facts(self, session_id: str) -> SessionRecord:
        """Answer the record of a session, as it is now.

        Raises:
            SessionExpired: ONS-4102.
        """
        return self._taken(session_id).record

    def sleep(self, session_id: str) -> None:
        """Let a session last while the client's machine sleeps.

        Raises:
            SessionExpired: ONS-4102.
        """
        self._connections.sleep(_valid(session_id))

    def wake(self, session_id: str) -> SessionRecord:
        """Note that a client is there again.

        Raises:
            SessionExpired: ONS-4102, it has slept for too long.
        """
        self._connections.beat(_valid(session_id), 0)
        return self.facts(session_id)

    def end(self, session_id: str) -> None:
        """End a session: nothing is taken from its client any more, and the hooks are told."""
        if is_identity(session_id) and self._connections.end(session_id, "closed"):
            end_links(self._server, session_id)

    def token(self, session_id: str, seconds: float) -> str:
        """Make a token by which one request of the web runs in this session.

        Raises:
            SessionExpired: ONS-4102.
        """
        self._taken(session_id)
        return self._server.sessions.records.new_token(session_id, seconds)

    # -- connections

    def connect(self, session_id: str, name: str, call_id: str, seconds: float = PATIENCE_SECONDS) -> int:
        """Make a connection, and wait for what the hooks say to it.

        Args:
            session_id: of the client.
            name: of the connection, for people.
            call_id: 32 hexadecimal digits of the client's.
            seconds: how long it is waited for.

        Returns:
            Its number.

        Raises:
            ConnectionVetoed: ONS-4105, a hook has refused it; the session is over if it had no other connection before.
            ProcessTimeout: ONS-2202, the hooks have said nothing yet: to be called again.
            SessionExpired: ONS-4102.
            ConnectionsRejected: ONS-4113.
            MaintenanceMode: ONS-4104.
        """
        require_id(call_id, "connect")
        number, is_open = begin_connection(self._server, self._taken(session_id), name, call_id)
        if not is_open:
            end = wait_call(self._server, call_id, session_id, seconds)
            require_accepted(self._server, session_id, number, end, seconds)
        return number

    async def aconnect(self, session_id: str, name: str, call_id: str, seconds: float = PATIENCE_SECONDS) -> int:
        """`connect` on a loop."""
        require_id(call_id, "connect")
        here = await asyncio.to_thread(self._taken, session_id)
        number, is_open = await asyncio.to_thread(begin_connection, self._server, here, name, call_id)
        if not is_open:
            end = await await_call(self._server, call_id, session_id, seconds)
            await asyncio.to_thread(require_accepted, self._server, session_id, number, end, seconds)
        return number

    def disconnect(self, session_id: str, connection: int) -> None:
        """End a connection: what waits in its twin is aborted, and the hooks are told. The session goes on.

        Raises:
            SessionExpired: ONS-4102.
        """
        record = self._taken(session_id).record
        for link in self._connections.links(session_id, connection):
            end_link(self._server, record, link)

    # -- calls

    def call(self, session_id: str, connection: int, call_id: str, name: str, body: bytes) -> bool:
        """Put a call of a server method behind the others of its connection; it runs in the session of the client.

        Args:
            session_id: of the client.
            connection: number of the connection.
            call_id: 32 hexadecimal digits of the client's; the call is put once.
            name: of the method, full, or its last part where no other ends so.
            body: arguments, as `values.encode([args, kwargs])` has them.

        Returns:
            False when it was put before.

        Raises:
            ProcedureNotFound: ONS-1104, there is no such server method.
            BadArguments: ONS-1105.
            NotSendable: ONS-1106.
            PrivilegeDenied: ONS-4103.
            SessionExpired: ONS-4102.
            MaintenanceMode: ONS-4104.
        """
        here = self._taken(session_id)
        order = method_order(self._server, name)
        checked = self._body(order, body)
        with serving(here, remote=True):
            return put_call(self._server, session_id, connection, order, checked, call_id)

    def answer(self, session_id: str, call_id: str, seconds: float) -> CallEnd | None:
        """Wait for the end of a call; None when it has not ended by then. See `onserver.process.twin.wait_call`."""
        return wait_call(self._server, call_id, _valid(session_id), seconds)

    async def aanswer(self, session_id: str, call_id: str, seconds: float) -> CallEnd | None:
        """`answer` on a loop."""
        return await await_call(self._server, call_id, _valid(session_id), seconds)

    # -- events

    def wait(self, session_id: str, seconds: float, known: int = 0) -> Sequence[Event]:
        """Note that a client is there, and wait for what it is to be told.

        Args:
            session_id: of the client.
            seconds: how long it waits; less than `remote.unreachable_seconds`.
            known: number of the last event that it has: all up to this one are forgotten.

        Returns:
            Events with greater numbers, those first that came first; none when nothing came.

        Raises:
            SessionExpired: ONS-4102.
        """
        return drive(waiting(self._server, _valid(session_id), seconds, known))

    async def await_(self, session_id: str, seconds: float, known: int = 0) -> Sequence[Event]:
        """`wait` on a loop."""
        return await adrive(waiting(self._server, _valid(session_id), seconds, known))

    def register(self, session_id: str, name: str) -> bool:
        """Let a client take requests of `execute_on_client`, under a name. False when it does so already.

        Raises:
            SessionExpired: ONS-4102.
        """
        return asked_name(self._server, _valid(session_id), name)

    def unregister(self, session_id: str) -> bool:
        """Take no requests any more; those that wait are dropped. False when it did not."""
        return asked_name(self._server, _valid(session_id), "")

    def ask(self, session_id: str, ask_id: str, name: str, procedure: str, body: bytes) -> int:
        """Ask clients to run a procedure. Answers how many were given the request.

        Args:
            session_id: of the client that asks.
            ask_id: 32 hexadecimal digits of the client's; asked again within a minute, nothing is sent.
            name: of the clients; `@` stands for any text.
            procedure: that they are to run; its name.
            body: arguments.

        Raises:
            ProcedureNotFound: ONS-1104.
            BadArguments: ONS-1105.
            PrivilegeDenied: ONS-4103.
            SessionExpired: ONS-4102.
        """
        require_id(ask_id, "ask")
        here = self._taken(session_id)
        order = start_order(self._server, procedure, {})
        checked = self._body(order, body)
        with serving(here, remote=True):
            return ask_clients(self._server, f"{session_id}{ask_id}", name, order, checked)

    # -- processes

    def start(
        self, session_id: str, start_id: str, name: str, body: bytes, options: Mapping[str, Any] | None = None
    ) -> int:
        """Start a process for a client, as `execute_on_server` does. Answers its number.

        Args:
            session_id: of the client.
            start_id: 32 hexadecimal digits of the client's; the process is started once.
            name: of the procedure.
            body: arguments.
            options: of `Procedure.options`.

        Raises:
            ProcedureNotFound: ONS-1104.
            BadArguments: ONS-1105.
            NotSendable: ONS-1106.
            PrivilegeDenied: ONS-4103.
            SessionExpired: ONS-4102.
            MaintenanceMode: ONS-4104.
        """
        require_id(start_id, "start")
        return start_process(self._server, self._taken(session_id), start_id, name, body, options or {})

    def process(self, session_id: str, number: int, seconds: float) -> End | None:
        """Wait for the end of a process that this client has started; None when it has not ended by then.

        Raises:
            ProcessNotFound: ONS-2001, there is none of this client.
            SessionExpired: ONS-4102.
        """
        return end_of_process(self._server, self._taken(session_id).id, number, seconds)

    async def aprocess(self, session_id: str, number: int, seconds: float) -> End | None:
        """`process` on a loop."""
        here = await asyncio.to_thread(self._taken, session_id)
        return await aend_of_process(self._server, here.id, number, seconds)

    # -- inside

    def _taken(self, session_id: str) -> Session:
        found = self._server.sessions.find(_valid(session_id))
        if found is None or found.record.kind != "remote" or found.record.state == "closing":
            raise SessionExpired(session_id)
        return found

    def _body(self, order: Order, body: bytes) -> bytes:
        return self._sender.body(order, *arguments(order.procedure, body))


def _valid(session_id: str) -> str:
    if not is_identity(session_id):
        raise SessionExpired("")
    return session_id
