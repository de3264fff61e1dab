"""Clients that take requests: `register_client` and `execute_on_client`.

A program that registers gets a thread that waits for requests, which are pushed to it, and runs them one after the
other, in itself: outside of every process, with what is loaded there. Requests are signed as all messages are, and name
a procedure that the client must have; nobody hears what becomes of one.

The registration is held in the name of the program's member and falls with it. A request is run once at most: it is
taken out of the line before it runs, and lost with a client that dies.
"""

import asyncio
import inspect
import logging
import threading
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple, ParamSpec, overload

from onserver.errors import BadArguments, BrokerUnavailable, MaintenanceMode, MemberFenced, ProcedureNotFound
from onserver.interrupt import Interrupted
from onserver.process.authority import admit
from onserver.process.execute import order_of
from onserver.process.procedure import Procedure, Start
from onserver.process.put import Sender
from onserver.process.signing import Signer
from onserver.redis.answers import LinkError, Silent
from onserver.redis.link import Link
from onserver.redis.resp import Word
from onserver.server import Server
from onserver.session.context import serving
from onserver.session.running import running
from onserver.values import decode, encode

P = ParamSpec("P")

logger = logging.getLogger(__name__)

#: How long the thread waits before it asks again, in seconds: what is pushed wakes it at once.
_WAIT_SECONDS = 5
#: How soon it notices that it is to end: a look at memory.
_LOOK_SECONDS = 0.2


class RegisteredClient(NamedTuple):
    """One client: its name, and how many requests it has not finished."""

    name: str
    requests: int


def register_client(name: str) -> bool:
    """Take requests that others send to this name by `execute_on_client`, in a thread of this program.

    Args:
        name: several clients may have the same one.

    Returns:
        False when this program is registered already, or this is a process of the server: then nothing is done. To
        change the name, unregister first.

    Raises:
        BadArguments: ONS-1105, no name.
        MaintenanceMode: ONS-4104, the server takes no new connections now.

    Example:
        >>> register_client("front desk")
        True
        >>> registered_clients()
        [RegisteredClient(name='front desk', requests=0)]
        >>> unregister_client()
        True

    4D: `REGISTER CLIENT` (specification 5.11). There is no period, and the process on the client is no process here.
    """
    if not name:
        raise BadArguments("register_client", "has no name", "register_client(name)")
    return running() is None and Server.current().part(Clients).register(name)


def unregister_client() -> bool:
    """Take no requests any more; those that wait are dropped. False when this program was not registered.

    Example:
        >>> unregister_client()
        False

    4D: `UNREGISTER CLIENT`; done by itself when the program ends.
    """
    return Server.current().part(Clients).unregister()


@overload
def execute_on_client(
    name: str, procedure: Procedure[P, Any] | Start[P, Any], /, *args: P.args, **kwargs: P.kwargs
) -> int: ...
@overload
def execute_on_client(name: str, procedure: str, /, *args: Any, **kwargs: Any) -> int: ...
def execute_on_client(name: str, procedure: Any, /, *args: Any, **kwargs: Any) -> int:
    """Ask clients to run a procedure, each behind the requests that it has.

    Args:
        name: of the clients; `@` stands for any text, as in `"front@"`.
        procedure: a procedure, or its name; the client must have it.
        args: arguments by position, copied.
        kwargs: arguments by name.

    Returns:
        How many clients were given the request, 0 for none: nothing more is known.

    Raises:
        BadArguments: ONS-1105, they do not fit the signature; nothing was sent.
        NotSendable: ONS-1106, one of them cannot be sent; nothing was sent.

    Example:
        >>> execute_on_client("front desk@", add, 1, 2)  # nobody is registered
        0

    4D: `EXECUTE ON CLIENT` (specification 5.11).
    """
    server = Server.current()
    order, sender = order_of(server, procedure), server.part(Sender)
    if not order.plain:
        raise BadArguments(order.procedure, "has options that a request cannot keep", "execute_on_client(name, f, …)")
    body = sender.body(order, args, kwargs)

    def words(nonce: str, made_ms: int) -> list[Word]:
        envelope = sender.envelope(order, body, nonce, made_ms)
        return [name, encode([order.procedure, body, envelope])]

    return int(sender.send("ask_clients", words))


def registered_clients() -> list[RegisteredClient]:
    """List the clients that take requests, by name.

    Example:
        >>> registered_clients()
        []

    4D: `GET REGISTERED CLIENTS`.
    """
    found = Server.current().store.run("clients")
    return sorted(RegisteredClient(found[i].decode(), int(found[i + 1])) for i in range(0, len(found), 2))


async def aregister_client(name: str) -> bool:
    """`register_client` without blocking the loop; what is asked for runs in the thread all the same."""
    return await asyncio.to_thread(register_client, name)


async def aexecute_on_client(name: str, procedure: Any, /, *args: Any, **kwargs: Any) -> int:
    """`execute_on_client` without blocking the loop."""
    return await asyncio.to_thread(execute_on_client, name, procedure, *args, **kwargs)


class Clients:
    """The registration of this program. Made by `server.part(Clients)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._store = server.store
        self._guard = threading.Lock()
        self._client: _Client | None = None

    def register(self, name: str) -> bool:
        """Register; False when it was done before."""
        with self._guard:
            if self._client is not None:
                return False
            client = _Client(self._server, name)
            client.register()
            self._client = client
            client.start()
            return True

    def unregister(self) -> bool:
        """Take no requests any more; False when there was no registration."""
        with self._guard:
            client, self._client = self._client, None
        return client is not None and client.end()

    def close(self) -> None:
        """The server is let go."""
        with suppress(BrokerUnavailable, MemberFenced):  # it falls with the member
            self.unregister()


class _Client(threading.Thread):
    """One registration, and the thread that works it off."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(name="onserver-client", daemon=True)
        self._server = server
        self._store = server.store
        self._as = name
        self._holder = ""
        self._ended = threading.Event()
        #: Held while it waits for a request.
        self._waits = threading.Lock()
        #: The request that was run last, and whether it is still in the list of the one that runs.
        self._last, self._listed = b"", False

    def register(self) -> None:
        """Register under this program's holder of now."""
        holder = self._server.client.holder()
        self._store.run("register_client", self._store.nonce(), holder, self._as)
        self._holder = holder

    def end(self) -> bool:
        """Take nothing more; what runs goes on."""
        self._ended.set()
        was = bool(self._store.run("unregister_client", self._store.nonce(), self._holder))
        with self._waits:  # it waits no longer, and cannot take what is for another registration
            return was

    def run(self) -> None:
        """Work off what is pushed until the end."""
        with self._server.client.holding(), self._store.link() as link:
            while not self._ended.is_set():
                try:
                    if self._server.client.holder() != self._holder:  # declared dead meanwhile, and a member anew
                        self.register()
                    with self._waits:
                        request = b"" if self._ended.is_set() else self._next(link)
                except (BrokerUnavailable, MemberFenced, LinkError, MaintenanceMode):
                    link.close()
                    self._ended.wait(_LOOK_SECONDS)
                    continue
                if request:
                    self._last, self._listed = request.partition(b" ")[0], True
                    self._run(request)

    def _next(self, link: Link) -> bytes:
        """Wait for a request, and take it out of the line. Empty when there is none, or the waiting is to end."""
        queue, now = (self._store.key(f"{kind}:{self._holder}") for kind in ("cq", "cn"))
        if not link.connected:
            taken: list[bytes] = link.command("LRANGE", now, 0, 0)
            if taken and taken[0].partition(b" ")[0] != self._last:  # the answer was lost: it was not run
                return taken[0]
        if self._listed:
            link.command("DEL", now)
            self._listed = False
        link.send("BLMOVE", queue, now, "LEFT", "RIGHT", _WAIT_SECONDS)
        until = monotonic() + _WAIT_SECONDS + link.command_seconds
        while True:
            try:
                return link.receive(_LOOK_SECONDS) or b""
            except Silent:
                if self._ended.is_set() or self._server.client.holder() != self._holder:
                    link.close()
                    return b""
                if monotonic() > until:
                    raise

    def _run(self, request: bytes) -> None:
        nonce, accepted, content = request.split(b" ", 2)
        procedure, body, envelope = decode(content)
        try:
            signer = self._server.part(Signer)
            asked = signer.verify(envelope, procedure, body, int(accepted), nonce=nonce.decode())
            found = self._server.registry.find(procedure)
            if not isinstance(found, Procedure):
                raise ProcedureNotFound(procedure, (), len(self._server.registry.names()))
            caller = admit(self._server, asked, found.name, found.requires, found.resource)
            args, kwargs = decode(body)
            with serving(None, remote=True, caller=caller):  # who asked, asks for what it starts in turn
                answer = found.function(*args, **kwargs)
                if inspect.iscoroutine(answer):
                    asyncio.run(answer)
        except (Exception, Interrupted, SystemExit):  # nobody waits for it, and the next request is another's
            logger.exception("a request of %s to the client %r has failed", procedure, self._as)
