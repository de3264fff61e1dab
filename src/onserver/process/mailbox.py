"""Mailboxes: calls that a named process works off one after the other, as `CALL WORKER` has it.

The process is a record like any other, and each call is run as if the process had been put for it alone: by whichever
worker has its procedure, signed, and again when that worker dies. When a call has ended, the script that settles it
loads the next one into the record; with none left the process waits, held by nobody, and costs nothing. So two calls of
one mailbox cannot run at a time: one record is held once.

What the calls share is the process: its number, its name, its variables. A call that raises ends, the process goes on;
what was raised is in its log. A process that dies (aborted, lost, or a call whose workers died too often) takes the
present call with it, and a new process goes on with those that wait.

| failure | outcome |
|---|---|
| worker killed | the present call runs again, in its turn, `process.deliveries` times at most |
| reply of `call` lost | the same nonce: it is in the box once |
| reply of a settlement lost | it carries the number of its call: settled once, the next one is not touched |
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, ParamSpec, overload

from onserver.errors import BadArguments
from onserver.process.execute import order_of
from onserver.process.handle import Process
from onserver.process.procedure import Procedure, Start
from onserver.process.put import Order, Sender
from onserver.process.twin import is_twin
from onserver.redis.resp import Word
from onserver.server import Server
from onserver.session.context import current_run

P = ParamSpec("P")

_SIGNATURE: Final = "mailbox(name).call(procedure, …)"


def mailbox(name: str | int | None = None, /, *, start: Procedure[[], Any] | None = None) -> "Mailbox":
    """Answer the mailbox of this name; its process begins with its first call.

    Args:
        name: case-sensitive. A number means the process of a mailbox that lives: of any other, and of none, nothing is
            asked. None: the mailbox whose call is running here.
        start: a procedure that each process of the mailbox runs before its calls.

    Raises:
        BadArguments: ONS-1105, an empty name, or that of a twin of a remote client.

    Example:
        >>> @procedure
        ... def print_page(text: str) -> None:
        ...     pages = process().variables
        ...     pages["printed"] = pages.get("printed", 0) + 1
        >>> printer = mailbox("printer")
        >>> for page in "abc":
        ...     printer.call(print_page, page)
        >>> printer.process.variables.wait_for("printed", lambda printed: printed == 3, timeout=10)
        3
        >>> printer.kill()
        True

    4D: a worker, `CALL WORKER` and `KILL WORKER` (specification 5.10).
    """
    if name == "":
        raise BadArguments("mailbox", "has no name", "mailbox(name, *, start=None)")
    if isinstance(name, str) and is_twin(name):
        raise BadArguments("mailbox", "has the name of the twin of a remote client", "mailbox(name, *, start=None)")
    if name is None:
        run = current_run()
        name = 0 if run is None else run.number
    return Mailbox(Server.current(), name, start)


class Mailbox:
    """A mailbox by its name, or by the number of its process. Made by `mailbox(name)`."""

    def __init__(self, server: Server, name: str | int, start: Procedure[[], Any] | None) -> None:
        self._server = server
        self._name = name if isinstance(name, str) else ""
        self._number = name if isinstance(name, int) else 0
        self._start = start

    @overload
    def call(self, procedure: Procedure[P, Any] | Start[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def call(self, procedure: str, /, *args: Any, **kwargs: Any) -> None: ...
    @overload
    def call(self, /) -> None: ...
    def call(self, procedure: Any = None, /, *args: Any, **kwargs: Any) -> None:
        """Put a call into the box. Nothing comes back: results go into variables, signals or the storage.

        Args:
            procedure: a procedure, or its name; of options, `queue` and `priority` may be given. None: what the process
                has started with, once more.
            args: arguments by position, copied.
            kwargs: arguments by name.

        Raises:
            BadArguments: ONS-1105, they do not fit the signature; nothing was sent.
            NotSendable: ONS-1106, one of them cannot be sent; nothing was sent.
            ProcedureNotFound: ONS-1104.
            MaintenanceMode: ONS-4104, the server takes no new work now; nothing was sent.
            BrokerUnavailable: ONS-1201; whether it is in the box is not known.

        Warns:
            NoWorker: ONS-1202, the call is kept, but no worker would take it now.

        4D: `CALL WORKER`. To a worker that was just killed: a new process begins once the old one has ended; from that
        worker itself: nothing.
        """
        order = None if procedure is None else self._order(procedure)
        sender = self._server.part(Sender)
        body = b"" if order is None else sender.body(order, args, kwargs)
        start = None if self._start is None or not self._name else self._start.order
        start_body = b"" if start is None else sender.body(start, (), {})

        def words(nonce: str, made_ms: int) -> list[Word]:
            first = _words(sender, start, start_body, f"{nonce}/start", made_ms)
            last = _words(sender, order, body, nonce, made_ms) or [""]
            return [*self._address(), len(first), *first, *last]

        number, served = sender.send("call", words)
        if number and served != b"ok" and order is not None:
            sender.warn(order, number, served)

    async def acall(self, procedure: Any = None, /, *args: Any, **kwargs: Any) -> None:
        """`call` without blocking the loop."""
        await asyncio.to_thread(self.call, procedure, *args, **kwargs)

    def kill(self) -> bool:
        """Forget the calls that wait, and let the process end after the present one.

        Returns:
            False when it has no process: then nothing happens.

        4D: `KILL WORKER`.
        """
        keep = int(self._server.settings.process.keep_seconds)
        store = self._server.store
        return bool(store.run("kill_box", store.nonce(), self._name, self._number, keep, ""))

    async def akill(self) -> bool:
        """`kill` without blocking the loop."""
        return await asyncio.to_thread(self.kill)

    @property
    def process(self) -> Process[Any] | None:
        """Its process, for its variables, its log, its state; None while it has none. One round trip."""
        store = self._server.store
        if self._name:
            found = store.command("HGET", store.key("boxes"), self._name)
            return None if found is None else Process(self._server, int(found), name=self._name)
        name = store.command("HGET", store.key(f"p:{self._number}"), "mb")
        return (
            None if name is None or is_twin(name.decode()) else Process(self._server, self._number, name=name.decode())
        )

    @property
    def waiting(self) -> int:
        """How many calls wait, the one that runs not counted."""
        store = self._server.store
        name = self._name or (store.command("HGET", store.key(f"p:{self._number}"), "mb") or b"").decode()
        return 0 if is_twin(name) else int(store.command("LLEN", store.key(f"box:{name}")))

    def __repr__(self) -> str:
        return f"<Mailbox {self._name or f'#{self._number}'}>"

    def _address(self) -> Sequence[Word]:
        run, keep_failed = current_run(), int(self._server.settings.process.keep_failed_seconds)
        return ("" if run is None else run.number, self._name, self._number, keep_failed)

    def _order(self, procedure: Any) -> Order:
        order = order_of(self._server, procedure)
        if not order.plain:
            raise BadArguments(order.procedure, "has options that a call cannot keep", _SIGNATURE)
        return order


def _words(sender: Sender, order: Order | None, body: bytes, nonce: str, made_ms: int) -> list[Word]:
    """Queue, priority, field, value … of a call; nothing of none."""
    if order is None:
        return []
    return [order.queue, order.priority, *sender.signed(order, body, nonce, made_ms)]
