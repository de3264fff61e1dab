"""What a client asks for by name: a server method that is called, or a procedure that is started.

Procedures of the framework's own are nobody's to ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

from onserver.errors import BadArguments, ProcedureNotFound
from onserver.process.execute import order_of
from onserver.process.procedure import Procedure
from onserver.process.put import Order
from onserver.process.server_method import ServerMethod
from onserver.registry import find_name
from onserver.server import Server

#: What a client may say of a start.
OPTIONS: Final = frozenset({"name", "unique", "key", "key_window", "queue", "priority", "delay", "timeout", "expires"})
_OURS: Final = "onserver."


def method_order(server: Server, name: str) -> Order:
    """Answer what is put for a call of a server method.

    Args:
        server: the loaded project.
        name: full, or its last part where no other method's name ends so.

    Raises:
        ProcedureNotFound: ONS-1104, there is no such server method.
    """
    registry = server.registry
    found = registry.find(name)
    if not isinstance(found, ServerMethod):
        names = [method.name for method in registry.all() if isinstance(method, ServerMethod)]
        full, near = find_name(name, names)
        found = registry.find(full) if full is not None else None
        if not isinstance(found, ServerMethod):
            raise ProcedureNotFound(name, near, len(names))
    return cast("ServerMethod[..., Any]", found).call_order


def start_order(server: Server, name: str, options: Mapping[str, Any], key: str = "") -> Order:
    """Answer what is put for a procedure that a client starts.

    Args:
        server: the loaded project.
        name: of the procedure, full or its end.
        options: what the client says of the start.
        key: by which it is started once, where the client gives none of its own.

    Raises:
        ProcedureNotFound: ONS-1104.
        BadArguments: ONS-1105, an option that there is not, or of a procedure that is not loaded here.
        BadDeclaration: ONS-1009, an option cannot be kept.
    """
    order = order_of(server, name)
    if order.procedure.startswith(_OURS):
        raise ProcedureNotFound(name, (), len(server.registry.names()))
    if options:
        unknown = sorted(set(options) - OPTIONS)
        found = server.registry.find(order.procedure)
        if unknown or not isinstance(found, Procedure):
            not_here = "takes no options from a client: it is not loaded here"
            problem = f"has no option `{unknown[0]}`" if unknown else not_here
            raise BadArguments(order.procedure, problem, "execute_on_server(procedure.options(…), …)")
        order = found.options(**options).order
    return replace(order, key=key) if key and not order.key else order
