"""`execute_on_server`: ask a server to run a procedure."""

import inspect
import sys
from collections.abc import Iterable
from time import monotonic
from typing import Any, ParamSpec, TypeVar, cast, overload

from onserver.errors import ProcedureNotFound
from onserver.process.after_commit import put_after_commit
from onserver.process.handle import Process
from onserver.process.procedure import Procedure, Start
from onserver.process.put import Order, Sender, read_order
from onserver.registry import find_name
from onserver.server import Server

P = ParamSpec("P")
R = TypeVar("R")

#: For how long a description that was read from Redis is believed, in seconds.
_BELIEVED_SECONDS = 30.0


@overload
def execute_on_server(procedure: Procedure[P, R] | Start[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Process[R]: ...
@overload
def execute_on_server(procedure: str, /, *args: Any, **kwargs: Any) -> Process[Any]: ...
def execute_on_server(procedure: Any, /, *args: Any, **kwargs: Any) -> Process[Any]:
    """Start a process that runs a procedure on the server, and return its handle at once.

    The process is kept when this returns: it will run, once a worker has the procedure, or be shown as dead-lettered.
    It runs in the server's one stored-procedure session, whoever started it, and goes on when this program ends.

    Args:
        procedure: a procedure, one with options (`add.options(…)`), or its name; of a name the last part will do,
            where no other procedure's name ends so.
        args: arguments by position, copied; what can be sent is listed at `onserver.values`.
        kwargs: arguments by name.

    Returns:
        The handle of the process.

    Raises:
        BadArguments: ONS-1105, they do not fit the signature; nothing was sent.
        NotSendable: ONS-1106, one of them cannot be sent, or they are too large; nothing was sent.
        ProcedureNotFound: ONS-1104, no procedure of this name was ever registered.
        PrivilegeDenied: ONS-4103, who asks here may not start it; nothing was sent.
        AlreadyRunning: ONS-2101, with `unique="error"`.
        MaintenanceMode: ONS-4104, the server takes no new work now; nothing was started.
        NotConnected: ONS-1005, there is no project and no server was named. A remote client starts processes by
            `client.execute_on_server`.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time; whether the process was kept is not known, unless
            you gave a `key`.

    Warns:
        NoWorker: ONS-1202, the process is kept, but no worker would take it now.

    Example:
        >>> execute_on_server(add, 1, 2).result(timeout=10)
        3

    4D: *Execute on server*. There is no stack size, numbers are positive everywhere, and there is a result.
    """
    server = Server.current()
    order = order_of(server, procedure)
    if order.after_commit is not None:
        return put_after_commit(server, order, args, kwargs)
    return server.part(Sender).put(order, args, kwargs)


@overload
def execute_many(procedure: Procedure[..., R] | Start[..., R], items: Iterable[Any], /) -> list[Process[R]]: ...
@overload
def execute_many(procedure: str, items: Iterable[Any], /) -> list[Process[Any]]: ...
def execute_many(procedure: Any, items: Iterable[Any], /) -> list[Process[Any]]:
    """Start one process for each item, a hundred in one round trip.

    All items are checked and encoded before the first is sent, so that wrong arguments start nothing. When Redis is
    lost midway, what was sent by then is kept and runs. They wait in the order of the items, but where a hundred had to
    be signed once more, since a clock was changed meanwhile: these wait behind the next hundred.

    Args:
        procedure: as in `execute_on_server`.
        items: the argument of each process; a `tuple` is several arguments.

    Returns:
        The handles, in the order of the items.

    Raises:
        BadArguments: ONS-1105, for the first item that does not fit; nothing was sent.
        NotSendable: ONS-1106, for the first item that cannot be sent; nothing was sent.
        ProcedureNotFound: ONS-1104, no procedure of this name was ever registered.
        PrivilegeDenied: ONS-4103, who asks here may not start it; nothing was sent.
        MaintenanceMode: ONS-4104, the server takes no new work now; what was sent by then is kept and runs.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.

    Example:
        >>> [p.result() for p in execute_many(add, [(1, 2), (3, 4)])]
        [3, 7]
    """
    server = Server.current()
    order, sender = order_of(server, procedure), server.part(Sender)
    calls = [_arguments(item) for item in items]
    if order.plain:
        return sender.put_many(order, [(args, {}) for args in calls])
    if order.after_commit is not None:
        return [put_after_commit(server, order, args, {}) for args in calls]
    return [sender.put(order, args, {}) for args in calls]


def order_of(server: Server, procedure: Procedure[..., Any] | Start[..., Any] | str) -> Order:
    """Answer what is to be put for a procedure, a start, or a name.

    Raises:
        ProcedureNotFound: ONS-1104, no procedure of this name was ever registered.
    """
    if isinstance(procedure, Procedure | Start):
        return procedure.order
    if not isinstance(cast("object", procedure), str):
        asked = getattr(procedure, "__qualname__", None) or repr(procedure)
        raise ProcedureNotFound(asked, _decorated(procedure), len(server.registry.names()))
    return server.part(Names).order(procedure)


def _arguments(item: Any) -> tuple[Any, ...]:
    return item if isinstance(item, tuple) else (item,)  # pyright: ignore[reportUnknownVariableType]


class Names:
    """Procedures by name: this program's, and those that the server has heard of. Made by `server.part(Names)`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._read: dict[str, tuple[float, Order]] = {}
        self._described: dict[str, tuple[float, Order | None]] = {}

    def order(self, name: str) -> Order:
        """Answer what is to be put for this name, which may be the end of one.

        Raises:
            ProcedureNotFound: ONS-1104, the registry never held it; `near` has names like it.
        """
        found = self._server.registry.find(name)
        if isinstance(found, Procedure):
            return cast("Procedure[..., Any]", found).order
        read = self._read.get(name)
        if read is not None and monotonic() - read[0] < _BELIEVED_SECONDS:
            return read[1]
        order = self._from_server(name)
        self._read[name] = (monotonic(), order)
        return order

    def described(self, name: str, deadline: float | None = None) -> Order | None:
        """Answer what is to be put for a procedure of exactly this name; None where none has been registered.

        Args:
            name: full name of a procedure, or of a task of Celery's, which is none.
            deadline: seconds for a trip to Redis, if not those of the settings.
        """
        found = self._server.registry.find(name)
        if isinstance(found, Procedure):
            return cast("Procedure[..., Any]", found).order
        known = self._described.get(name)
        if known is None or monotonic() - known[0] >= _BELIEVED_SECONDS:
            store = self._server.store
            text = store.command("HGET", store.key("procedures"), name, deadline=deadline)
            known = monotonic(), read_order(name, text) if text else None
            if text is not None:  # a worker has registered it; a task of Celery's is described by nothing
                self._described[name] = known
        return known[1]

    def _from_server(self, name: str) -> Order:
        store, registry = self._server.store, self._server.registry
        key = store.key("procedures")
        description = store.command("HGET", key, name)
        if description:
            return read_order(name, description)
        on_server = [known.decode() for known in store.command("HKEYS", key)]
        if not on_server and not registry.names():
            return Order(procedure=name, shape=None)  # no worker has ever come: `put` warns, and the claim decides
        meant = (store.command("HGET", store.key("aliases"), name) or name.encode()).decode()
        full, near = find_name(meant, dict.fromkeys((*registry.names(), *on_server)))
        if full is None:
            raise ProcedureNotFound(name, near, len(set(on_server) | set(registry.names())))
        found = registry.find(full)
        if isinstance(found, Procedure):
            return cast("Procedure[..., Any]", found).order
        return read_order(full, store.command("HGET", key, full) or b"{}")


def _decorated(function: object) -> tuple[str, ...]:
    """Answer the procedure that a plain function was made into, if there is one: for the error's hint."""
    module = sys.modules.get(getattr(function, "__module__", ""))
    names = vars(module) if module and inspect.isfunction(function) else {}
    return tuple(made.name for made in names.values() if isinstance(made, Procedure) and made.function is function)
