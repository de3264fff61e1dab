"""Where the classes of data of a server are, as REST asks for it."""

from __future__ import annotations

from typing import Any

from onserver.server import Server


def source_of(server: Server) -> Any:
    """Answer the source of a server's data; None where it has none. Asked for by `server.part(source_of)`.

    Args:
        server: the loaded project.
    """
    del server
    return None
