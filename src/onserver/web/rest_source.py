"""Where the classes of data of a server are, as REST asks for it."""

from __future__ import annotations

from typing import Any, Final

from onserver.lazy import load
from onserver.server import Server

_KIND: Final = "datastore"


def source_of(server: Server) -> Any:
    """Answer the datastores of a server; None where it has none, and need not load what they are made with.

    Args:
        server: the loaded project.
    """
    return server.part(load("onserver.data.datastore:Datastores")) if server.registry.all(_KIND) else None
